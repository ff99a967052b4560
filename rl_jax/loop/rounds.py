"""Rollouts of whole episodes, collected in one round or in several that build on one another.

With ``whole=True`` every column of a rollout is one episode. All begin at its first row, under the curriculum's present state, so that
what a curriculum has learned acts in the same train step; none is carried over. After its end a column stands still.

With ``rounds=R`` the environments are run ``R`` times in a train step, and the rollouts lie side by side: ``[T, R * N]``. Between two
rounds the curriculum's ``between(state, rollout, context) -> state`` is called with the last one as it was collected: an episode may
begin where one of an earlier round stood. Environments of round ``r`` have the numbers ``r * N`` to ``r * N + N - 1``.
"""

from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.envs.limits import longest_episode
from rl_jax.errors import RLJaxError
from rl_jax.loop import counter as streams
from rl_jax.loop.metrics import Means
from rl_jax.loop.state import TrainState
from rl_jax.types import Rollout


def check_rounds(env: Any, curriculum: Any, agent: Any, limit: int | None, length: int, whole: bool, rounds: int) -> None:
    """Refuse rollouts of whole episodes that could end before their episodes do, and rounds that nothing leads on.

    Raises:
        RLJaxError: with what to give.
    """
    if not whole:
        if rounds != 1:
            raise RLJaxError(f"rounds={rounds} are of rollouts of whole episodes: give whole=True as well")
        if getattr(getattr(getattr(agent, "network", None), "memory", None), "aligned", False):
            raise RLJaxError(
                "an aligned memory needs all episodes to begin together: give whole=True, or leave out aligned=True"
            )
        return
    longest = longest_episode(env, limit)
    if longest is None or longest > length:
        lasts = "has no time limit" if longest is None else f"can last {longest} steps"
        fix = f"rollout_length={longest}" if longest is not None else f"time_limit={length}"
        raise RLJaxError(
            f"whole=True needs episodes that end within a rollout of {length} steps, and {env.name} {lasts}: give {fix}"
        )
    if rounds > 1 and not hasattr(curriculum, "between"):
        raise RLJaxError(
            f"rounds={rounds} needs a curriculum that says where the next round starts, by a method between(state, rollout, context) "
            f"-> state, and {type(curriculum).__name__} has none: leave out rounds"
        )


def joined_rounds(rollouts: list[Rollout]) -> Rollout:
    """The rounds of one train step side by side: columns ``[N]`` of each, ``[T, rounds * N, ...]``."""
    if len(rollouts) == 1:
        return rollouts[0]

    def beside(axis: int, parts: list[Any]) -> Any:
        return jax.tree.map(lambda *x: jnp.concatenate(x, axis=axis), *parts)

    start, last = (beside(0, [getattr(one, name) for one in rollouts]) for name in ("start", "last"))
    rows = beside(1, [one.replace(start=None, last=None) for one in rollouts])  # type: ignore[attr-defined]
    return rows.replace(start=start, last=last)


def collect_rounds(trainer: Any, state: TrainState, policy: Any, value: Any) -> tuple[TrainState, Rollout, Means]:
    """The rollout of a train step as it was collected: in a single round, but where several were asked for."""
    collector, curriculum, rollouts = state.collector, state.curriculum, list[Rollout]()
    means: Means | None = None
    key = key_collect = trainer._key(state, streams.COLLECT)
    for number in range(trainer.base.rounds):
        if number:
            key = jax.random.fold_in(key_collect, number)
            context = trainer._context(state, streams.BETWEEN)
            context = context.replace(key=jax.random.fold_in(context.key, number))
            curriculum = trainer.curriculum.between(curriculum, rollouts[-1], context)
        if trainer.base.whole:
            key_start = jax.random.fold_in(trainer._key(state, streams.STARTS), number)
            collector = trainer._reset(curriculum, trainer.agent.initial_carry(trainer.num_envs), key_start, number)
        collector, rollout, new = trainer._rollout(curriculum, policy, value, collector, key)
        rollouts.append(rollout)
        means = new if means is None else means + new
    assert means is not None
    state = state.replace(collector=collector, curriculum=curriculum)  # type: ignore[attr-defined]
    return state, joined_rounds(rollouts), means
