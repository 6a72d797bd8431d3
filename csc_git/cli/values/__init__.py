"""Commands that read and write values, including values in conflict."""
