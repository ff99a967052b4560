"""Several passes over a rollout in shuffled pieces: what on-policy agents have in common."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.errors import RLJaxError
from rl_jax.losses.combine import check_number_per_step
from rl_jax.ops import permutation, with_sharding
from rl_jax.types import Key, Metrics, Rollout, Spec


def check_minibatches(spec: Spec, minibatches: int, recurrent: bool, together: int = 1) -> None:
    """Refuse a rollout that cannot be cut as asked.

    Raises:
        RLJaxError: the minibatches do not divide the rollout, or hold a single item.
    """
    steps = spec.num_envs * spec.rollout_length
    if spec.num_envs % together:
        raise RLJaxError(
            f"{spec.num_envs} environments are no blocks of {together} that stay together: use a multiple of {together}"
        )
    if together > 1:
        items, what = spec.num_envs // together, f"blocks of {together} environments"
    else:
        items, what = (spec.num_envs, "environments") if recurrent else (steps, "steps of a rollout")
    if items % minibatches:
        asked = min(minibatches, items)
        near = (d for away in range(items) for d in (asked - away, asked + away) if 0 < d <= items)
        nearest = next(d for d in near if items % d == 0)
        raise RLJaxError(
            f"{items} {what} cannot be cut into {minibatches} equal minibatches: use --minibatches {nearest}"
            + (" (a recurrent agent's minibatches are whole environments)" if recurrent and together == 1 else "")
        )
    if steps // minibatches < 2:
        most = max(1, steps // 2)
        raise RLJaxError(f"a minibatch of one step has no spread to standardise: use --minibatches {most} or fewer")


def check_items(rollout: Rollout) -> None:
    """Refuse extras that cannot be cut with a rollout ``[T, N]``, and whole episodes of which nobody says what is learned from.

    Raises:
        RLJaxError: with the extra's name.
    """
    shape, extras = rollout.reward.shape, rollout.extras
    for name in ("advantage", "value_target", "weight"):
        if name in extras:
            check_number_per_step(name, extras[name], shape)
    for name, value in extras.items():
        if any(jnp.shape(leaf)[:2] != shape for leaf in jax.tree.leaves(value)):
            shapes = ", ".join(str(list(jnp.shape(leaf))) for leaf in jax.tree.leaves(value))
            raise RLJaxError(
                f"{name} must be [T, N, ...], an entry for each step, here {list(shape)}, and it is {shapes}: correct the transform "
                f"that adds it"
            )
    if "own" in extras and "weight" not in extras:
        raise RLJaxError(
            "rollouts of whole episodes have steps that are not the policy's, and nothing says which are learned from: put "
            "rl_jax.experience.weights.own_weight() into the experience chain"
        )


def sweep_minibatches(
    step: Callable[[Any, Rollout, Key], tuple[Any, Metrics]],
    state: Any,
    rollout: Rollout,
    key: Key,
    epochs: int,
    minibatches: int,
    recurrent: bool,
    together: int = 1,
) -> tuple[Any, Metrics]:
    """``epochs`` passes over a rollout ``[T, N, ...]``, shuffled anew each time, in ``minibatches`` pieces.

    A feed-forward agent's pieces are drawn from all ``T * N`` steps and look like ``[1, B, ...]``; a recurrent one's from the
    ``N`` environments, whole sequences ``[T, B, ...]`` that start from the memory at the rollout's beginning (``carry``
    ``[1, B, ...]``).

    Args:
        step: ``(state, minibatch, key) -> (state, metrics)``.
        state: the learner's.
        rollout: as the replay handed it out.
        key: typed key.
        epochs, minibatches: static.
        recurrent: whether the agent remembers.
        together: neighbouring environments that stay side by side in one piece; above 1 pieces are whole sequences in any case.

    Returns:
        The state after the last piece, and the means of the metrics over all of them.

    Raises:
        RLJaxError: the replay hands out something else than whole rollouts.
    """
    if rollout.start is None:
        raise RLJaxError(
            "this agent learns from whole fresh rollouts: leave out replay (the default is rl_jax.replay.OnPolicy)"
        )
    check_items(rollout)
    carry = jax.tree.map(lambda c: c[None], rollout.start.carry)
    rollout = rollout.replace(carry=carry, start=None, last=None)  # type: ignore[attr-defined]
    if not recurrent and together == 1:
        steps = rollout.reward.size  # spelled out: a leaf may have no elements, and -1 cannot be told then
        rollout = jax.tree.map(lambda x: x.reshape(1, steps, *x.shape[2:]), rollout)
    items = rollout.reward.shape[1]

    def piece(state: Any, now: tuple[jax.Array, Key]) -> tuple[Any, Metrics]:
        rows, key = now
        # One permutation for all leaves: a step's fields must travel together.
        return step(state, with_sharding(jax.tree.map(lambda x: jnp.take(x, rows, axis=1), rollout), axis=1), key)

    def epoch(state: Any, key: Key) -> tuple[Any, Metrics]:
        key_rows, key_steps = jax.random.split(key)
        rows = permutation(key_rows, items // together)
        if together > 1:
            rows = rows[:, None] * together + jnp.arange(together, dtype=rows.dtype)
        rows = rows.reshape(minibatches, -1)
        return jax.lax.scan(piece, state, (rows, jax.random.split(key_steps, minibatches)))

    state, metrics = jax.lax.scan(epoch, state, jax.random.split(key, epochs))
    return state, jax.tree.map(jnp.mean, metrics)
