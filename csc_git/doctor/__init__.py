"""The doctor: tries the whole chain for real, and says what is wrong and how to mend it safely.

A module a link of the chain: the project, our store, the remote as the client's server will reach
it, the branch, the clients. Each check is a function that yields findings.
"""
