"""What a session may do: sign on, read, write, sign off. Holds the clock; never async."""
