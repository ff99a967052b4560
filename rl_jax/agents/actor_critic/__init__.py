"""Off-policy agents with an actor and a critic of actions: SAC, TD3, DDPG, off-policy MDPO."""
