"""Gates: what must be so for a comparison to mean anything."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from rl_jax.errors import RLJaxError


@dataclass(frozen=True)
class Gate:
    """A condition on the arms without which no prediction is tested: the baseline learns, the base lies in a band.

    The interquartile mean over seeds (of successes and failures: the mean) must lie in ``[low, high]``. A gate asks for the value
    that was measured and has no interval: it finds broken set-ups, it is no finding itself. If it fails, a claim that would hold or
    not hold is undecided, and the gate is named beside the verdict.

    Attributes:
        name: in a few words, such as "GRPO learns".
        measure: a name in ``Recipe.measures``.
        arm: whose measure.
        low, high: bounds, both inclusive, in the measure's unit.
        baseline: another arm; the bounds are then those of ``arm`` minus ``baseline``. Empty: ``arm`` by itself.
    """

    name: str
    measure: str
    arm: str
    low: float = -math.inf
    high: float = math.inf
    baseline: str = ""

    @property
    def arms(self) -> tuple[str, ...]:
        """The arms that it needs."""
        return (self.arm, self.baseline) if self.baseline else (self.arm,)

    def text(self) -> str:
        """The gate in words."""
        bounds = [f"at least {self.low:g}"] * (self.low > -math.inf) + [f"at most {self.high:g}"] * (self.high < math.inf)
        return f"{self.name}: {self.measure} of {' minus '.join(self.arms)} {' and '.join(bounds)}"

    def check(self, arms: Iterable[str], measures: Iterable[str]) -> None:
        """Refuse a gate that could not be measured, or that nothing fails.

        Raises:
            RLJaxError: with what is wrong.
        """
        if self.measure not in measures:
            raise RLJaxError(f"gate '{self.name}': '{self.measure}' is no measure: {', '.join(measures)}")
        if missing := [arm for arm in self.arms if arm not in arms]:
            raise RLJaxError(f"gate '{self.name}': there is no arm '{missing[0]}': {', '.join(arms)}")
        if not self.low <= self.high or (self.low, self.high) == (-math.inf, math.inf):
            raise RLJaxError(
                f"gate '{self.name}': give low, high or both, with low <= high, not {self.low:g} and {self.high:g}"
            )
