"""The doctor checks the whole setup, and reports what is wrong and how to repair it.

Each module checks one part: the project, our store, the remote as the client's server reaches it,
the branch, the clients. Each check is a function that yields findings.
"""
