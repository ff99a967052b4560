"""Claims: published ideas as recipes that anyone can run again, each with a verdict by the same rule."""

from rl_jax.run.claims.recipe import Arm, Axes, Outcome, Prediction, Recipe, Work
from rl_jax.run.claims.trained import Trained, answered

__all__ = ["Arm", "Axes", "Outcome", "Prediction", "Recipe", "Trained", "Work", "answered"]
