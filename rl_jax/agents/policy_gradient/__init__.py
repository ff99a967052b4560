"""Agents that follow the gradient of a policy: PPO, A2C, MDPO, and the update that they share."""
