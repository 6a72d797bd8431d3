"""The doctor checks the whole setup, reports problems, and lists how to repair them.

Each module checks one part: the project, the store, the remote, the branch, or the clients. Each
check is a function that yields findings.
"""
