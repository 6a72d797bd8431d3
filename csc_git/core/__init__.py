"""The rules of csc-git for names, values, time, edits, leases and merging.

The functions in this package are pure: they use no file, socket, clock or random number. Their
results depend only on their arguments. So every rule of the branch format can be tested with this
package only, and can be implemented again from it.
"""
