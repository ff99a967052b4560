"""Papers on exploration."""
