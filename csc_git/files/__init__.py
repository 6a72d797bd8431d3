"""Files: locks, and writes that are durable when they return."""
