"""The command line. Each command has a file of its own, which is imported when it is called."""
