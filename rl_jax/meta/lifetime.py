"""The complete training of an agent as a function of its hyperparameters: what outer loops score and improve."""

from typing import Any

import jax

from rl_jax.curricula import FixedTask
from rl_jax.loop import Trainer, TrainState, evaluate
from rl_jax.types import Key, PyTree


def with_rule(trainer: Trainer, rule: PyTree) -> Trainer:
    """The same run with other weights of the agent's rule."""
    return trainer.replace(agent=trainer.agent.replace(rule=rule))  # type: ignore[attr-defined]


def in_task(trainer: Trainer, task: PyTree) -> Trainer:
    """The same run in another task."""
    return trainer.replace(curriculum=FixedTask(trainer.env, task))  # type: ignore[attr-defined]


def lifetime(
    trainer: Trainer, key: Key, num_updates: int | jax.Array, episodes: int = 32, greedy: bool = False
) -> tuple[TrainState, jax.Array]:
    """A fresh agent, ``num_updates`` train steps planned and done, and what it earns then.

    Pure; ``vmap`` goes through it, over keys, rules (:func:`with_rule`) and tasks (:func:`in_task`). With the same number
    for all of a batch, the loop is one of that length; with different ones all take as long as the longest.

    Args:
        trainer: whose life.
        key: of training and evaluation.
        num_updates: ``N``; may be traced, so one program serves all horizons.
        episodes: of the evaluation.
        greedy: evaluate the policy's mode. Sampled, as by default, a policy is scored with the randomness that it has left.

    Returns:
        The state at the end and the mean return of the finished episodes, a scalar.
    """
    steps: Any = num_updates * trainer.steps_per_update
    key_life, key_evaluation = jax.random.split(key)
    state, _ = trainer.advance(trainer.init(key_life, steps), num_updates)
    return state, evaluate(trainer, state, key_evaluation, episodes, greedy).mean()
