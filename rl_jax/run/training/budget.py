"""The episodes and steps of an evaluation. They are fixed before the run, so that they do not depend on the machine's speed."""

from typing import NamedTuple

from rl_jax.loop import Trainer
from rl_jax.loop.evaluate import longest
from rl_jax.run.options import RunOptions

#: The most episodes of an evaluation, unless the user says how many.
MOST_EPISODES = 64


class Budget(NamedTuple):
    """Episodes and steps of the evaluations of a run.

    Attributes:
        episodes: number of episodes, played in parallel.
        during: most steps of an episode in an evaluation during training.
        last: the same for the evaluation at the end: the time limit, or ``--eval-max-steps``.
    """

    episodes: int
    during: int
    last: int

    def text(self) -> str:
        """The budget as a line for the user."""
        episodes_text = f"{self.episodes} episode{'s' if self.episodes > 1 else ''}"
        last_text = "" if self.during == self.last else f", at the end {self.last:,}"
        return f"evaluations: {episodes_text} of up to {self.during:,} steps{last_text}"


def evaluation_budget(trainer: Trainer, options: RunOptions) -> Budget:
    """As many whole episodes, up to 64, as take no more environment steps than training does between two evaluations.

    Where not even one fits, its steps are cut to that number, but not in the evaluation at the end. Where nothing is collected there
    are 64. ``--eval-episodes`` and ``--eval-max-steps`` override this.
    """
    limit = longest(trainer, options.eval_max_steps)
    if options.eval_episodes is not None or not trainer.collects:
        return Budget(options.eval_episodes or MOST_EPISODES, limit, limit)
    steps_between_evaluations = max(1, trainer.num_updates(options.steps) * trainer.steps_per_update // options.checkpoints)
    episodes = min(MOST_EPISODES, max(1, steps_between_evaluations // limit))
    return Budget(episodes, min(limit, max(1, steps_between_evaluations // episodes)), limit)
