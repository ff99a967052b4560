"""Conservative values: what a critic thinks of actions that are not in the data is pressed down."""

import math
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

from rl_jax.networks.distributions import Categorical
from rl_jax.ops import along
from rl_jax.types import Key, Metrics, PyTree, Rollout


@struct.dataclass
class Conservative:
    """``weight * E[log sum_a exp Q(s, a) - Q(s, a_data)]``, summed over the critics: CQL(H).

    Kumar et al. 2020, "Conservative Q-Learning", arXiv 2006.04779, eq. 4. Among choices the sum is exact. In a box it is estimated by
    importance sampling from uniform actions, and from the policy's in this state and in the next one (appendix F).

    A term of :class:`rl_jax.agents.SoftActorCritic`.

    Attributes:
        weight: the paper's alpha.
        samples: actions of each of the three kinds.
    """

    weight: Any = 5.0
    samples: int = struct.field(pytree_node=False, default=10)

    def __call__(self, agent: Any, critics: PyTree, params: PyTree, batch: Rollout, key: Key) -> tuple[jax.Array, Metrics]:
        policy = agent.policy(params["actor"], batch.obs)
        if isinstance(policy, Categorical):
            q = agent.q_values(critics, batch.obs, None)
            largest = jax.nn.logsumexp(q, axis=-1)
            chosen = jnp.take_along_axis(q, jnp.broadcast_to(batch.action, q.shape[:-1])[..., None], axis=-1)[..., 0]
        else:
            action, log_density = self._actions(agent, params, batch, policy, key)
            number = action.shape[0]
            repeated = jax.tree.map(lambda x: jnp.broadcast_to(x, (number, *x.shape)).reshape(-1, *x.shape[1:]), batch.obs)
            q = agent.q_values(critics, repeated, action.reshape(-1, *action.shape[2:]))
            q = q.reshape(q.shape[0], number, -1)  # [members, samples, B]
            largest = jax.nn.logsumexp(q - log_density, axis=1) - math.log(number)
            chosen = agent.q_values(critics, batch.obs, batch.action)
        gap = jnp.mean(jnp.sum(largest - chosen, axis=0))
        return self.weight * gap, {"loss/conservative": gap}

    def _actions(self, agent: Any, params: PyTree, batch: Rollout, policy: Any, key: Key) -> tuple[jax.Array, jax.Array]:
        """Actions ``[3 samples, B, ...]`` and their log-densities ``[3 samples, B]``, which no gradient goes through."""
        keys = jax.random.split(key, 3)
        shape = (self.samples, *batch.action.shape)
        uniform = jax.random.uniform(keys[0], shape, minval=-1.0, maxval=1.0)
        density = jnp.full(shape[:2], -math.log(2.0) * math.prod(batch.action.shape[1:]))
        actions, densities = [uniform], [density]
        # After a termination the next observation is nobody's, and may be anything.
        there = jax.tree.map(lambda now, later: jnp.where(along(batch.terminated, now), now, later), batch.obs, batch.next_obs)
        for own, key_own in ((policy, keys[1]), (agent.policy(params["actor"], there), keys[2])):
            u = own.unsquashed(jax.random.normal(key_own, shape))
            actions.append(jnp.tanh(u))
            densities.append(own.log_prob_unsquashed(u))
        return jax.lax.stop_gradient((jnp.concatenate(actions), jnp.concatenate(densities)))
