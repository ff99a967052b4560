"""SPEAR: recent good episodes are imitated, ever more, while a reward for long episodes fades away.

"Learn the Ropes, Then Trust the Wins: Self-imitation with Progressive Exploration for Agentic Reinforcement Learning", 2025,
arXiv:2509.22601; checked with https://github.com/TencentYoutuResearch/SPEAR,
``verl-agent/verl/trainer/ppo/ray_trainer_hybrid.py``, ``verl/workers/actor/dp_actor.py`` and
``agent_system/reward_manager/episode.py``.

Its third part, Clip-Cov, drops steps whose advantage and log-probability go together most. It is not here: with outcomes 0 and 1
the recalibrated advantages of all replayed episodes are one number, and their covariance with anything is zero.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.argument_checks import check_numbers
from rl_jax.experience.advantage.group import check_groups, check_whole
from rl_jax.experience.selection.columns import ring_slots
from rl_jax.experience.transform import Transform
from rl_jax.losses.terms import surrogate
from rl_jax.ops import random_index
from rl_jax.ops.groups import episode_mean, grouped
from rl_jax.types import Boundary, Context, Key, Metrics, PyTree, Rollout, Spec
from rl_jax.values import Count, NotNegative, Share


class Buffer(NamedTuple):
    """``K`` episodes, and the last ``M`` groups' mean outcomes.

    ``steps``: observation, action, log-probability and ``own`` ``[K, T, ...]``. ``outcome``, ``advantage``: ``[K]``. ``born``:
    the train step of each episode ``[K]``, long ago where there is none. ``head``, ``groups``: how many were ever written.
    ``means``: ``[M]``.
    """

    steps: PyTree
    outcome: jax.Array
    advantage: jax.Array
    born: jax.Array
    head: jax.Array
    means: jax.Array
    groups: jax.Array


@struct.dataclass
class SelfImitationBuffer(Transform):
    """Stores episodes of positive advantage, and gives each column of a rollout a stored one to imitate, for :class:`SelfImitation`.

    Adds ``extras["replay"]`` (observation, action and log-probability of the stored episodes, ``[T, N, ...]``),
    ``["replay_advantage"]`` and ``["replay_weight"]``. The advantage is calculated anew: the episode's outcome minus the median
    of the groups' mean outcomes of late; only those with one of at least 0 are replayed. The weight rises as ``c (1 - cos(pi t /
    up)) / 2`` and then stays.

    The released code waits until the buffer is full, replays all of it once and empties it; here ``N`` episodes are drawn in each
    train step. Stands after the advantage, which needs ``extras["outcome"]``.

    Attributes:
        capacity: episodes; 2048 in the released code.
        baseline: groups whose means the median is taken of; 10240 in the released code, which are 320 of its train steps.
        size: episodes of a group.
        tolerate: episodes older than so many train steps are not replayed; 5 to 10 in the released code.
        coefficient: ``c``; 1 in the released code.
        up: ``up`` as a share of the training; 100 to 200 train steps in the released code. 0: the full weight from the start.
        recalibrate: otherwise the advantage is that of the time of storing.
    """

    size: int = struct.field(pytree_node=False)
    capacity: int = struct.field(pytree_node=False, default=2048)
    baseline: int = struct.field(pytree_node=False, default=10240)
    tolerate: Any = 10
    coefficient: Any = 1.0
    up: Any = 0.5
    recalibrate: Any = True

    def init(self, key: Key, spec: Spec) -> Buffer:
        check_groups(spec, "self_imitation_buffer", self.size)
        check_numbers("self_imitation_buffer's", self, capacity=Count, baseline=Count)
        check_numbers("self_imitation_buffer's", self, tolerate=NotNegative, coefficient=NotNegative, up=Share)
        length = spec.rollout_length
        steps = jax.tree.map(
            lambda x: jnp.zeros((self.capacity, length, *x.shape[2:]), x.dtype),
            _steps(spec.rollout, spec.rollout.extras["own"]),
        )
        none, count = jnp.zeros((self.capacity,), jnp.float32), jnp.zeros((), jnp.int32)
        born = jnp.full((self.capacity,), -(2**30), jnp.int32)
        return Buffer(steps, none, none, born, count, jnp.full((self.baseline,), jnp.inf, jnp.float32), count)

    def update(self, state: Buffer, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        own, advantage, outcome = (rollout.extras[name] for name in ("own", "advantage", "outcome"))
        # An episode of group methods has one advantage; what a step's part adds is averaged over its own steps.
        mean = episode_mean(advantage, own)
        baseline = self._add_means(state, grouped(outcome[0], self.size).mean(-1))
        replayed, metrics = self._draw(baseline, context)
        stored = self._store(baseline, _steps(rollout, own), outcome[0], mean, context.update)
        return stored, rollout.with_extras(**replayed), metrics

    def _add_means(self, state: Buffer, means: jax.Array) -> Buffer:
        places = (state.groups + jnp.arange(means.shape[0], dtype=jnp.int32)) % self.baseline
        return state._replace(means=state.means.at[places].set(means), groups=state.groups + means.shape[0])

    def _draw(self, state: Buffer, context: Context) -> tuple[dict[str, Any], Metrics]:
        anew = state.outcome - median(state.means, state.groups)
        advantage = jnp.where(self.recalibrate, anew, state.advantage)
        recent = state.born >= context.update - jnp.asarray(self.tolerate).astype(jnp.int32)
        usable = recent & (advantage >= 0)
        count = jnp.sum(usable, dtype=jnp.int32)
        columns = context.collected.reward.shape[1]
        order = jnp.argsort(~usable, stable=True)
        chosen = order[random_index(context.key, (columns,), count)]
        steps = jax.tree.map(lambda x: jnp.moveaxis(x[chosen], 0, 1), state.steps)
        share = jnp.where(self.up > 0, jnp.minimum(context.progress / jnp.maximum(self.up, 1e-6), 1.0), 1.0)
        strength = self.coefficient * (1 - jnp.cos(jnp.pi * share)) / 2 * (count > 0)
        own = steps.pop("own").astype(jnp.float32)
        weight = strength * own / jnp.maximum(jnp.mean(own), 1e-6)
        advantage = jnp.broadcast_to(advantage[chosen], own.shape)
        metrics = {
            "spear/strength": strength,
            "spear/usable": count.astype(jnp.float32),
            "spear/advantage": jnp.mean(advantage),
        }
        return {"replay": steps, "replay_advantage": advantage, "replay_weight": weight}, metrics

    def _store(self, state: Buffer, steps: PyTree, outcome: jax.Array, advantage: jax.Array, now: jax.Array) -> Buffer:
        good = advantage > 0
        place = ring_slots(good, state.head, self.capacity)

        def put(old: jax.Array, new: jax.Array) -> jax.Array:
            return old.at[place].set(new, mode="drop")

        return state._replace(
            steps=jax.tree.map(lambda old, new: put(old, jnp.moveaxis(new, 0, 1)), state.steps, steps),
            outcome=put(state.outcome, outcome),
            advantage=put(state.advantage, advantage),
            born=put(state.born, jnp.broadcast_to(now, outcome.shape)),
            head=state.head + jnp.sum(good, dtype=jnp.int32),
        )


def _steps(rollout: Any, own: Any) -> dict[str, Any]:
    """What is stored of a rollout."""
    return {"obs": rollout.obs, "action": rollout.action, "log_prob": rollout.extras["log_prob"], "own": own}


def median(values: jax.Array, count: jax.Array) -> jax.Array:
    """The median of a ring ``[M]`` in which ``count`` were ever written, the others being infinite."""
    held = jnp.clip(count, 1, values.shape[0])
    ordered = jnp.sort(values)
    return (ordered[(held - 1) // 2] + ordered[held // 2]) / 2


@struct.dataclass
class SelfImitation:
    """The clipped objective of the replayed episodes, with the log-probabilities of the time when they were collected.

    A number, not one for each item: its own weight, ``extras["replay_weight"]``, is in it.

    Attributes:
        low, high: of the ratio's interval: 0.2 and 0.28 in the released code.
    """

    low: Any = 0.2
    high: Any = 0.28

    def __call__(self, params: PyTree, batch: Rollout, context: Context) -> tuple[jax.Array, Metrics]:
        stored, advantage = batch.extras["replay"], batch.extras["replay_advantage"]
        memory = jax.tree.map(lambda x: x[0], batch.carry)
        start = Boundary(stored["obs"], batch.first[0], memory, (), (), batch.reward[0])
        episodes = batch.replace(obs=stored["obs"], start=start)  # type: ignore[attr-defined]
        policy = context.agent.outputs(params, episodes).policy
        ratio = jnp.exp(policy.log_prob(stored["action"]) - stored["log_prob"])
        loss = -surrogate(ratio, advantage, 1.0 - self.low, 1.0 + self.high)
        return jnp.mean(batch.extras["replay_weight"] * loss), {}


@struct.dataclass
class LengthReward(Transform):
    """Pays an episode ``min(1, rate * steps)`` at its end, times ``(1 + cos(pi t / down)) / 2``, which fades to nothing.

    The paper means calls of tools; the released code for ALFWorld and WebShop counts steps, whatever they do.

    Attributes:
        rate: 0.1 in the released code.
        down: the share of the training after which nothing is paid; 100 to 200 train steps in the released code. 0: never fades.
    """

    rate: Any = 0.1
    down: Any = 0.5

    def init(self, key: Key, spec: Spec) -> PyTree:
        check_whole(spec, "length_reward")
        check_numbers("length_reward's", self, rate=NotNegative, down=Share)
        return ()

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        steps = jnp.sum(rollout.extras["own"], 0)
        share = jnp.where(self.down > 0, jnp.minimum(context.progress / jnp.maximum(self.down, 1e-6), 1.0), 0.0)
        paid = jnp.minimum(1.0, self.rate * steps) * (1 + jnp.cos(jnp.pi * share)) / 2
        return state, rollout.replace(reward=rollout.reward + paid * rollout.done), {}  # type: ignore[attr-defined]


def self_imitation_buffer(size: int, **options: Any) -> SelfImitationBuffer:
    """A buffer of good episodes; see :class:`SelfImitationBuffer`."""
    return SelfImitationBuffer(size, **options)
