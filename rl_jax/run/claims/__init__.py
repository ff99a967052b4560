"""Claims: published ideas as recipes that anyone can run again, each with a verdict by the same rule."""

from rl_jax.run.claims.arms.phases import Phase, Phased
from rl_jax.run.claims.arms.trained import Trained, answered
from rl_jax.run.claims.gates import Gate
from rl_jax.run.claims.recipe import Arm, Axes, Curve, Outcome, Prediction, Recipe, Work
from rl_jax.run.claims.study import Study

__all__ = [
    "Arm",
    "Axes",
    "Curve",
    "Gate",
    "Outcome",
    "Phase",
    "Phased",
    "Prediction",
    "Recipe",
    "Study",
    "Trained",
    "Work",
    "answered",
]
