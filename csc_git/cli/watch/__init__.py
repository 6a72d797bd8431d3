"""`watch`: the sessions at work, live."""
