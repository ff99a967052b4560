"""TD3 and DDPG: deterministic policies for continuous actions."""

from collections.abc import Callable
from functools import partial
from typing import Any

import flax.linen as nn

from rl_jax.agents.actor_critic.deterministic_actor_critic import DeterministicActorCritic
from rl_jax.networks.critics import critics as twin_critics
from rl_jax.networks.critics import deterministic_actor
from rl_jax.types import Spec

#: One critic instead of two.
single_critic = partial(twin_critics, members=1)


def td3(
    actor: nn.Module | Callable[[Spec], nn.Module] = deterministic_actor,
    critics: nn.Module | Callable[[Spec], nn.Module] = twin_critics,
    learning_rate: Any = 3e-4,
    actor_learning_rate: Any = 3e-4,
    tau: Any = 0.005,
    exploration_noise: Any = 0.1,
    target_noise: Any = 0.2,
    target_noise_clip: Any = 0.5,
    policy_delay: int = 2,
    random_steps: Any = 1000.0,
) -> DeterministicActorCritic:
    """Twin delayed deterministic policy gradient (Fujimoto et al. 2018, arXiv 1802.09477, Algorithm 1).

    Needs a replay whose batches :func:`rl_jax.replay.n_step` has prepared.

    Args:
        actor, critics: modules or functions from :class:`~rl_jax.types.Spec` to one.
        learning_rate, actor_learning_rate: Adam's, of the critics and of the policy (the paper's: 1e-3).
        tau: share of the way that the slow copies move.
        exploration_noise: standard deviation of the noise when acting, in units of half the action's range.
        target_noise, target_noise_clip: standard deviation and bound of the noise on the target's action.
        policy_delay: learning steps of the critics for one of the policy and of the slow copies.
        random_steps: environment steps that are uniformly random at first.
    """
    return DeterministicActorCritic(
        learning_rate=learning_rate,
        actor_learning_rate=actor_learning_rate,
        tau=tau,
        exploration_noise=exploration_noise,
        target_noise=target_noise,
        target_noise_clip=target_noise_clip,
        random_steps=random_steps,
        policy_delay=policy_delay,
        actor=actor,
        critics=critics,
        name="TD3",
    )


def ddpg(
    actor: nn.Module | Callable[[Spec], nn.Module] = deterministic_actor,
    critic: nn.Module | Callable[[Spec], nn.Module] = single_critic,
    learning_rate: Any = 1e-3,
    actor_learning_rate: Any = 1e-4,
    tau: Any = 0.001,
    exploration_noise: Any = 0.1,
    random_steps: Any = 1000.0,
) -> DeterministicActorCritic:
    """Deep deterministic policy gradient (Lillicrap et al. 2016, arXiv 1509.02971): TD3 without its three changes.

    The noise is Gaussian and independent between steps, as in Fujimoto et al. 2018, not an Ornstein-Uhlenbeck process; and
    there is neither batch normalisation nor weight decay, and the critic sees the action from its first layer on.

    Args:
        actor, critic: modules or functions from :class:`~rl_jax.types.Spec` to one.
        learning_rate, actor_learning_rate: Adam's, of the critic and of the policy.
        tau: share of the way that the slow copies move per learning step.
        exploration_noise: standard deviation of the noise when acting, in units of half the action's range.
        random_steps: environment steps that are uniformly random at first.
    """
    return DeterministicActorCritic(
        learning_rate=learning_rate,
        actor_learning_rate=actor_learning_rate,
        tau=tau,
        exploration_noise=exploration_noise,
        target_noise=None,
        random_steps=random_steps,
        policy_delay=1,
        actor=actor,
        critics=critic,
        name="DDPG",
    )
