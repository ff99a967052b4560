"""Entropy-regularised values and policy losses, exact over discrete actions and sampled over continuous ones."""

from functools import reduce
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from rl_jax.networks.distributions import Categorical, log_probabilities, mean_under
from rl_jax.networks.squashed import TanhGaussian


class Choice(NamedTuple):
    """What a policy does in ``B`` states: one drawn action in each, or all ``A`` actions with their probabilities.

    Attributes:
        action: ``[B, ...]``, or ``None`` where all actions are meant.
        log_prob: ``[B]``, or of all actions ``[B, A]``; in nats.
        log_prior: the same under another policy, or ``None``.
    """

    action: jax.Array | None
    log_prob: jax.Array
    log_prior: jax.Array | None = None

    def mean(self, x: jax.Array) -> jax.Array:
        """The policy's expectation ``[B]`` of ``x`` ``[B]`` (a sample of it) or ``[B, A]`` (exact)."""
        return x if self.action is not None else mean_under(self.log_prob, x)


def choose(
    policy: Categorical | TanhGaussian, noise: jax.Array | None = None, prior: Categorical | TanhGaussian | None = None
) -> Choice:
    """All actions of a categorical policy; of a tanh-Gaussian the actions that standard normal ``noise`` makes.

    These are differentiable in the policy's parameters (Kingma & Welling 2014), in ``log_prior`` too.
    """
    if isinstance(policy, Categorical):
        log_prior = None if prior is None else log_probabilities(prior.logits)  # type: ignore[union-attr]
        return Choice(None, log_probabilities(policy.logits), log_prior)
    u = policy.mean if noise is None else policy.unsquashed(noise)
    log_prior = None if prior is None else prior.log_prob_unsquashed(u)  # type: ignore[union-attr]
    return Choice(jnp.tanh(u), policy.log_prob_unsquashed(u), log_prior)


def smallest(q: jax.Array) -> jax.Array:
    """The smallest ``Q`` ``[...]`` of an ensemble ``[members, ...]``; its gradient goes to one member, always.

    That of ``jnp.min`` compares the members with their minimum and divides by how many equal it. A compiler may compute the two
    sides in different ways, so that none does: XLA on the CPU has made 0 / 0 of it.
    """
    return reduce(lambda low, q_i: jnp.where(q_i < low, q_i, low), [q[i] for i in range(q.shape[0])])


def soft_value(q: jax.Array, choice: Choice, alpha: Any) -> jax.Array:
    """``E[Q - alpha log pi]`` ``[B]`` (Haarnoja et al. 2018, arXiv 1812.05905, eq. 3; Christodoulou 2019, eq. 10)."""
    return choice.mean(q - alpha * choice.log_prob)


def policy_cost(q: jax.Array, choice: Choice, alpha: Any, kappa: Any = None) -> jax.Array:
    """What a policy minimises, ``[B]``: ``E[alpha log pi - Q]``, or with a prior ``E[kappa log pi - (kappa - alpha) log prior - Q]``.

    The first is Haarnoja et al. 2018, eq. 7, and Christodoulou 2019, eq. 12; the second Tomar et al. 2020 (arXiv 2005.09814),
    off-policy, whose ``lambda`` is ``alpha`` and whose step size is ``1 / kappa``. At ``kappa = alpha`` they are the same.
    """
    if choice.log_prior is None:
        return choice.mean(alpha * choice.log_prob - q)
    return choice.mean(kappa * choice.log_prob - (kappa - alpha) * choice.log_prior - q)
