"""How an interval over seeds is written: one of no width is no certainty, and is said in words."""

from collections.abc import Callable, Sequence


def has_no_spread(low: float, high: float) -> bool:
    """Whether an interval has no width, but for the rounding of sums."""
    return high - low <= 1e-12 * max(abs(low), abs(high))


def no_spread(values: Sequence[float]) -> str:
    """What is said of runs whose interval has no width: that all are alike, or all but a few that a middle half leaves out."""
    if len(values) == 1:
        return "a single seed"
    return f"no spread in {'' if has_no_spread(min(values), max(values)) else 'the middle half of '}{len(values)} seeds"


def interval_text(low: float, high: float, values: Sequence[float], between: str, number: Callable[[float], str]) -> str:
    """An interval over seeds, as ``low``, ``between`` and ``high`` in a row, or in words where it has no width.

    Args:
        low, high: its edges.
        values: of the runs, one for each seed.
        between: what stands between the edges.
        number: how an edge is written.
    """
    return no_spread(values) if has_no_spread(low, high) else f"{number(low)}{between}{number(high)}"
