"""What a recipe found, in words for a terminal."""

from typing import Any

from rl_jax.run.claims.attempts import history
from rl_jax.run.report.intervals import has_no_spread, interval_text, no_spread
from rl_jax.run.report.progress import human_count, human_time


def summary_text(summary: dict[str, Any], values: list[float]) -> str:
    """An interquartile mean with its interval, the mean beside it, and how many runs failed where that has a meaning."""
    low, high = summary["ci95"]
    interval = interval_text(low, high, values, ", ", "{:.4g}".format)
    return f"{summary['iqm']:10.4g}  [{interval}], mean {summary['mean']:.4g}{failed_text(summary, len(values))}"


def failed_text(summary: dict[str, Any], runs: int) -> str:
    """``, 2 of 10 failed``, or nothing where failing has no meaning."""
    failed = summary["failed"]
    return "" if failed is None else f", {round(failed * runs)} of {runs} failed"


def prediction_text(row: dict[str, Any]) -> str:
    """A prediction with its verdict and figures."""
    low, high = row["ci95"]
    interval = "" if row["method"] == "no spread" else f" [{low:.4g}, {high:.4g}]"
    kind = " (success rates, exact)" if row["method"] == "success rates" else ""
    chance = row["probability_of_improvement"]
    more = "" if chance is None else f", P(improvement) {chance:.2f}"
    note = f"; {row['note']}" if row["note"] else ""
    beside = f", unpaired [{row['ci95_unpaired'][0]:.4g}, {row['ci95_unpaired'][1]:.4g}]" if "ci95_unpaired" in row else ""
    return f"  {row['verdict']:>13s}: {row['prediction']}: {row['difference']:.4g}{interval}{beside}{kind}{more}{note}"


def gate_text(row: dict[str, Any]) -> str:
    """A gate with what was measured."""
    return f"  {'passes' if row['passed'] else 'fails':>13s}: gate {row['gate']}: {row['value']:.4g}"


def failed_gates(result: dict[str, Any]) -> list[str]:
    """The names of the gates that failed."""
    return [row["name"] for row in result.get("gates", ()) if not row["passed"]]


def beside_verdict(result: dict[str, Any]) -> str:
    """What stands in brackets behind a verdict: gates that failed, and the attempts before it; or nothing."""
    gates = [f"gate '{name}' failed" for name in failed_gates(result)]
    text = "; ".join(filter(None, (*gates, history(result))))
    return f" ({text})" if text else ""


def budget_text(arm: dict[str, Any]) -> str:
    """What each run of an arm has spent, of what was counted."""
    units = {"steps": "steps", "updates": "updates", "data": "transitions given", "calls": "calls"}
    return ", ".join(f"{human_count(arm[name])} {unit}" for name, unit in units.items() if name == "steps" or arm.get(name))


def table(result: dict[str, Any]) -> str:
    """Every measure of every arm, every prediction, and the verdict with the attempts before it."""
    lines = [f"\n{result['title']} ({result['paper']})", ""]
    width = max(map(len, result["arms"]))
    for measure, unit in result["measures"].items():
        lines.append(f"  {measure}: {unit}")
        for name, arm in result["arms"].items():
            if measure not in arm["values"]:
                continue
            values = arm["values"][measure]
            shown = " ".join(f"{v:.4g}" for v in values)
            text = summary_text(arm["summary"][measure], values) if "summary" in arm else shown
            lines.append(f"    {name:{width}s} {text}   {budget_text(arm)}, {human_time(arm['seconds'])}")
    lines += map(prediction_text, result["predictions"])
    lines += map(gate_text, result.get("gates", ()))
    quick = " because of --quick" if result["verdict"] == "not judged" else ""
    verdict = result["verdict"].upper() + quick + beside_verdict(result)
    lines += ["", f"  {result['slug']}: {verdict}   ({len(result['seeds'])} seeds, {human_time(result['seconds'])})"]
    return "\n".join(lines)


def silent_arms(result: dict[str, Any], measure: str) -> dict[str, str]:
    """Arms whose interval of a measure has no width, with the words for it."""
    return {
        name: no_spread(arm["values"][measure])
        for name, arm in result["arms"].items()
        if measure in arm.get("summary", {}) and has_no_spread(*arm["summary"][measure]["ci95"])
    }
