"""Memories of networks: recurrent, attention, or a stored history."""
