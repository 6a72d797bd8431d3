"""Read values, summaries, changes and the history. This package only reads the store."""
