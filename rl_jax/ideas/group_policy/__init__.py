"""Papers on policies that learn from groups of episodes."""
