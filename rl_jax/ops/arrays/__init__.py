"""Small functions of arrays."""
