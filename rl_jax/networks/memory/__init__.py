"""What a network remembers of an episode: recurrent, attention, or a history that is shown again."""
