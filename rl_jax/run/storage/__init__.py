"""What lies in a run folder, who owns it, and how it is written and read."""
