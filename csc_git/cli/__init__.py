"""What a person types. Each command is one file; the heavy ones load only when called."""
