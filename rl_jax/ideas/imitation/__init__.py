"""Papers on learning from an expert's episodes."""
