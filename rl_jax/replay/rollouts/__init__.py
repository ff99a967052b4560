"""Replay of whole rollouts, for agents that learn from nothing less."""
