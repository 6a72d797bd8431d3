"""The rules of csc-git for names, values, time, edits, leases and merging.

The functions in this package are pure: they use no files, sockets, clocks or random number
generators. Their results depend only on their arguments. So every rule of the branch format can be
tested without the other packages. To write another implementation of the format, it is enough to
read this package.
"""
