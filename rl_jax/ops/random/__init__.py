"""Random bits, permutations and indices."""
