"""`init`: set a repository and its clients up, or undo that."""
