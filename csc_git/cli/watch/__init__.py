"""`csc-git watch`: watch the sessions at work, live."""
