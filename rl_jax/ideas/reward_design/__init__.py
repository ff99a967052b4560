"""Papers on the design of rewards."""
