"""How fast this library is on this machine: ``rl-jax bench``."""
