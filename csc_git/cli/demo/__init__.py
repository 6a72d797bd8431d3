"""The demo: two machines coordinate over a temporary remote."""
