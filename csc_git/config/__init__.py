"""The names and the valid values of settings, and the places from which settings are read."""
