"""`csc-git init`: set up a repository and its clients, or undo the setup."""
