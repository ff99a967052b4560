"""Do hints help with problems that a whole group fails, if they are given only then?"""

from studies.help import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="ghpo",
    title="GHPO",
    paper="Liu et al. 2025, GHPO: Adaptive Guidance for Stable and Efficient LLM Reinforcement Learning, arXiv:2507.10628",
    claim="Giving the beginning of the solution where a whole group fails, and only there, solves more hard problems without a "
    "hint than no hints and than hints for all; the share of hints falls by itself.",
    predictions=(
        Prediction("hard", "hints by need", "GRPO", 0.02, "hints make failed groups teach something"),
        Prediction("hard", "hints by need", "always hints", 0.02, "hints that are not needed are leaned on"),
        Prediction("falls", "hints by need", 0.2, 0.0, "ability takes the place of hints"),
    ),
    departures="A failed problem comes with its hint at its next visit, where the paper's code asks again at once; a curriculum "
    "by hand, from easy to hard, is not tested.",
)
