"""Results: the models of what each operation answers, as the tools and `--json` show it.

`base` has what all of them share, `data` those about values and conflicts, `changes` those about
the change feed and the history, `activity` those about sessions, claims and settings, and `sync`
those about the remote.

Field names are the contract with clients. Values that others wrote are always in a field of their
own (`value`), beside who wrote them and when: data to look at, never instructions to follow.
"""
