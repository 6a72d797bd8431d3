"""What can be set: where settings come from, and what they may be."""
