"""Write the parts of the documentation that are made from files and from the program itself.

    python scripts/make_docs_tables.py

``docs/_generated/<experiment>.md`` from ``experiments/results/<experiment>.json``, with "not measured yet" where there is no
such file, and ``docs/_generated/cli.md`` from the command line's own help. The documentation's build runs this first.
"""

import contextlib
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "experiments" / "results"
OUT = ROOT / "docs" / "_generated"
HELP = ["", "train ppo", "sweep ppo", "evaluate", "render", "plot", "list"]


def number(value: Any, digits: int = 1) -> str:
    """A measured number, or a dash where there is none."""
    if not isinstance(value, int | float):
        return "–"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:,.{digits}f}".replace(",", " ")


def count(value: Any) -> str:
    """A large number in three digits."""
    if not isinstance(value, int | float):
        return "–"
    for size, unit in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if value >= size:
            return f"{value / size:.3g}{unit}"
    return f"{value:.3g}"


def threshold(value: Any) -> str:
    """What the return must reach, or stay below."""
    if isinstance(value, list):
        return f"{value[0]} {value[1]}"
    return "–" if value is None else f"≥ {value}"


def met(row: dict[str, Any]) -> str:
    """Whether the interquartile mean meets the threshold."""
    value, limit = row.get("eval_return_iqm"), row.get("threshold")
    if limit is None or value is None:
        return "–"
    good = value < limit[1] if isinstance(limit, list) else value >= limit
    return "yes" if good else "**no**"


def ppo_baselines(result: dict[str, Any]) -> str:
    """The table of PPO on small environments, its curves, and the commands that make it again."""
    rows = list(result["rows"].values() if isinstance(result["rows"], dict) else result["rows"])
    where = sorted({f"{row.get('device', result.get('device', 'an unknown device'))}, {row.get('date', '')}" for row in rows})
    versions = (rows[0] if rows else {}).get("versions", result.get("versions", {}))
    lines = [
        "Measured on " + "; ".join(where) + ", with " + ", ".join(f"{name} {text}" for name, text in versions.items()) + ".",
        "",
        "| environment | memory | steps | seeds | evaluation IQM | 95% interval | mean | threshold | met | steps/s | run |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        seeds = row.get("seed_list", row.get("seeds"))
        shown = f"{seeds[0]}–{seeds[-1]}" if isinstance(seeds, list) else seeds
        low, high = row.get("eval_return_iqm_ci95") or (None, None)
        cells = [
            f"`{row['env']}`",
            row.get("memory", "none"),
            count(row.get("steps")),
            shown,
            number(row.get("eval_return_iqm")),
            f"{number(low)} … {number(high)}",
            number(row.get("eval_return_mean")),
            threshold(row.get("threshold")),
            met(row),
            count(row.get("steps_per_second")),
            f"{number(row.get('seconds_run'))} s",
        ]
        lines.append("| " + " | ".join(str(cell) for cell in cells) + " |")
    lines += [
        "",
        "*IQM*: interquartile mean over seeds of each seed's mean return over its evaluation episodes (greedy policy). "
        "*Steps*: environment steps per seed; *steps/s*: over all seeds side by side, compilation apart.",
        "",
    ]
    for row in rows:
        if row.get("published"):
            lines.append(f"- `{row['env']}`: published figure to stand beside: {row['published']}")
    lines += ["", "Each row is one command:", "", "```bash"]
    lines += [row["command"] for row in rows if row.get("command")]
    lines += ["```", ""]
    for row in rows:
        curve = row.get("curve")
        if curve and (ROOT / "docs" / curve).exists():
            title = f"{row['env']}, memory {row.get('memory', 'none')}"
            lines += [f"![Learning curve of PPO on {title}](@assets/{Path(curve).name})", ""]
    return "\n".join(lines)


def bench_ppo_cartpole(result: dict[str, Any]) -> str:
    """Throughput beside a peer."""
    rates, compiled = result["steps_per_second"], result["seconds_compile"]
    lines = [
        f"{result['env']}, {result['num_envs']} environments x {result['rollout_length']} steps, {result['epochs']} epochs x "
        f"{result['minibatches']} minibatches, {count(result['steps'])} steps, {result['device']}; "
        f"medians of {len(result['runs']['rl_jax'])} runs of each, in turn.",
        "",
        "| library | steps/s | compile |",
        "|---|---|---|",
        f"| rl_jax | {count(rates['rl_jax'])} | {number(compiled['rl_jax'])} s |",
        f"| Rejax 0.1.3 (gymnax 0.0.9) | {count(rates['rejax'])} | {number(compiled['rejax'])} s |",
        "",
        f"Ratio: {result['ratio_median']:.2f} (pair by pair from {result['ratio_min']:.2f} to {result['ratio_max']:.2f}).",
        "",
    ]
    return "\n".join(lines)


def kill_and_resume(result: dict[str, Any]) -> str:
    """Runs killed and resumed."""
    return (
        f"{result['runs']} runs of `rl-jax train ppo {' '.join(result['options'])}` each met a SIGKILL at a random moment "
        f"({result['kills']} kills, {result['half_written']} of them while a checkpoint was being written) and were resumed. "
        f"Equal to the run that was never stopped: parameters (`params_sha256`) in {result['runs_with_same_params_sha256']}, "
        f"evaluation in {result['runs_with_same_evaluation']}, every row of the metrics in {result['runs_with_same_metrics']}.\n"
    )


def bench_sweep_and_memory(result: dict[str, Any]) -> str:
    """One program for a grid, and memory over the length of a run."""
    sweep, single, memory = result["sweep"], result["single"], result["memory"]
    short, long = memory["5000000"], memory["50000000"]
    return "\n".join(
        [
            f"A 4 x 4 grid of learning rate and entropy weight x 8 seeds ({sweep['runs']} runs of {count(sweep['steps_each'])} steps) "
            f"as one `rl-jax sweep`: {number(sweep['seconds'])} s in all, {number(sweep['seconds_compile'])} s of them compiling. "
            f"As single `rl-jax train` commands: {number(single['seconds_first'])} s for the first and "
            f"{number(single['seconds_each_later'])} s for each later one, which finds its programs compiled (mean of "
            f"{single['measured'] - 1}); scaled to {sweep['runs']}: {number(single['seconds_for_all_scaled'])} s.",
            "",
            f"Largest resident memory of `rl-jax train ppo --env CartPole-v1`: {number(short['max_rss_mb'])} MB at "
            f"{count(short['steps'])} steps, {number(long['max_rss_mb'])} MB at {count(long['steps'])} steps "
            f"(ratio {memory['ratio']:.3f}). {result['device']}.",
            "",
        ]
    )


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    "ppo_baselines": ppo_baselines,
    "bench_ppo_cartpole": bench_ppo_cartpole,
    "kill_and_resume": kill_and_resume,
    "bench_sweep_and_memory": bench_sweep_and_memory,
}


def table(experiment: str) -> str:
    """The Markdown of one experiment's result file."""
    source = RESULTS / f"{experiment}.json"
    if not source.exists():
        return f"*Not measured yet* (`experiments/results/{experiment}.json` is missing).\n"
    return TABLES[experiment](json.loads(source.read_text()))


def cli() -> str:
    """The help texts of all commands."""
    os.environ.update(COLUMNS="100", NO_COLOR="1", TERM="dumb")
    from rl_jax.run.cli import main

    parts = []
    for command in HELP:
        text = io.StringIO()
        with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit):
            main([*command.split(), "--help"])
        shown = "\n".join(line.rstrip() for line in text.getvalue().splitlines()).strip()
        parts.append(f"## rl-jax {command}".rstrip() + f"\n\n```text\n{shown}\n```\n")
    return "\n".join(parts)


def write(name: str, text: str) -> None:
    """Write a file if it changes."""
    path = OUT / f"{name}.md"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists() or path.read_text() != text:
        path.write_text(text)


def main() -> None:
    """Write everything."""
    for experiment in TABLES:
        write(experiment, table(experiment))
    write("cli", cli())


if __name__ == "__main__":
    main()
