"""Agents that act by the values of actions: DQN and its kin, PQN, R2D2."""
