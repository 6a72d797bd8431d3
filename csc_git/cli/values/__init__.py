"""Commands that read and write values, conflicting ones included."""
