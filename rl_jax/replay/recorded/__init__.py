"""Replays of experience that was recorded before, alone or beside what is collected."""
