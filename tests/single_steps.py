"""Single steps with all kinds of ends, and agents that learn from them: for actor-critics with replay."""

import jax
import jax.numpy as jnp
import numpy as np
from toy import context, rollout_of

from rl_jax.spaces import Box, Discrete
from rl_jax.types import Sample, Spec

B = 6
UNIT = Box.of(-1.0, 1.0, (2,))
BOX = Spec(Box.of(-1.0, 1.0, (3,)), UNIT, 4, 1)
THREE = Spec(Box.of(-1.0, 1.0, (3,)), Discrete(3), 4, 1)


def batch(spec=BOX, seed=0, weights=None):
    """Random single steps ``[1, B]``; the first two are terminated, the next two truncated."""
    draw = np.random.default_rng(seed)
    obs, next_obs = draw.normal(size=(2, 1, B, 3)).astype(np.float32)
    rollout = rollout_of(
        draw.normal(size=(1, B)),
        terminated=np.arange(B)[None] < 2,
        truncated=(np.arange(B)[None] >= 2) & (np.arange(B)[None] < 4),
        obs=jnp.asarray(obs),
        next_obs=jnp.asarray(next_obs),
        discount=np.float32(0.9) ** draw.integers(1, 4, size=(1, B)).astype(np.float32),
    )
    discrete = isinstance(spec.action_space, Discrete)
    action = draw.integers(0, 3, size=(1, B)) if discrete else draw.uniform(-1, 1, size=(1, B, 2)).astype(np.float32)
    return Sample(rollout.replace(action=jnp.asarray(action), start=None, last=None), weights, None)


def begun(agent, spec=BOX, seed=0):
    """A bound agent and its state, moved so that no two parts of it agree by chance."""
    agent = agent.bind(spec)
    state = agent.init(jax.random.key(seed), spec)
    leaves, treedef = jax.tree.flatten(state.params)
    keys = jax.random.split(jax.random.key(seed + 1), len(leaves))
    moved = [x + 0.3 * jax.random.normal(keys[i], x.shape) for i, x in enumerate(leaves)]
    return agent, state.replace(params=jax.tree.unflatten(treedef, moved))


def learn(agent, state, sample, times=1):
    """So many learning steps, each with a key of its own."""
    step = jax.jit(lambda state, key: agent.learn(state, sample, context().replace(key=key)))
    for i in range(times):
        state, metrics, priorities = step(state, jax.random.key(i))
    return state, metrics, priorities
