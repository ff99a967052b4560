"""One training, from its first folder to its last row: setting up, going on, evaluating, failing, stopping."""
