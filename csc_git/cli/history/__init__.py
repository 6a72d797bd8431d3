"""Commands about the branch's history: what changed, when, and by whom."""
