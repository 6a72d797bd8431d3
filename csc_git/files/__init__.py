"""Files: locks, and functions that write files durably before they return."""
