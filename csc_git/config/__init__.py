"""Settings: their names, the places that they are read from, and their valid values."""
