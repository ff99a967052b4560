"""Intrinsic rewards, and how they are mixed in."""
