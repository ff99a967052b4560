"""Papers on networks that go on learning."""
