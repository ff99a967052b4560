"""R2D2: deep Q-learning with a memory, on replayed sequences."""

from functools import partial
from typing import Any

from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.r2d2 import R2D2Config
from rl_jax.agents.q_learning.dqn import QLearning
from rl_jax.agents.q_learning.q_policy import QPolicy
from rl_jax.losses import ExpectedValue
from rl_jax.networks import q_network
from rl_jax.networks.build import Maker
from rl_jax.ops import Periodic


def r2d2(network: Maker | None = None, *, config: R2D2Config | None = None, **overrides: Any) -> QLearning:
    """Recurrent replayed Q-learning (Kapturowski et al. 2019, "Recurrent Experience Replay in Distributed Reinforcement Learning").

    Needs a replay of sequences, whose first ``burn_in`` steps only warm up the memory, with n-step targets along them.

    Args:
        network: a module, or a function ``(spec, atoms=1)`` to one, instead of the usual one.
        config: all numbers; default :class:`~rl_jax.agents.configs.R2D2Config` as it is.
        overrides: its fields that shall be others, such as ``burn_in=40``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    numbers = numbers_of(R2D2Config, config, overrides, network=network)
    own = partial(
        q_network,
        dueling=numbers.dueling,
        memory=numbers.memory,
        memory_width=numbers.memory_width,
        **numbers.layers(),
    )
    policy = QPolicy(
        head=ExpectedValue(None, numbers.rescale),
        epsilon_start=numbers.epsilon_start,
        epsilon_end=numbers.epsilon_end,
        epsilon_steps=numbers.epsilon_steps,
        network=usual(network, own),
    )
    return QLearning(
        policy=policy,
        target=Periodic(numbers.target_period),
        learning_rate=numbers.learning_rate,
        adam_epsilon=1e-8,
        max_grad_norm=numbers.max_grad_norm,
        double=numbers.double,
        burn_in=numbers.burn_in,
        anneal=numbers.anneal,
        optimizer=numbers.optimizer,
        name="R2D2",
    )
