"""Metrics of several parts, joined into one dictionary."""

from collections.abc import Mapping
from typing import Any

from rl_jax.errors import RLJaxError


def joined(*reports: Mapping[str, Any]) -> dict[str, Any]:
    """Metrics of several parts, by name.

    Raises:
        RLJaxError: two parts report under one name; one of the two numbers would be lost.
    """
    metrics: dict[str, Any] = {}
    for report in reports:
        if taken := metrics.keys() & report.keys():
            raise RLJaxError(f"two parts report a metric '{min(taken)}': give one of them another name")
        metrics |= report
    return metrics
