"""How much an evaluation may play, fixed before the run: its numbers must not depend on how fast the machine is."""

from typing import NamedTuple

from rl_jax.loop import Trainer
from rl_jax.loop.evaluate import longest
from rl_jax.run.options import RunOptions

#: The most episodes of an evaluation, unless the user says how many.
MOST_EPISODES = 64


class Budget(NamedTuple):
    """What an evaluation plays.

    Attributes:
        episodes: side by side.
        during: steps of each at most while training goes on.
        last: the same of the evaluation at the end: one whole time limit, or what the user said.
    """

    episodes: int
    during: int
    last: int

    def text(self) -> str:
        """In words."""
        count = f"{self.episodes} episode{'s' if self.episodes > 1 else ''}"
        last = "" if self.during == self.last else f", at the end {self.last:,}"
        return f"evaluations: {count} of up to {self.during:,} steps{last}"


def plan(trainer: Trainer, options: RunOptions) -> Budget:
    """As many whole episodes, up to 64, as take no more environment steps than training does between two evaluations.

    Where not even one fits, it is cut at that many steps, but for the evaluation at the end. ``--eval-episodes`` and
    ``--eval-max-steps`` say otherwise.
    """
    limit = longest(trainer, options.eval_max_steps)
    if options.eval_episodes is not None:
        return Budget(options.eval_episodes, limit, limit)
    between = max(1, trainer.num_updates(options.steps) * trainer.steps_per_update // options.checkpoints)
    episodes = min(MOST_EPISODES, max(1, between // limit))
    return Budget(episodes, min(limit, max(1, between // episodes)), limit)
