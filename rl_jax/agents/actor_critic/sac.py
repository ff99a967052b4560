"""SAC: soft actor-critic, for continuous and for discrete actions."""

from collections.abc import Callable
from typing import Any

import flax.linen as nn

from rl_jax.agents.actor_critic.soft_actor_critic import SoftActorCritic
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.networks.critics import stochastic_actor
from rl_jax.types import Spec


def sac(
    actor: nn.Module | Callable[[Spec], nn.Module] = stochastic_actor,
    critics: nn.Module | Callable[[Spec], nn.Module] = twin_critics,
    learning_rate: Any = 3e-4,
    tau: Any = 0.005,
    temperature: Any = None,
    initial_temperature: Any = 1.0,
    target_entropy: Any = None,
    random_steps: Any = 1000.0,
) -> SoftActorCritic:
    """Soft actor-critic with twin critics and a learned temperature (Haarnoja et al. 2018, arXiv 1812.05905).

    Discrete actions get exact expectations (Christodoulou 2019, arXiv 1910.07207). Needs a replay whose batches
    :func:`rl_jax.replay.n_step` has prepared; over several steps, the entropy of those in between is not rewarded.

    Args:
        actor, critics: modules or functions from :class:`~rl_jax.types.Spec` to one.
        learning_rate: Adam's, of policy, critics and temperature.
        tau: share of the way that the slow critics move per learning step.
        temperature: weight of the entropy, in units of reward per nat; ``None`` to learn it.
        initial_temperature: where learning it starts.
        target_entropy: what a learned temperature aims at, in nats; ``None`` for minus the number of action
            elements in a box (the paper's), half the largest possible, ``log(A) / 2``, among ``A`` discrete actions.
            (Christodoulou's ``0.98 log A`` is the uniform policy but for a little: on CartPole the temperature then passes
            100,000 within 20,000 steps.)
        random_steps: environment steps that are uniformly random at first.
    """
    return SoftActorCritic(
        learning_rate=learning_rate,
        tau=tau,
        temperature=temperature,
        initial_temperature=initial_temperature,
        target_entropy=target_entropy,
        random_steps=random_steps,
        actor=actor,
        critics=critics,
        name="SAC",
    )
