"""GRPO and its relatives: policy gradients of whole answers, each compared with others to the same problem; no values."""

from functools import partial
from typing import Any

from rl_jax.agents.configs.base import numbers_of, usual
from rl_jax.agents.configs.grpo import DrGRPOConfig, GroupConfig, GRPOConfig, RFTConfig, RLOOConfig
from rl_jax.agents.policy_gradient.update import PolicyGradient
from rl_jax.losses import KLDiagnostic, NegativeEntropy
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.losses.likelihood import NegativeLogLikelihood
from rl_jax.networks.build import Maker
from rl_jax.networks.sequence import sequence_actor_critic


def grpo(network: Maker | None = None, *, config: GRPOConfig | None = None, **overrides: Any) -> PolicyGradient:
    """Group relative policy optimisation (Shao et al. 2024, "DeepSeekMath", arXiv:2402.03300, section 4.1), without a reference policy.

    Learns from whole episodes (``rl_jax.Trainer.create(whole=True)``) whose chain has
    :func:`~rl_jax.experience.advantage.group.group_advantage` and :func:`~rl_jax.experience.weights.own_weight`. A divergence from a
    reference policy is one more term (:class:`~rl_jax.losses.reference_kl.ReferenceKL`).

    Args:
        network: a module or a function from :class:`~rl_jax.types.Spec` to one, instead of the usual one.
        config: all numbers; default :class:`~rl_jax.agents.configs.GRPOConfig` as it is.
        overrides: its fields that shall be others, such as ``clip_high=0.28``.

    Raises:
        RLJaxError: the agent has no such number.
    """
    return _clipped("GRPO", numbers_of(GRPOConfig, config, overrides, network=network), network)


def dr_grpo(network: Maker | None = None, *, config: DrGRPOConfig | None = None, **overrides: Any) -> PolicyGradient:
    """Dr. GRPO (Liu et al. 2025, "Understanding R1-Zero-Like Training: A Critical Perspective", arXiv:2503.20783, section 3.2).

    As :func:`grpo`, with advantages and weights that are divided by nothing that depends on the answers. Arguments and errors are
    the same, with :class:`~rl_jax.agents.configs.DrGRPOConfig`.
    """
    return _clipped("Dr. GRPO", numbers_of(DrGRPOConfig, config, overrides, network=network), network)


def rloo(network: Maker | None = None, *, config: RLOOConfig | None = None, **overrides: Any) -> PolicyGradient:
    """REINFORCE leave-one-out (Ahmadian et al. 2024, "Back to Basics", arXiv:2402.14740, eq. 8; Kool et al. 2019).

    One step per rollout, where the clipped ratio is 1 and its gradient that of the log-probability. Arguments and errors are those of
    :func:`grpo`, with :class:`~rl_jax.agents.configs.RLOOConfig`.
    """
    return _clipped("RLOO", numbers_of(RLOOConfig, config, overrides, network=network), network)


def rft(network: Maker | None = None, *, config: RFTConfig | None = None, **overrides: Any) -> PolicyGradient:
    """Rejection-sampling fine-tuning (Yuan et al. 2023, "Scaling Relationship on Learning Mathematical Reasoning with Large Language
    Models", arXiv:2308.01825; "RAFT" of Dong et al. 2023, arXiv:2304.06767): the likelihood of answers that were right.

    Here samples are fresh in every train step; the paper samples once, from the base, and drops answers that occur twice. Arguments and
    errors are those of :func:`grpo`, with :class:`~rl_jax.agents.configs.RFTConfig`.
    """
    numbers = numbers_of(RFTConfig, config, overrides, network=network)
    return _agent("RFT", numbers, network, NegativeLogLikelihood())


def _clipped(name: str, numbers: GRPOConfig, network: Maker | None) -> PolicyGradient:
    return _agent(name, numbers, network, ClippedTokens(numbers.clip_low, numbers.clip_high))


def _agent(name: str, numbers: GroupConfig, network: Maker | None, policy: Any) -> PolicyGradient:
    return PolicyGradient(
        terms={
            "policy": policy,
            "entropy": NegativeEntropy(),
            "kl": KLDiagnostic(),
        },
        weights={"policy": 1.0, "entropy": numbers.entropy_weight, "kl": 0.0},
        learning_rate=numbers.learning_rate,
        max_grad_norm=numbers.max_grad_norm,
        network=usual(network, partial(sequence_actor_critic, **numbers.layers())),
        epochs=numbers.epochs,
        minibatches=numbers.minibatches,
        anneal=numbers.anneal,
        optimizer=numbers.optimizer,
        temperature=numbers.temperature,
        name=name,
    )
