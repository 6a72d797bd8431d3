"""Commands about the sessions: who is here, what they work on, and how to sign them off."""
