"""Adaptive RR: learn seldom until the critic's plasticity has settled, then often."""

from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.errors import RLJaxError
from rl_jax.types import Context, Key, Rollout


class RatioState(NamedTuple):
    """The state of :class:`AdaptiveReplayRatio`, all scalars.

    Attributes:
        last: the reading of the last check, NaN before there is any.
        total, number: the sum of the readings for the next check, and how many they are.
        since: episodes or environment steps since the last check.
        owed: ``learn`` calls owed, below one.
        waiting: environment steps until the first call.
        raised: whether the ratio is the high one.
        raised_at: environment steps at which it was raised, -1 before.
    """

    last: jax.Array
    total: jax.Array
    number: jax.Array
    since: jax.Array
    owed: jax.Array
    waiting: jax.Array
    raised: jax.Array
    raised_at: jax.Array


@struct.dataclass
class AdaptiveReplayRatio:
    """A low replay ratio at first, the high one for good once the fraction of active units has settled.

    Ma et al. 2024, "Revisiting Plasticity in Visual Reinforcement Learning" (arXiv 2310.07418), section 6, with the constants of the
    authors' code (DrQ-v2). At every check, ``interval`` episodes apart, the mean reading is compared with that of the check before,
    the first time with the very first reading; if they differ by ``threshold`` or less, the ratio is raised. The agent must
    be a :class:`~rl_jax.agents.monitor_plasticity.MonitorPlasticity`, whose state has the reading; one is taken at every train step.

    The paper averages over the interval, the code over its last episode (``window=1``).

    A ratio is ``learn`` calls per environment step, over all environments: with 8 of them and rollouts of one step, 0.5 means four
    calls per train step. Calls owed beyond an integer are carried over, in ``float32``. The numbers are leaves and can be
    swept. Runs in one ``vmap`` differ in when they are raised, so that each train step takes as long as that of the run with the
    most calls.

    Attributes:
        low, high: ratios.
        threshold: what two readings may differ by.
        interval: episodes (over all environments) or environment steps from one check to the next.
        window: of these, how many last ones count for the mean.
        start: environment steps before the first call; their calls are not made up for.
        unit: of ``interval`` and ``window``.
    """

    low: Any = 0.5
    high: Any = 2.0
    threshold: Any = 1e-3
    interval: Any = 50
    window: Any = 50
    start: Any = 0
    unit: Literal["episode", "step"] = struct.field(pytree_node=False, default="episode")

    def init(self, key: Key) -> RatioState:
        """The low ratio, before the first reading.

        Raises:
            RLJaxError: numbers that cannot be.
        """
        del key
        for name in ("low", "high", "interval", "window"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not 0 < value < float("inf"):
                raise RLJaxError(f"AdaptiveReplayRatio: {name} must be a positive number, not {value}")
        if self.unit not in ("episode", "step"):
            raise RLJaxError(f"AdaptiveReplayRatio: unit must be 'episode' or 'step', not {self.unit!r}")
        zero, none = jnp.zeros((), jnp.float32), jnp.full((), -1.0, jnp.float32)
        waiting = jnp.asarray(self.start, jnp.int32)
        return RatioState(zero * jnp.nan, zero, zero, jnp.zeros((), jnp.int32), zero, waiting, jnp.zeros((), bool), none)

    def check(self, state: RatioState, rollout: Rollout, context: Context) -> RatioState:
        """Take the reading, and raise the ratio if a check is due and the reading has settled.

        Raises:
            RLJaxError: the agent's state has no reading.
        """
        monitor_state = context.agent_state
        if not hasattr(monitor_state, "active"):
            raise RLJaxError(
                "AdaptiveReplayRatio reads the agent's plasticity: give the trainer "
                "rl_jax.agents.monitor_plasticity.MonitorPlasticity(agent)"
            )
        known, reading = monitor_state.read, monitor_state.active
        last = jnp.where(known & jnp.isnan(state.last), reading, state.last)
        passed = rollout.reward.size if self.unit == "step" else jnp.sum(rollout.done, dtype=jnp.int32)
        since = state.since + jnp.where(known, passed, 0)
        due = known & (since >= self.interval)
        # The reading is of the learning before this rollout. At least one counts, however much a rollout is.
        counts = known & (due | (state.since >= self.interval - self.window))
        total = state.total + jnp.where(counts, reading, 0.0)
        number = state.number + counts
        mean = total / jnp.maximum(number, 1.0)
        raised = state.raised | (due & (jnp.abs(mean - last) <= self.threshold))
        steps = jnp.asarray(context.steps + rollout.reward.size, jnp.float32)
        return state._replace(
            last=jnp.where(due, mean, last),
            total=jnp.where(due, 0.0, total),
            number=jnp.where(due, 0.0, number),
            since=jnp.where(due, 0, since),
            raised=raised,
            raised_at=jnp.where(raised & ~state.raised, steps, state.raised_at),
        )

    def count(self, state: RatioState, rollout: Rollout, context: Context) -> tuple[RatioState, jax.Array]:
        """The calls due now, ``int32``; the ratio that a check raises holds from its own train step on."""
        state = self.check(state, rollout, context)
        steps = rollout.reward.size
        counted = jnp.maximum(steps - state.waiting, 0).astype(jnp.float32)
        owed = state.owed + counted * jnp.where(state.raised, self.high, self.low)
        calls = jnp.floor(owed)
        state = state._replace(owed=owed - calls, waiting=jnp.maximum(state.waiting - steps, 0))
        return state, calls.astype(jnp.int32)
