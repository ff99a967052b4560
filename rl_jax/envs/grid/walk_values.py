"""Exact values of policies in :class:`~rl_jax.envs.grid.walk.Walk`, by dynamic programming over all places and times."""

import jax
import jax.numpy as jnp

from rl_jax.envs.grid.walk import ACTIONS, STAGES, Plan, Walk, WalkParams, WalkState


def states_of(env: Walk, plan: Plan) -> WalkState:
    """The states of all places of a plan at time 0, leading axis ``[num_places]``, in the order of ``place``; cells of walls too."""
    place = jnp.arange(env.num_places, dtype=jnp.int32)
    cell, stage = place // STAGES, place % STAGES
    position = jnp.stack([cell // env.width, cell % env.width], -1)
    plans = jax.tree.map(lambda x: jnp.broadcast_to(x, (env.num_places, *x.shape)), plan)
    return WalkState(plans, position, stage, jnp.zeros_like(place), jnp.zeros_like(place))


def advantages_of(env: Walk, plan: Plan, probabilities: jax.Array, params: WalkParams) -> jax.Array:
    """``Q - V`` of a policy, ``[horizon, num_places, actions]``: what each action adds to the probability of success.

    The true success is meant, whatever is paid. The time enters by what is left of the horizon; the policy does not know it.

    Args:
        env: the environment.
        plan: the rooms.
        probabilities: of the actions in every place, ``[num_places, actions]``.
        params: whose ``slip`` counts.
    """
    states = states_of(env, plan)

    def outcome(state: WalkState, action: jax.Array) -> tuple[jax.Array, jax.Array]:
        position, stage, success = env.act(state.plan, state.position, state.stage, action)
        return env.place(position, stage), success

    actions = jnp.arange(ACTIONS, dtype=jnp.int32)
    following, success = jax.vmap(jax.vmap(outcome, (None, 0)), (0, None))(states, actions)

    def back(value: jax.Array, _: None) -> tuple[jax.Array, jax.Array]:
        certain = jnp.where(success, 1.0, value[following])
        q = (1 - params.slip) * certain + params.slip * jnp.mean(certain, -1, keepdims=True)
        value = jnp.sum(probabilities * q, -1)
        return value, q - value[:, None]

    nothing = jnp.zeros((env.num_places,), jnp.float32)
    return jax.lax.scan(back, nothing, None, env.horizon)[1][::-1]
