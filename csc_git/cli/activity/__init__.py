"""Commands about sessions: list them, show what they work on, and sign them off."""
