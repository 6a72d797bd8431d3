"""The operations of a session: sign on, read, write, sign off.

This package reads the system's clocks. None of its functions is async.
"""
