"""The end of a worker that measures when it is told to (:class:`in_turn.Worker`)."""

import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any


def quiet() -> int:
    """Send all that is printed to the standard error; returns where answers go."""
    answers = os.dup(1)
    os.dup2(2, 1)
    return answers


def serve(answers: int, measures: dict[str, Callable[[], Any]], about: dict[str, Any]) -> None:
    """Say ``about``; then run the measure that each line names, and answer how many seconds it took."""
    with os.fdopen(answers, "w", buffering=1) as out:
        print(json.dumps(about), file=out)
        for line in sys.stdin:
            start = time.perf_counter()
            measures[line.strip()]()
            print(json.dumps(time.perf_counter() - start), file=out)
