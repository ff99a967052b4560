"""Does a value of options tell farther than one of steps whether a subgoal is on the way?"""

from studies.offline_goals import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="ota",
    title="Values of options for far goals",
    paper="Ahn et al. 2025, Option-aware Temporally Abstracted Value for Offline Goal-Conditioned Reinforcement Learning, NeurIPS, "
    "arXiv:2505.12737",
    claim="Over long ways the advantage of a subgoal has the wrong sign under HIQL's value. A value that counts options of several "
    "steps as one has the right sign farther away, and the policy learned from it reaches far goals more often.",
    predictions=(
        Prediction("sign", "giant, OTA", "giant, HIQL", 0.05, "options shorten the horizon"),
        Prediction("far success", "giant, OTA", "giant, HIQL", 0.05, "right signs make better subgoals"),
        Prediction(
            "sign", "giant, OTA", "giant, targets of 5 steps", 0.0, "it is the discount once an option, not longer targets"
        ),
        Prediction("success", "medium, OTA", "medium, HIQL", -0.05, "in small mazes nothing is lost"),
    ),
    shown=("giant, GCIVL", "giant, OTA, 20 steps"),
    gates=("HIQL judges small mazes",),
)
