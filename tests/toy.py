"""Small parts that tests share: environments whose every number is predictable, a spy, and readers of compiled programs."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.extend.core import ClosedJaxpr, Jaxpr

from rl_jax.experience import Transform
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Boundary, Context, Rollout, Step

TWO = Discrete(2)


class ClockState(NamedTuple):
    start: jax.Array
    time: jax.Array
    ballast: jax.Array


@dataclass(frozen=True)
class Clock:
    """Observation ``(start, time)``, ``start`` drawn at reset from ``[0, 1)``; reward ``start + time``, times ``params``.

    Attributes:
        length: steps of an episode; ``ends`` says how it ends: "terminated", "truncated" or "never".
        act_space: any; what the environment receives is reported as ``info["received"]``.
        ballast: floats that the state carries along.
        bad_time: the step of an episode whose reward is NaN.
    """

    length: int = 5
    ends: str = "terminated"
    act_space: Any = TWO
    ballast: int = 0
    bad_time: int = -1
    name: str = "clock"
    time_limit: int | None = None

    @property
    def default_params(self):
        return jnp.float32(1.0)

    def observation_space(self, params):
        return Box.of(-np.inf, np.inf, (2,))

    def action_space(self, params):
        return self.act_space

    def reset(self, key, params):
        # lgamma is here to be found in compiled programs: nothing else uses it.
        start = jax.random.uniform(key) + 0.0 * jax.lax.lgamma(jnp.float32(1.5))
        state = ClockState(start, jnp.int32(0), jnp.zeros((self.ballast,), jnp.float32))
        return state, self.look(state)

    def step(self, key, state, action, params):
        reward = (state.start + state.time.astype(jnp.float32)) * params
        reward = jnp.where(state.time == self.bad_time, jnp.nan, reward)
        state = ClockState(state.start, state.time + 1, state.ballast + 1.0)
        over = state.time >= self.length
        no = jnp.zeros((), bool)
        ended = over if self.ends == "terminated" else no
        cut = over if self.ends == "truncated" else no
        return Step(state, self.look(state), reward, ended, cut, {"received": action})

    def look(self, state):
        return jnp.stack([state.start, state.time.astype(jnp.float32)])


@struct.dataclass
class Spy(Transform):
    """Keeps the rollout that it was last shown as its state, so that tests can look at it."""

    def init(self, key, spec):
        return jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), spec.rollout.replace(extras=self.pick(spec.rollout.extras)))

    def pick(self, extras):
        return {name: extras[name] for name in ("log_prob", "value", "truncated_value")}

    def update(self, state, rollout, context):
        return rollout.replace(extras=self.pick(rollout.extras)), rollout, {}


@struct.dataclass
class SpyTargets(Transform):
    """Keeps ``(reward, value, value_target, advantage)`` ``[4, T, N]``."""

    def init(self, key, spec):
        return jnp.zeros((4, spec.rollout_length, spec.num_envs), jnp.float32)

    def update(self, state, rollout, context):
        extras = rollout.extras
        return jnp.stack([rollout.reward, extras["value"], extras["value_target"], extras["advantage"]]), rollout, {}


@struct.dataclass
class MaxRatio:
    """A loss term that is only looked at: the largest ``|log ratio|`` of a minibatch."""

    def __call__(self, params, batch, context):
        log_ratio = context.outputs.policy.log_prob(batch.action) - batch.extras["log_prob"]
        return jnp.zeros(()), {"ratio/max": jnp.max(jnp.abs(log_ratio))}


class LinearValue:
    """An agent of which only ``value`` is known: ``2 * obs + 1``, plus the memory unless an episode begins."""

    def value(self, state, carry, obs, first):
        value = 2.0 * obs[..., 0] + 1.0
        for leaf in jax.tree.leaves(carry):
            value = value + jnp.where(first, 0.0, leaf[..., 0])
        return value


def context(agent=None, agent_state=(), progress=0.0, outputs=None, seed=0):
    """A context for calling a part by hand."""
    return Context(
        key=jax.random.key(seed),
        agent=agent,
        agent_state=agent_state,
        update=jnp.int32(0),
        progress=jnp.float32(progress),
        horizon=jnp.float32(1.0),
        steps=jnp.float32(0.0),
        outputs=outputs,
    )


def border(obs, first=None, carry=()):
    """A boundary from what a test cares about."""
    first = jnp.zeros(obs.shape[:1], bool) if first is None else first
    return Boundary(jnp.asarray(obs), jnp.asarray(first), carry, (), (), jnp.arange(obs.shape[0]))


def rollout_of(reward, terminated=None, truncated=None, obs=None, next_obs=None, first=None, carry=(), last=None, **extras):
    """A rollout from the fields that a test cares about; the others are zeros."""
    reward = jnp.asarray(reward, jnp.float32)
    no = jnp.zeros(reward.shape, bool)
    obs = jnp.zeros((*reward.shape, 1)) if obs is None else obs
    start = border(obs[0], no[0], jax.tree.map(lambda c: c[0], carry))
    if last is None:
        last = border(obs[-1], no[-1], jax.tree.map(lambda c: c[-1], carry))
    return Rollout(
        obs=obs,
        action=jnp.zeros(reward.shape, jnp.int32),
        reward=reward,
        terminated=no if terminated is None else jnp.asarray(terminated),
        truncated=no if truncated is None else jnp.asarray(truncated),
        first=no if first is None else jnp.asarray(first),
        next_obs=obs if next_obs is None else next_obs,
        carry=carry,
        env_state=(),
        level=(),
        info={},
        extras={name: jnp.asarray(x) for name, x in extras.items()},
        start=start,
        last=last,
    )


def shaken(state, seed=0, scale=0.5):
    """A train state whose network has been moved at random, so that its policy is far from uniform."""
    leaves, treedef = jax.tree.flatten(state.agent.params)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    leaves = [x + scale * jax.random.normal(keys[i], x.shape, x.dtype) for i, x in enumerate(leaves)]
    return state.replace(agent=state.agent.replace(params=jax.tree.unflatten(treedef, leaves)))


def equations(jaxpr, inside_cond=False):
    """Every equation of a program and of the programs in it, with whether it stands in a branch of a ``cond``."""
    if isinstance(jaxpr, ClosedJaxpr):
        jaxpr = jaxpr.jaxpr
    for equation in jaxpr.eqns:
        yield equation, inside_cond
        within = inside_cond or equation.primitive.name == "cond"
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=lambda x: isinstance(x, Jaxpr | ClosedJaxpr)):
            if isinstance(value, Jaxpr | ClosedJaxpr):
                yield from equations(value, within)


def places(program, primitive):
    """For each use of a primitive in a program: whether it stands in a branch of a ``cond``."""
    return [inside for equation, inside in equations(program) if equation.primitive.name == primitive]


def unchecked():
    """Without key-reuse checks: JAX's checker takes the transposed keys of a scan under vmap for used ones."""
    return jax.debug_key_reuse(False)


def leaves_equal(a, b):
    """Whether two pytrees are equal bit for bit (keys by their words)."""
    return all(
        np.array_equal(plain(x), plain(y), equal_nan=True) for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True)
    )


def plain(x):
    """A NumPy array; a typed key's words."""
    if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
        x = jax.random.key_data(x)
    x = np.asarray(x)
    return x.astype(np.float64) if x.dtype.kind in "fiub" else x


def named_leaves(tree):
    """``{path: NumPy array}``."""
    return {jax.tree_util.keystr(path): plain(x) for path, x in jax.tree_util.tree_leaves_with_path(tree)}
