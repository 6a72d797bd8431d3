"""The demo: two machines coordinate on a remote of their own."""
