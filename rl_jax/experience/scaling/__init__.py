"""Transforms that bring observations and rewards to a common scale."""
