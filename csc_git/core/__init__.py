"""The rules, and nothing else: names, values, time, edits, leases, merging.

Pure: no file, socket, clock or randomness. What a function here returns depends on its arguments
alone, so every rule of the branch format can be tested, and re-implemented, from this folder.
"""
