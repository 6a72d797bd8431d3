"""The doctor: tries the whole chain, and reports what is wrong and how to repair it.

A module a link of the chain: the project, our store, the remote as the client's server will reach
it, the branch, the clients. Each check is a function that yields findings.
"""
