"""What streaming agents share: one step at a time, eligibility traces, and steps along them that are bounded, or not."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import struct

from rl_jax.agents.configs.streaming import StepRule
from rl_jax.agents.continuous import single_steps
from rl_jax.agents.optimizers import Optimizer, optimizer, rate_now
from rl_jax.errors import RLJaxError, chosen
from rl_jax.losses import td_target
from rl_jax.ops.obgd import along, obgd
from rl_jax.types import Context, Metrics, PyTree, Rollout, Sample, Spec


def check_stream(name: str, spec: Spec) -> None:
    """Refuse anything but one step of one environment.

    Raises:
        RLJaxError: ``num_envs`` or ``rollout_length`` is not 1.
    """
    if (spec.num_envs, spec.rollout_length) != (1, 1):
        raise RLJaxError(
            f"{name} learns from each step of one stream as it arrives, and its traces are of that stream; num_envs="
            f"{spec.num_envs} and rollout_length={spec.rollout_length} would be another algorithm, with averaged gradients: use "
            "num_envs=1 and rollout_length=1, and vmap over keys (rl-jax: --seeds) for many independent streams"
        )


def one_step(name: str, sample: Sample) -> Rollout:
    """The step just taken, with leaves ``[1, ...]``.

    Raises:
        RLJaxError: the batch is not one step of one environment, in order.
    """
    if sample.batch.reward.shape != (1, 1) or sample.indices is not None:
        raise RLJaxError(
            f"{name} learns from each step once, in order: leave out replay (the default is rl_jax.replay.OnPolicy)"
        )
    return single_steps(sample)


def td_error(step: Rollout, gamma: Any, value: jax.Array, following: jax.Array) -> jax.Array:
    """``reward + gamma (1 - terminated) V(next_obs) - V(obs)``: a truncated step bootstraps from the true next observation.

    (The paper's code takes a truncation for a termination, and shows its agents the time within the episode instead.)
    """
    return td_target(step.with_extras(discount=jnp.asarray(gamma, jnp.float32)), following) - value


class Traced(NamedTuple):
    """The memory of a network that learns along its trace.

    Attributes:
        trace: ``z`` as it was stepped along, of the parameters' structure.
        keep: 0 if nothing of it is left for the next step, else 1; ``float32``. (Clearing it at once would be one more pass.)
        opt_state: the optimiser's state, or ``()`` if there is none.
    """

    trace: PyTree
    keep: jax.Array
    opt_state: PyTree


@struct.dataclass
class TraceStep:
    """Accumulates gradients into a trace and moves parameters along it, times the TD error.

    Attributes:
        learning_rate: ``alpha``; a schedule is asked for it by :meth:`at`.
        kappa: of :func:`rl_jax.ops.obgd`.
        rule: ``obgd``; or the classic ``sgd``, ``w + alpha delta z``; or ``adam``, to which ``-delta z`` is the gradient.
        optimizer: with ``sgd``, to which ``-delta z`` is the gradient: a name, or a transformation of optax, which has a step size
            of its own; ``None`` for none.
    """

    learning_rate: Any
    kappa: Any
    rule: StepRule = struct.field(pytree_node=False)
    optimizer: Optimizer | None = struct.field(pytree_node=False, default=None)

    def transformation(self) -> optax.GradientTransformation | None:
        """What scales the step, if anything does.

        Raises:
            RLJaxError: there is no such rule, or it takes no optimiser.
        """
        usual = chosen("rule of steps", self.rule, {"obgd": None, "sgd": None, "adam": "adam"})
        if self.optimizer is not None and self.rule != "sgd":
            raise RLJaxError(
                f"{self.rule} makes steps of its own, which no optimizer could scale: give step_rule='sgd' with it"
            )
        kind = self.optimizer or usual
        return None if kind is None else optimizer(kind)

    def at(self, context: Context) -> "TraceStep":
        """The same, with the learning rate of this train step."""
        return self.replace(learning_rate=rate_now(self.learning_rate, context))  # type: ignore[attr-defined]

    def init(self, params: PyTree) -> Traced:
        """An empty trace."""
        scale = self.transformation()
        opt_state = () if scale is None else scale.init(params)
        return Traced(jax.tree.map(jnp.zeros_like, params), jnp.ones((), jnp.float32), opt_state)

    def step(
        self, params: PyTree, state: Traced, grads: PyTree, delta: jax.Array, decay: Any, end: jax.Array
    ) -> tuple[PyTree, Traced, jax.Array]:
        """``z <- decay z + grads``; move; and if this is the ``end``, the next ``z`` starts from zero.

        Args:
            params, state: of the network.
            grads: gradient of its value (not of a loss) at this step.
            delta: TD error, a scalar.
            decay: ``gamma lambda``.
            end: whether what follows owes nothing to what was before, a scalar.

        Returns:
            Parameters, memory, and the step size (of an optimiser: what its updates are multiplied with).
        """
        decay = decay * state.keep
        trace = jax.tree.map(lambda z, g: (decay * z + g).astype(z.dtype), state.trace, grads)
        whole = isinstance(self.optimizer, optax.GradientTransformation)
        opt_state, size = state.opt_state, jnp.asarray(1.0 if whole else self.learning_rate, jnp.float32)
        scale = self.transformation()
        if self.rule == "obgd":
            params, size = obgd(params, trace, delta, self.learning_rate, self.kappa)
        elif scale is None:
            params = along(params, trace, size * delta)
        else:
            # A named one scales what is climbed along; what optax has made goes down gradients, by updates that are added.
            sign = -1.0 if whole else 1.0
            direction, opt_state = scale.update(jax.tree.map(lambda z: sign * delta * z, trace), opt_state, params)
            params = along(params, direction, size)
        return params, Traced(trace, 1.0 - end.astype(jnp.float32), opt_state), size


def td_lambda_update(
    rule: TraceStep,
    params: PyTree,
    state: Traced,
    step: Rollout,
    value: Callable[[PyTree], tuple[jax.Array, jax.Array]],
    following: Callable[[PyTree], jax.Array],
    gamma: Any,
    lam: Any,
    overshoot: bool,
) -> tuple[PyTree, Traced, jax.Array, Metrics]:
    """One update of a value by TD(lambda).

    The trace is cleared, after the update, where the episode ends, for whichever reason.

    Args:
        rule, params, state: of the value's network.
        step: the step just taken, ``[1, ...]``.
        value: parameters to the value that the step is about, and whether the trace must be cleared after it; scalars.
        following: parameters to the value ``[1]`` of what follows, unless the step terminated.
        gamma, lam: discount, and decay of the trace besides it.
        overshoot: report whether the error has the other sign after the update, everything in it computed anew.

    Returns:
        Parameters, memory, the TD error before the update, and metrics.
    """
    (now, cut), grads = jax.value_and_grad(value, has_aux=True)(params)

    def error(params: PyTree, now: jax.Array) -> jax.Array:
        return td_error(step, gamma, now, following(params))[0]

    delta = error(params, now)
    after, state, size = rule.step(params, state, grads, delta, gamma * lam, step.done[0] | cut)
    metrics = {"value/mean": now, "value/td_error": jnp.abs(delta), "stream/step_size": size}
    if overshoot:
        metrics["stream/overshoot"] = error(after, value(after)[0]) * delta < 0.0
    return after, state, delta, metrics
