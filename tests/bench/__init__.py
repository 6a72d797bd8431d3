"""Measures, as ratios against floors taken in the same run: `python -m tests.bench`.

Absolute times mean nothing on shared machines. So ours and its floor are taken in turn, A B A B …,
and what counts is the ratio of their medians; rates are given beside what was offered.
"""
