"""Transforms that say how much better than expected a step was."""
