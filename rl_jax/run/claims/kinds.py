"""Refusing recipes whose fields are of the wrong type, which would end somewhere in the middle of a run."""

from typing import Any

from rl_jax.errors import RLJaxError
from rl_jax.run.claims.arms.phases import Phase, Phased
from rl_jax.run.claims.arms.trained import Trained
from rl_jax.run.claims.gates import Gate
from rl_jax.run.claims.recipe import Prediction, Recipe


def check_kinds(recipe: Recipe) -> None:
    """Refuse fields of the wrong type, which would end somewhere in the middle of a run.

    Raises:
        RLJaxError: with the field, what it is, and what it should be.
    """
    kinds: dict[tuple[str, ...], tuple[Any, str]] = {
        ("slug", "title", "paper", "claim", "environment", "departures", "study"): (str, "a text"),
        ("arms", "measures", "curves"): (dict, "a dictionary"),
        ("predictions", "gates", "seeds", "tuning_seeds"): ((tuple, list), "a tuple"),
        ("paired",): (bool, "True or False"),
    }
    for names, (kind, words) in kinds.items():
        for name in names:
            if not isinstance(value := getattr(recipe, name), kind):
                raise RLJaxError(f"{name} is {a_type(value)}: let it be {words}")
    for name, arm in recipe.arms.items():
        if not callable(arm):
            raise RLJaxError(
                f"the arm '{name}' is {a_type(arm)}: let it be Trained(...), Phased(...), or a function from Work to Outcome"
            )
        _check_training(name, arm)
    for prediction in recipe.predictions:
        if not isinstance(prediction, Prediction):
            raise RLJaxError(f"a prediction is {a_type(prediction)}: let each be Prediction(measure, better, worse)")
    for gate in recipe.gates:
        if not isinstance(gate, Gate):
            raise RLJaxError(f"a gate is {a_type(gate)}: let each be Gate(name, measure, arm, low, high)")
    if odd := [seed for seed in (*recipe.seeds, *recipe.tuning_seeds) if type(seed) is not int]:
        raise RLJaxError(f"a seed is {odd[0]!r}: let each be a whole number")


def _check_training(name: str, arm: object) -> None:
    """Refuse what an arm that trains could not be run with."""
    if isinstance(arm, Phased):
        if odd := [phase for phase in arm.phases if not isinstance(phase, Phase)]:
            raise RLJaxError(f"a phase of the arm '{name}' is {a_type(odd[0])}: let each be Phase(...)")
        arm.check()
    trainings = arm.phases if isinstance(arm, Phased) else (arm,) if isinstance(arm, Trained) else ()
    for one in trainings:
        if not callable(one.make):
            raise RLJaxError(f"what makes the trainer of the arm '{name}' is {a_type(one.make)}: let it be a function of quick")
        for field in ("steps", "quick_steps"):
            if type(value := getattr(one, field)) is not int or value < 1:
                raise RLJaxError(f"{field} of the arm '{name}' is {value!r}: let it be a whole number of at least 1")


def a_type(value: object) -> str:
    """What a value is, in words."""
    return f"of the type {type(value).__name__}"
