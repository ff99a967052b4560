"""Papers on skills, goals and hierarchy."""
