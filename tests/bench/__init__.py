"""Measures, as ratios against floors taken in the same run: `python -m tests.bench`.

Absolute times mean nothing on shared machines. Ours and the floor are measured in turn, A B A B …,
and the ratio of their medians counts. Rates are printed beside the rates that were offered.
"""
