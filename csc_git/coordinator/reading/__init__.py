"""Reading: values, summaries, changes and the past. Nothing here writes."""
