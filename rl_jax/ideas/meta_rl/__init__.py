"""Papers on learning to learn."""
