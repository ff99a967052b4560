"""Agents that learn from each step once, as it comes, with eligibility traces."""
