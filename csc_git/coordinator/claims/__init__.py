"""Claims: which resources are taken, and by whom."""
