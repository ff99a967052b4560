"""Papers on what is replayed."""
