"""The operations of a session: sign on, read, write, sign off.

This package reads the system's clocks. The package has no async functions.
"""
