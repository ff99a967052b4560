"""ReLIC: PPO after every segment of a trial, with the trial's observations so far as context."""

from collections.abc import Callable
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.agents.base import AgentBase
from rl_jax.agents.optimizers import Schedule
from rl_jax.agents.policy_gradient.ppo import ppo
from rl_jax.agents.policy_gradient.update import Learner, PolicyGradient
from rl_jax.errors import RLJaxError
from rl_jax.networks import History, Transformer, WithHistory, actor_critic
from rl_jax.networks.build import build_recurrent_network
from rl_jax.ops import any_true
from rl_jax.spaces import example
from rl_jax.types import Context, Key, Metrics, PyTree, Rollout, Sample, Spec


class ReLICState(NamedTuple):
    """What is learned, and of the last segments what an update over all of them needs, ``[segments, T, N, ...]`` (or ``()``)."""

    learner: Learner
    kept: PyTree


@struct.dataclass
class ReLIC(AgentBase):
    """An on-policy learner that learns in the middle of trials (Elawady et al. 2024, "ReLIC", arXiv:2410.02751, ICLR 2025).

    A trial is one episode of :class:`rl_jax.envs.Trial`. One train step is one segment of it, ``rollout_length`` steps: a
    *partial update* with the loss on the newest segment alone, and the trial so far as context. Then :meth:`refresh` recomputes the
    keys and values of the running trials' observations with the new parameters, and acting continues.

    As in the published code: gradients flow through the context, a trial's last update covers all of its steps instead of the
    newest segment (``segments``), the learning rate rises linearly and falls by a cosine. Otherwise here: this last update uses the
    advantages that were estimated when each segment was the newest (there: once more, with fresh values); past episodes are not
    shuffled; layers are not dropped. There, no reward of a later inner episode is credited to an earlier one: that is
    ``trial_gae(gamma_trial=0)``.

    Attributes:
        learner: acts and learns, given the memory.
        final_learning_rate: what the learner's falls to, over the planned training; one that is a schedule does as it says.
        warmup: share of the training in which it rises to there.
        history: ``H``, steps of a trial that are kept to be recalled: its length without the newest segment.
        segments: every so many train steps, one update over all of their steps; give as many as a trial has. 0: never.
        recall: learn with the context recomputed from the observations; otherwise with the memory as it was when the segment began, as
            a constant, which costs no more than the segment (the published code's ``ignore_old_obs_grad``).
        refreshes: recompute memories after learning; otherwise they stay those of the old parameters.
    """

    learner: PolicyGradient
    final_learning_rate: Any = 1e-5
    warmup: Any = 0.002
    history: int = struct.field(pytree_node=False, default=4096)
    segments: int = struct.field(pytree_node=False, default=0)
    recall: bool = struct.field(pytree_node=False, default=True)
    refreshes: bool = struct.field(pytree_node=False, default=True)

    def bind(self, spec: Spec) -> "ReLIC":
        """Fit the network to the spaces, and a history to its memory.

        Raises:
            RLJaxError: no history, or no memory that it could be of use to.
        """
        if self.history < 1 or self.segments < 0:
            raise RLJaxError(f"ReLIC keeps at least one step and no fewer than 0 segments, not {self.history}, {self.segments}")
        network = self.learner.network
        inner = build_recurrent_network(network, spec)
        if not jax.tree.leaves(inner.initial_carry(1)):
            raise RLJaxError("ReLIC needs a network with a memory: actor_critic(spec, memory=Transformer(...)), for one")
        with_history = WithHistory(inner, self.history, spec.obs_space)
        return self.replace(learner=self.learner.replace(network=with_history).bind(spec))  # type: ignore[attr-defined]

    def init(self, key: Key, spec: Spec) -> ReLICState:
        learner = self.learner.init(key, spec)
        if not self.segments:
            return ReLICState(learner, ())
        lead = (self.segments, spec.rollout_length)
        obs, first = example(spec.obs_space, spec.num_envs), jnp.ones((spec.num_envs,), bool)
        carry = self.initial_carry(spec.num_envs)
        _, action, extras = jax.eval_shape(lambda k: self.learner.act(learner, carry, obs, first, k), jax.random.key(0))
        number = extras["value"]
        names = ("log_prob", "value", "advantage", "value_target")
        row = {"obs": obs, "first": first, "action": action, "extras": dict.fromkeys(names, number)}
        return ReLICState(learner, jax.tree.map(lambda x: jnp.zeros((*lead, *x.shape), x.dtype), row))

    def initial_carry(self, num_envs: int) -> History:
        return self.learner.initial_carry(num_envs)

    def act(
        self, state: ReLICState, carry: History, obs: PyTree, first: jax.Array, key: Key, greedy: bool = False
    ) -> tuple[History, jax.Array, dict[str, jax.Array]]:
        """Actions ``[N]`` of the learner's policy, with its extras."""
        return self.learner.act(state.learner, carry, obs, first, key, greedy)

    def value(self, state: ReLICState, carry: History, obs: PyTree, first: jax.Array) -> jax.Array:
        """``V`` of ``obs`` ``[N, ...]``; ``[N]``."""
        return self.learner.value(state.learner, carry, obs, first)

    def learn(self, state: ReLICState, sample: Sample, context: Context) -> tuple[ReLICState, Metrics, None]:
        """A partial update on the newest segment; after ``segments`` of them, one on all instead."""
        learner = self._scheduled_learner(context)
        recalling = learner.replace(network=learner.network.clone(recall=self.recall))  # type: ignore[attr-defined, union-attr]
        if not self.segments:
            next_learner, metrics, _ = recalling.learn(state.learner, sample, context)
            return ReLICState(next_learner, ()), metrics, None
        turn = context.update % self.segments
        kept = jax.tree.map(
            lambda all, new: jax.lax.dynamic_update_index_in_dim(all, new.astype(all.dtype), turn, 0),
            state.kept,
            _fields(sample.batch, state.kept["extras"]),
        )

        def partial_update(current: Learner) -> tuple[Learner, Metrics]:
            return recalling.learn(current, sample, context)[:2]

        def full_update(current: Learner) -> tuple[Learner, Metrics]:
            # Nothing was kept of what came before these segments, so the memory is the empty one.
            rows = jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), kept)
            batch = sample.batch
            nothing = {name: None for name in ("terminated", "truncated", "next_obs", "env_state", "level", "info", "last")}
            start = batch.start.replace(carry=self.initial_carry(batch.first.shape[1]))  # type: ignore[attr-defined]
            rows["reward"] = rows["extras"]["value_target"]  # has the shape; no term may read it
            batch = batch.replace(**rows, **nothing, carry=None, start=start)  # type: ignore[attr-defined]
            return learner.learn(current, sample._replace(batch=batch), context)[:2]

        # The number of the train step is the same in all runs of a batch, so a branch stays a branch.
        next_learner, metrics = jax.lax.cond(any_true(turn == self.segments - 1), full_update, partial_update, state.learner)
        return ReLICState(next_learner, kept), metrics, None

    def _scheduled_learner(self, context: Context) -> PolicyGradient:
        """The learner with the scheduled learning rate."""
        rate, low = self.learner.learning_rate, self.final_learning_rate
        if isinstance(rate, Schedule):
            return self.learner
        rising = jnp.minimum(context.progress / jnp.maximum(self.warmup, 1e-9), 1.0)
        cosine = 0.5 * (1.0 + jnp.cos(jnp.pi * context.progress))
        rate = jnp.where(rising < 1.0, rising * rate, low + (rate - low) * cosine)
        return self.learner.replace(learning_rate=rate, anneal=False)  # type: ignore[attr-defined]

    def refresh(self, state: ReLICState, carry: History) -> History:
        """The carries of the running trials, recomputed by the new parameters from the trials' observations."""
        if not self.refreshes:
            return carry
        return self.learner.network.apply(state.learner.params, carry, method="recompute")  # type: ignore[union-attr, return-value]

    def params(self, state: ReLICState) -> PyTree:
        return state.learner.params


def _fields(batch: Rollout, extras: dict[str, jax.Array]) -> PyTree:
    """The fields of a rollout that an update reads."""
    chosen = {name: batch.extras[name] for name in extras}
    return {"obs": batch.obs, "first": batch.first, "action": batch.action, "extras": chosen}


def relic(
    network: nn.Module | Callable[[Spec], nn.Module] | None = None,
    trial: int = 4096,
    segments: int = 16,
    full_update: bool = True,
    learning_rate: Any = 2e-4,
    entropy_weight: Any = 0.01,
    max_grad_norm: Any = 0.2,
    epochs: int = 4,
    minibatches: int = 2,
    standardize: bool = False,
    **more: Any,
) -> ReLIC:
    """ReLIC with PPO and the published defaults; see :class:`ReLIC`.

    Needs ``rollout_length = trial / segments``, and an experience chain that ends in :func:`rl_jax.experience.trial_gae`.

    Args:
        network: a module with a memory or a function from :class:`~rl_jax.types.Spec` to one; default: a transformer of two
            layers and 64 units over the whole trial, with a sink.
        trial: steps of a trial.
        segments: updates per trial; 1: none is partial.
        full_update: the last of a trial covers all of it.
        learning_rate, entropy_weight, max_grad_norm, epochs, minibatches: of :func:`rl_jax.agents.ppo`.
        standardize: standardise advantages within each minibatch.
        more: further fields of :class:`ReLIC`.
    """
    if segments < 1 or trial % segments:
        raise RLJaxError(f"a trial of {trial} steps cannot be cut into {segments} equal segments: choose a divisor")
    # An update on what is only one segment is a full one already.
    numbers = {"history": max(1, trial - trial // segments), "segments": segments if full_update and segments > 1 else 0}
    memory = Transformer(64, trial, sink="kv")
    learner = ppo(
        network=network or (lambda spec: actor_critic(spec, (64,), "relu", memory)),
        learning_rate=learning_rate,
        entropy_weight=entropy_weight,
        max_grad_norm=max_grad_norm,
        epochs=epochs,
        minibatches=minibatches,
        standardize_advantage="minibatch" if standardize else "none",
    )
    return ReLIC(learner, **{**numbers, **more})
