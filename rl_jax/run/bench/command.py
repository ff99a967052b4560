"""``rl-jax bench``."""

import dataclasses
import json
import sys
import time
from typing import Any

import jax

from rl_jax.errors import RLJaxError
from rl_jax.run.bench import report
from rl_jax.run.bench.row import Row, Setup, matmul_peak
from rl_jax.run.bench.suites import SUITES
from rl_jax.run.storage.metadata import metadata
from rl_jax.run.storage.ownership import check_writable, own
from rl_jax.run.storage.partial_results import PartialResults


def bench(given: Any) -> None:
    """Run suites, print one table, and write ``bench.json`` and plots.

    Raises:
        RLJaxError: there is no such suite, or the folder cannot be written.
    """
    names = given.suites or tuple(SUITES)
    if unknown := [name for name in names if name not in SUITES]:
        raise RLJaxError(f"there is no suite '{unknown[0]}'; choose from {', '.join(SUITES)}")
    jax.devices()  # what is wrong with those comes before a folder is made
    with own(given.out):
        check_writable(given.out)
        _bench(given, names)


def _bench(given: Any, names: tuple[str, ...]) -> None:
    begin = time.monotonic()
    peak = matmul_peak(min(1.0, given.seconds), given.small)
    setup = Setup(given.seconds, peak, given.small, given.out / "profiles" if given.profile else None)
    rows: list[Row] = []
    left_out: list[str] = []
    kept = PartialResults(given.out / "suites", {"seconds": given.seconds, "small": given.small, "profile": given.profile})
    for name in names:
        found = kept.find(name)
        if found is not None:
            rows += [Row(**row) for row in found]
            if not given.quiet:
                print(f"{name}: measured before the interruption", file=sys.stderr, flush=True)
            continue
        suite, before = SUITES[name](setup), len(rows)
        while True:
            if rows and given.minutes is not None and time.monotonic() - begin > 60 * given.minutes:
                left_out.append(name)
                break
            if (row := next(suite, None)) is None:
                kept.keep(name, [dataclasses.asdict(row) for row in rows[before:]])
                break
            rows.append(row)
            if not given.quiet:
                text = report.cells(row)
                print("  ".join(filter(None, text)), file=sys.stderr, flush=True)
    about = {**metadata(), "matmul_peak": peak, "seconds_per_row": given.seconds, "left_out": left_out}
    if left_out:
        print(f"{given.minutes} minutes are over: rows of {', '.join(left_out)} are left out", file=sys.stderr)
    written = report.write(given.out, rows, about)
    if not left_out:
        kept.forget(names)  # a bench is finished: the next one measures again
    print(f"{rows[0].device}; matrix products: {peak / 1e9:.0f} GFLOP/s\n")
    print(report.table(rows))
    print(json.dumps({"out": str(given.out), "rows": len(rows), "files": [path.name for path in written]}))
