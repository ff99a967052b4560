"""Write the parts of the documentation that are made from files and from the program itself.

    python scripts/make_docs_tables.py

``docs/_generated/<experiment>.md`` from ``experiments/results/<experiment>.json``, with "not measured yet" where there is no
such file; ``measured_<agent>.md`` from the rows of one agent in all of them; and ``cli.md`` from the command line's own help.
The documentation's build runs this first.
"""

import contextlib
import io
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "experiments" / "results"
OUT = ROOT / "docs" / "_generated"
HELP = ["", "train ppo", "train dqn", "train sac", "sweep ppo", "evaluate", "render", "plot", "list", "bench", "reproduce"]


def number(value: Any, digits: int = 1) -> str:
    """A measured number, or a dash where there is none."""
    if not isinstance(value, int | float):
        return "–"
    return f"{value:.2f}" if abs(value) < 10 else f"{value:,.{digits}f}".replace(",", " ")


def spread(interval: list[float] | None, values: list[float] | None) -> str:
    """An interval over seeds, in words where it has no width."""
    from rl_jax.run.report.intervals import interval_text

    return interval_text(*interval, values, " … ", number) if interval and values else "–"


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


def grid(header: list[str], rows: list[list[Any]]) -> list[str]:
    """The lines of a Markdown table."""
    lines = ["| " + " | ".join(str(cell) for cell in cells) + " |" for cells in [header, ["---"] * len(header), *rows]]
    return ['<div class="measured" markdown>', "", *lines, "", "</div>"]


def rows_of(result: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a family's results, each with what the file says of all of them."""
    rows = list(result["rows"].values() if isinstance(result["rows"], dict) else result["rows"])
    common = {key: result[key] for key in ("device", "versions") if key in result}
    return [{**common, **row} for row in rows]


def repeated(row: dict[str, Any]) -> str:
    """The command that makes a row again: rows made before evaluations had a budget played 64 episodes."""
    command = str(row["command"])
    return command if "--eval-episodes" in command or "seconds_eval" in row else f"{command} --eval-episodes 64"


def used(row: dict[str, Any], name: str) -> str:
    """A setting that a row was made with: as its file says, else as its command says, with the agent's own values."""
    if name not in row:
        from rl_jax.run.cli.parse import parse, run_options

        _, _, agent, *options = str(row["command"]).split()
        row = parse(run_options("train", agent), options, f"train {agent}")
    value = row.get(name)
    if isinstance(value, list | tuple):
        return " x ".join(map(str, value))
    return "–" if value is None else f"{value:.3g}" if isinstance(value, float) else str(value)


def settings(rows: list[dict[str, Any]]) -> dict[str, Callable[[dict[str, Any]], str]]:
    """Columns of settings, those that tell rows apart: heading and how to write it."""
    columns: dict[str, Callable[[dict[str, Any]], str]] = {}
    if len({(row["env"], row["agent"], row.get("memory", "none")) for row in rows}) < len(rows):
        columns["row"] = lambda row: str(row.get("name", "–")).replace("_", " ")
    if {row.get("memory", "none") for row in rows} != {"none"}:
        columns["memory"] = lambda row: row.get("memory", "none")
    if len({row.get("num_envs") for row in rows}) > 1:
        columns["envs"] = lambda row: str(row.get("num_envs", "–"))
    if len({row.get("updates_per_step") for row in rows}) > 1:
        columns["updates/step"] = lambda row: f"{row['updates_per_step']:.3g}" if "updates_per_step" in row else "–"
    if all(row.get("command") for row in rows):
        columns["layers"] = lambda row: used(row, "hidden")
        columns["step size"] = lambda row: used(row, "learning_rate")
    return columns


def baselines(rows: list[dict[str, Any]]) -> str:
    """The table of some rows, their curves, and the commands that make them again."""
    where = sorted({f"{row.get('device', 'an unknown device')}, {row.get('date', '')}" for row in rows})
    versions = rows[0].get("versions", {})
    extra = settings(rows)
    table = []
    for row in rows:
        seeds = row.get("seed_list", row.get("seeds"))
        table.append(
            [
                f"`{row['env']}`",
                row["agent"],
                *(show(row) for show in extra.values()),
                count(row.get("steps")),
                f"{seeds[0]}–{seeds[-1]}" if isinstance(seeds, list) else seeds,
                f"**{number(row.get('eval_return_iqm'))}** ({spread(row.get('eval_return_iqm_ci95'), row.get('eval_returns'))})",
                number(row.get("eval_return_mean")),
                f"{threshold(row.get('threshold'))}: {met(row)}" if row.get("threshold") is not None else "–",
                count(row.get("steps_per_second")),
                f"{number(row.get('seconds_run'))} s",
            ]
        )
    measured = ["steps", "seeds", "evaluation: IQM (95% interval)", "mean", "threshold met", "steps/s", "run"]
    lines = [
        "Measured on " + "; ".join(where) + ", with " + ", ".join(f"{name} {text}" for name, text in versions.items()) + ".",
        "",
        *grid(["environment", "agent", *extra, *measured], table),
        "",
        "*IQM*: interquartile mean over seeds of each seed's mean return over its evaluation episodes (greedy policy). "
        "*Steps*: environment steps per seed; *steps/s*: over all seeds side by side, compilation apart.",
        "",
    ]
    for row in rows:
        if row.get("published"):
            lines.append(f"- `{row['env']}`, {row['agent']}: published figure to stand beside: {row['published']}")
    lines += ["", "Each row is one command:", "", "```bash"]
    lines += [repeated(row) for row in rows if row.get("command")]
    lines += ["```", ""]
    files = [row.get("curve") for row in rows]
    curves = []
    for row, curve in zip(rows, files, strict=True):
        if curve and (ROOT / "docs" / curve).exists():
            title = ", ".join([f"{row['agent']} on {row['env']}", *(f"{name} {show(row)}" for name, show in extra.items())])
            if files.count(curve) > 1:  # one figure shows several rows
                curves = [f"![Learning curves on {row['env']}](@assets/{Path(curve).name})"]
            else:
                curves.append(f"![Learning curve of {title}](@assets/{Path(curve).name}){{ width=49% }}")
    lines += [*curves, ""]
    return "\n".join(lines)


def family(result: dict[str, Any]) -> str:
    """All rows of a family."""
    return baselines(rows_of(result))


def measured(agents: tuple[str, ...]) -> str:
    """The rows of agents with these names or beginnings of names, of all families but the ablation."""
    rows = []
    for name in FAMILIES[:-1]:
        source = RESULTS / f"{name}.json"
        rows += rows_of(json.loads(source.read_text())) if source.exists() else []
    mine = [row for row in rows if row["agent"].startswith(agents)]
    return baselines(mine) if mine else "*Not measured yet.*\n"


#: Cases of the benchmark beside peers, in words.
CASES = {
    "ppo": "PPO, two networks of 64-64, 64 environments x 128 steps, 4 epochs x 4 minibatches",
    "ppo-cnn": "PPO with the MinAtar network, as above",
    "ppo-gru": "PPO with a GRU of 128 between layers of 128, as above",
    "dqn": "DQN, 10 environments, an update of 128 per step",
    "dqn-double": "Double DQN, as above",
    "pqn": "PQN, 64 environments x 64 steps, 4 epochs x 4 minibatches",
    "sac": "SAC, 8 environments, an update of 128 per step",
}
LIBRARIES = {
    "rejax": "Rejax 0.1.3",
    "purejaxrl": "PureJaxRL",
    "jaxnasium": "Jaxnasium 0.1.1",
    "sb3": "Stable-Baselines3 2.9",
    "sbx": "SBX 0.28",
}


def bench_peers(result: dict[str, Any]) -> str:
    """Throughput beside other libraries."""
    cells = []
    for r in sorted(result["rows"], key=lambda r: list(CASES).index(r["case"])):
        who = LIBRARIES[r["peer"]] + (" (loop on the host)" if r["host_loop"] else "")
        ratio = f"**{r['ratio']:.2f}** ({r['ratio_least']:.2f} … {r['ratio_most']:.2f})"
        compiled = f"{number(r['seconds_compile'])} / {number(r['seconds_compile_of_peer'])} s"
        speeds = [count(r["steps_per_second"]), count(r["steps_per_second_of_peer"])]
        cells.append([CASES[r["case"]], r["env"], who, *speeds, ratio, compiled])
    header = ["work", "environment", "peer", "rl_jax, steps/s", "peer", "ratio (spread)", "compile"]
    peak = f"Matrix products reach {result['matmul_peak'] / 1e9:.0f} GFLOP/s on this machine ({result['device']}, 2 cores); one seed."
    return "\n".join([*grid(header, cells), "", peak, ""])


def before_after(result: dict[str, Any]) -> str:
    """Returns of the same commands from two commits."""

    def reached(one: dict[str, Any]) -> str:
        return f"{number(one['iqm'])} ({spread(one['ci95'], one['seeds'])})"

    cells = [
        [name, f"`{row['command']}`", reached(row["before"]), reached(row["after"])] for name, row in result["rows"].items()
    ]
    header = ["", "rl-jax train", f"before (`{result['before']}`)", "after"]
    return "\n".join([*grid(header, cells), ""])


def rnd_returns(result: dict[str, Any]) -> str:
    """What a bonus reaches in the reward and as a return of its own, and how far the arms are apart."""
    arms, tried = [], ", ".join(map(str, result["weights"]))
    for name, row in result["arms"].items():
        values = row["values"]
        middles = (("iqm", "ci95"), ("mean", "mean_ci95"))
        reached = [f"{number(row[middle])} ({spread(row[interval], values)})" for middle, interval in middles]
        tuning = ", ".join(number(sum(runs) / len(runs)) for runs in row["tuning"].values())
        arms.append([name, row["weight"] or "–", tuning or "–", *reached, f"{row['solved']:.0%}"])
    apart = []
    for row in result["compared"]:
        intervals = " … ".join(map(number, row["ci95"])), " … ".join(map(number, row["paired_mean_ci95"]))
        differences = f"{number(row['difference'])} ({intervals[0]})", f"{number(row['paired_mean'])} ({intervals[1]})"
        apart.append([f"{row['better']} > {row['worse']}", *differences, f"**{row['verdict']}**"])
    options = ", ".join(f"{name}={value}" for name, value in result["options"].items())
    heads = ["arm", "weight", f"tuning: mean at {tried}", "IQM (95%)", "mean (95%)", "solved"]
    return "\n".join(
        [
            *grid(heads, arms),
            "",
            *grid(["", "difference of IQM (95%)", "mean difference, seed by seed (95%)", "verdict"], apart),
            "",
            f"`{result['environment']}` with {options}, {count(result['steps'])} steps, "
            f"seeds {result['seeds'][0]} to {result['seeds'][-1]}; {result['device']}, {result['date']}.",
            "",
        ]
    )


def cost_model(result: dict[str, Any]) -> str:
    """What was fitted to what was measured."""
    words = {
        "scale-envs": "environments (32 steps each)",
        "scale-length": "steps of a rollout (64 environments)",
        "scale-seeds": "runs side by side (64 x 128 steps each)",
        "scale-width": "units of each hidden layer, squared",
        "scale-replay": "transitions in the buffer (drawing 2048 batches of 256)",
    }
    cells = []
    for suite, about in result["models"].items():
        s, m = about["seconds"], about["bytes"]
        seconds = f"{1e3 * s['a']:.3g} ms + x · {1e6 * s['b']:.3g} µs"
        memory = f"{m['a'] / 2**20:.3g} MiB + x · {m['b']:.3g} B"
        x = [int(v) for v in about["x"]]
        errors = [
            f"{s['mean_error']:.0%}, at most {s['worst_error']:.0%}",
            f"{m['mean_error']:.0%}, at most {m['worst_error']:.0%}",
        ]
        cells.append([words[suite], f"{count(x[0])} … {count(x[-1])}", seconds, errors[0], memory, errors[1]])
    header = ["x", "from … to", "time of a train step", "off by", "memory", "off by"]
    return "\n".join([*grid(header, cells), "", f"Device: {result['device']}, one of it.", ""])


def kill_and_resume(result: dict[str, Any]) -> str:
    """Runs killed and resumed."""
    agent = result.get("agent", "ppo")
    return (
        f"{result['runs']} runs of `rl-jax train {agent} {' '.join(result['options'])}` each met a SIGKILL at a random moment "
        f"({result['kills']} kills, {result['half_written']} of them while a checkpoint was being written) and were resumed. "
        f"Equal to the run that was never stopped: parameters (`params_sha256`) in {result['runs_with_same_params_sha256']}, "
        f"evaluation in {result['runs_with_same_evaluation']}, every row of the metrics in {result['runs_with_same_metrics']}.\n"
    )


def bench_replay_throughput(result: dict[str, Any]) -> str:
    """Microseconds of a buffer's operations beside a peer."""
    table = []
    for row in result["rows"]:
        for what in ("add", "sample", "update", "bytes_per_transition"):
            if what in row:
                cells = row[what]
                unit = "bytes per transition" if what == "bytes_per_transition" else f"{what}, µs"
                ours, theirs = number(cells["rl_jax"]), number(cells["flashbax"])
                table.append([row["item"], row["kind"], unit, ours, theirs, f"{cells['ratio']:.2f}"])
    lines = [
        f"Buffers of {count(result['capacity'])} transitions, full; {result['num_envs']} environments add one step each, a sample "
        f"has {result['batch_size']} items, a trajectory {result['trajectory_length']} steps; {result['device']}. "
        "Microseconds per operation inside one compiled loop, medians over processes taken in turn.",
        "",
        *grid(["observations", "buffer", "quantity", "rl_jax", "flashbax 0.1.3", "flashbax / rl_jax"], table),
        "",
    ]
    return "\n".join(lines)


def bench_off_policy(result: dict[str, Any]) -> str:
    """Throughput and returns of off-policy agents beside a peer, and where the time goes."""
    table, parts = [], []
    for row in result["rows"]:
        rates, compiled, returns = row["steps_per_second"], row["seconds_compile"], row.get("returns", {})

        def reached(library: str, returns: dict[str, Any] = returns) -> str:
            if library not in returns:
                return "–"
            low, high = returns[library]["ci95"]
            return f"{number(returns[library]['iqm'])} ({number(low)} … {number(high)})"

        table.append(
            [
                f"`{row['env']}`",
                row["agent"],
                row["num_envs"],
                row["batch_size"],
                f"{row['updates_per_step']:.3g}",
                count(row["steps"]),
                count(rates["rl_jax"]),
                count(rates["rejax"]),
                f"{row['ratio_median']:.2f} ({row['ratio_min']:.2f} … {row['ratio_max']:.2f})",
                f"{row['ratio_likewise']:.2f}",
                f"{number(compiled['rl_jax'])} / {number(compiled['rejax'])} s",
                reached("rl_jax"),
                reached("rejax"),
            ]
        )
        if row.get("profile"):
            text = ", ".join(f"{name} {number(value)}" for name, value in row["profile"].items())
            parts.append(f"- {row['agent']} on `{row['env']}`, {row['num_envs']} environments: {text}")
    heads = ["environment", "agent", "envs", "batch", "updates/step", "steps", "rl_jax steps/s", "Rejax steps/s"]
    heads += ["ratio (pairs)", "Rejax compiled likewise", "compile", "rl_jax return, IQM (95%)", "Rejax return, IQM (95%)"]
    about = (
        f"On {result['device']}, runs of both libraries in turn, at the same settings. *Ratio*: median, and from pair to pair. "
        "*Return*: ten seeds, greedy, after training of its own."
    )
    lines = [about, "", *grid(heads, table), ""]
    if parts:
        what = "Where the time goes, in microseconds (`collect`, `add`: per environment step; `sample`, `learn`: per update):"
        lines += [what, "", *parts, ""]
    return "\n".join(lines)


def bench_checkpoint_memory(result: dict[str, Any]) -> str:
    """Memory and seconds of saving and restoring a large buffer."""

    def gigabytes(value: Any) -> str:
        return f"{value / 1e9:.2f}" if isinstance(value, int | float) else "–"

    table = [
        [
            row["method"],
            row["content"],
            gigabytes(row.get("save_peak_bytes")),
            gigabytes(row.get("restore_peak_bytes")),
            gigabytes(row.get("step_peak_bytes")),
            gigabytes(row.get("disk_bytes")),
            f"{number(row.get('save_seconds'))} s",
            f"{number(row.get('restore_seconds'))} s",
        ]
        for row in result["rows"]
    ]
    heads = [
        "written by",
        "content",
        "save: peak, GB",
        "restore: peak, GB",
        "first change: peak, GB",
        "on disk, GB",
        "save",
        "restore",
    ]
    lines = [
        f"A buffer of {count(result['transitions'])} images of 84 x 84 bytes, {gigabytes(result['state_bytes'])} GB; "
        f"{result['device']}. "
        "*Peak*: the largest resident size of the process above what it had before; for a restore, beyond the state itself.",
        "",
        *grid(heads, table),
        "",
    ]
    return "\n".join(lines)


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


def structured(result: dict[str, Any]) -> str:
    """What agents reach behind a mask and from two parts, and what a critic that sees more is worth."""

    def cell(row: dict[str, Any]) -> str:
        return f"{number(row['mean'])} ({spread(row['ci95'], row['seeds'])})"

    games, critics = result["games"], result["critics"]
    rows = [
        [f"`{name}`", agent, count(row["steps"]), cell(game["random"]), cell(row["start"]), cell(row["end"])]
        for name, game in games.items()
        if isinstance(game, dict) and "random" in game
        for agent, row in game.items()
        if isinstance(row, dict) and "end" in row
    ]
    kinds = [
        [f"PPO, {kind} critic", *(cell(critics[kind][part]) for part in ("whole", "last_tenth"))]
        for kind in ("asymmetric", "symmetric")
    ]
    seeds = len(critics["symmetric"]["whole"]["seeds"])
    return "\n".join(
        [
            *grid(["environment", "agent", "steps", "random (95%)", "before (95%)", "after (95%)"], rows),
            "",
            f"Mean return of 64 episodes with sampled actions, 3 seeds; random is among what the mask allows. {games['device']}, "
            f"{games['date']}.",
            "",
            *grid(["`probe/privileged`", "right actions, whole training (95%)", "last tenth (95%)"], kinds),
            "",
            f"Mean over {seeds} seeds of {count(critics['steps'])} steps. {critics['device']}, {critics['date']}.",
            "",
        ]
    )


#: Families of :mod:`experiments.baselines`.
FAMILIES = ("ppo_baselines", "value_baselines", "continuous_baselines", "rainbow_ablation_baselines")


def token_world(result: dict[str, Any]) -> str:
    """Whole train steps of GRPO beside the plain transformer and TRL."""

    def times(ratio: dict[str, float]) -> str:
        return f"**{ratio['median']:.1f}** ({ratio['min']:.1f} … {ratio['max']:.1f})"

    cells = [
        [
            row["case"].replace("x", " x "),
            row["cores"],
            *(count(row["tokens_per_second"][who]) for who in ("aligned", "plain", "trl")),
            *(times(row[name]) for name in ("over_plain", "over_trl", "ten_seeds_over_trl")),
            f"{number(row['seconds_compile']['aligned'])} s",
        ]
        for row in result["rows"]
    ]
    header = [
        "layers x width",
        "cores",
        "tokens/s",
        "plain transformer",
        "TRL 1.16",
        "over plain",
        "over TRL",
        "ten seeds over TRL",
    ]
    return "\n".join(
        [*grid([*header, "compile"], cells), "", f"{result['device']}, {result['date']}, nothing else running.", ""]
    )


def offline_speed(result: dict[str, Any]) -> str:
    """Updates of offline agents beside d3rlpy and CORL's single files."""

    def times(ratio: dict[str, float]) -> str:
        return f"**{ratio['median']:.1f}** ({ratio['min']:.1f} … {ratio['max']:.1f})"

    def share(ratio: dict[str, float]) -> str:
        return f"{ratio['median']:.2f} ({ratio['min']:.2f} … {ratio['max']:.2f})"

    names = {"iql": "IQL", "td3_bc": "TD3+BC", "cql": "CQL"}
    cells = [
        [
            f"{names[row['agent']]} {row['hidden']} x 2",
            row["cores"],
            count(row["updates_per_second"]["one"]),
            times(row["over_d3rlpy"]),
            times(row["over_single_file"]),
            share(row["seeds_over_after"]),
            f"{number(row['compile'])} s",
        ]
        for row in result["rows"]
    ]
    header = [
        "agent",
        "cores",
        "updates/s",
        "over d3rlpy 2.8.1",
        "over CORL",
        "ten seeds in one program, over one after another",
        "compile",
    ]
    data = result["rows"][0]
    size = data["data_bytes"] / data["raw_bytes"]
    text = f"A data set of {data['raw_bytes'] / 1e6:.1f} MB takes {size:.2f} times that on the device."
    busy = result["note"] or "nothing else running"
    return "\n".join([*grid(header, cells), "", f"{text} {result['device']}, {result['date']}, {busy}.", ""])


TABLES: dict[str, Callable[[dict[str, Any]], str]] = {
    **dict.fromkeys(FAMILIES, family),
    "bench_peers": bench_peers,
    "before_after": before_after,
    "rnd_returns": rnd_returns,
    "cost_model": cost_model,
    "bench_off_policy": bench_off_policy,
    "bench_replay_throughput": bench_replay_throughput,
    "bench_checkpoint_memory": bench_checkpoint_memory,
    "kill_and_resume": kill_and_resume,
    "kill_and_resume_replay": kill_and_resume,
    "bench_sweep_and_memory": bench_sweep_and_memory,
    "structured": structured,
    "token_world": token_world,
    "offline_speed": offline_speed,
}

#: What the agents' pages show: the rows of these agents.
PAGES = {
    "measured_dqn": ("dqn", "rainbow"),
    "measured_pqn": ("pqn",),
    "measured_r2d2": ("r2d2",),
    "measured_sac": ("sac",),
    "measured_td3": ("td3", "ddpg"),
    "measured_a2c": ("a2c",),
    "measured_mdpo": ("mdpo",),
}


def table(experiment: str) -> str:
    """The Markdown of one experiment's result file."""
    source = RESULTS / f"{experiment}.json"
    if not source.exists():
        return f"*Not measured yet* (`experiments/results/{experiment}.json` is missing).\n"
    return TABLES[experiment](json.loads(source.read_text()))


#: Families of claims, in words.
FAMILY_NAMES = {
    "meta-rl": "Meta-RL and discovered algorithms",
    "exploration": "Exploration",
    "plasticity-representation": "Plasticity, streaming and representation",
    "group-policy": "Groups of answers",
    "replay": "Replay and imitation of oneself",
    "reward-design": "Rewards for steps",
}


def claims() -> str:
    """All claims with a result: an overview, then each with its figures, its verdict and its plot."""
    found = [json.loads(path.read_text()) for path in sorted(RESULTS.glob("*.json"))]
    results = [result for result in found if "verdict" in result]
    if not results:
        return "*Not measured yet.*\n"
    families = sorted({r["family"] for r in results}, key=lambda name: (name not in FAMILY_NAMES, name))
    ordered = [r for name in families for r in results if r["family"] == name]
    overview = [
        [
            f"[{r['title']}](#{r['slug']})",
            cited(r["paper"]),
            f"**{r['verdict']}**{after_verdict(r)}",
            len(r["seeds"]),
            on_fresh_seeds(r),
            f"{r['seconds'] / 60:.0f} min",
        ]
        for r in ordered
    ]
    lines = grid(["claim", "paper", "verdict", "seeds", "on fresh seeds", "time"], overview)
    for name in families:
        lines += ["", f"## {FAMILY_NAMES.get(name, name)}", ""]
        for r in ordered:
            if r["family"] == name:
                lines += claim(r)
    return "\n".join(lines) + "\n"


def cited(paper: str) -> str:
    """Authors and year as a table cites them: of three authors and more, the first."""
    authors, year = re.fullmatch(r"(.*?) (\d{4}\w?), .*", paper, re.S).groups()
    return f"{authors.split(',')[0]} et al. {year}" if "," in authors else f"{authors} {year}"


def after_verdict(r: dict[str, Any]) -> str:
    """What stands behind a verdict in brackets: gates that failed, and the attempts before it."""
    from rl_jax.run.claims.table import beside_verdict

    return beside_verdict(r)


def earlier(r: dict[str, Any]) -> list[str]:
    """The attempts before the one that is shown, with what they left open."""
    from rl_jax.run.claims.attempts import ordinal

    rows = []
    for about in r["earlier"]:
        open_ones, file = "–", "–"
        if "file" in about:
            found = json.loads((RESULTS / about["file"]).read_text())
            rest = [p for p in found["predictions"] if p["verdict"] != "holds"]
            texts = [f"{p['prediction']}: {number(p['difference'])} ({' … '.join(map(number, p['ci95']))})" for p in rest]
            open_ones, file = "; ".join(texts) or "–", f"`experiments/results/{about['file']}`"
        seeds = about["seeds"]
        rows.append(
            [ordinal(about["attempt"]), f"**{about['verdict']}**", f"{seeds[0]}–{seeds[-1]}", about["date"], open_ones, file]
        )
    header = ["attempt", "verdict", "seeds", "date", "did not hold, or undecided", "result file"]
    return ["*Earlier attempts.*", "", *grid(header, rows), ""] if rows else []


def fresh(r: dict[str, Any]) -> dict[str, Any] | None:
    """The same recipe on seeds that were never used before; no attempt, since nothing was decided by it beforehand."""
    file = RESULTS / "fresh" / f"{r['slug']}.json"
    return json.loads(file.read_text()) if file.exists() else None


def on_fresh_seeds(r: dict[str, Any]) -> str:
    """The verdict on fresh seeds and their number, for the overview."""
    again = fresh(r)
    return f"{again['verdict']} ({len(again['seeds'])})" if again else "–"


def side_by_side(r: dict[str, Any]) -> list[str]:
    """Each prediction's difference on the reported seeds and on fresh ones."""
    again = fresh(r)
    if again is None:
        return []

    def cell(p: dict[str, Any]) -> str:
        interval = "" if p["method"] == "no spread" else f" ({' … '.join(map(number, p['ci95']))})"
        return f"{number(p['difference'])}{interval}, {p['verdict']}"

    new = {p["prediction"]: p for p in again["predictions"]}
    rows = [[p["prediction"], cell(p), cell(new[p["prediction"]])] for p in r["predictions"]]
    seeds = [f"seeds {x['seeds'][0]}–{x['seeds'][-1]}" for x in (r, again)]
    said = (
        f"*Again on seeds never used*: **{again['verdict']}** (`experiments/results/fresh/{r['slug']}.json`, {again['date']})."
    )
    return [said, "", *grid(["prediction", *seeds], rows), ""]


def claim(r: dict[str, Any]) -> list[str]:
    """One claim."""
    from rl_jax.run.claims.table import budget_text, failed_text

    measures = list(r["measures"])
    rows = []
    for arm, about in r["arms"].items():
        cells = []
        for measure in measures:
            if measure in about["summary"]:
                s = about["summary"][measure]
                values = about["values"][measure]
                beside = f"mean {number(s['mean'])}{failed_text(s, len(values))}"
                cells.append(f"{number(s['iqm'])} ({spread(s['ci95'], values)}); {beside}")
            else:
                cells.append("–")
        spent = budget_text(about) if "updates" in about else count(about["steps"]) if about["steps"] else "–"
        rows.append([arm, *cells, spent, f"{number(about['seconds'])} s"])
    judged = []
    for p in r["predictions"]:
        interval = "" if p["method"] == "no spread" else f" ({' … '.join(map(number, p['ci95']))})"
        exact = ", success rates, exact" if p["method"] == "success rates" else ""
        unpaired = f"; unpaired {' … '.join(map(number, p['ci95_unpaired']))}" if "ci95_unpaired" in p else ""
        difference = f"{number(p['difference'])}{interval}{unpaired}{exact}"
        better = f"{p['better']} > {p['worse']}" + (f" + {p['margin']:g}" if p["margin"] else "")
        verdict = f"**{p['verdict']}**" + (f" ({p['note']})" if p["note"] else "")
        judged.append([p["measure"], better, p["why"] or "–", difference, number(p["probability_of_improvement"]), verdict])
    seeds = r["seeds"]
    budget = "budget of a run" if any("updates" in arm for arm in r["arms"].values()) else "steps per run"
    gates = [[g["gate"], number(g["value"]), "passed" if g["passed"] else "**failed**"] for g in r.get("gates", [])]
    study = f" Its arms are of the study `{r['study']}`." if r.get("study") else ""
    pairs = " The arms of a seed are pairs, and are resampled together." if r.get("paired") else ""
    versions = ", ".join(f"{name} {r['versions'][name]}" for name in ("rl_jax", "jax", "jaxlib", "flax", "optax"))
    return [
        f"### {r['title']} {{ #{r['slug']} }}",
        "",
        f"**{r['verdict'].capitalize()}{after_verdict(r)}.** {r['claim']} ({r['paper']})",
        "",
        f"![{r['title']}: {r['verdict']}{after_verdict(r)}](@assets/claims/{r['slug']}.png)",
        "",
        f"*Environment.* {r['environment']}{study}{pairs}",
        "",
        *[f"*{name}*: {text}." for name, text in r["measures"].items()],
        "",
        *grid(["arm", *measures, budget, "time"], rows),
        "",
        *grid(["measure", "predicted", "because", "difference", "P(improvement)", "verdict"], judged),
        "",
        *([*grid(["gate", "measured", ""], gates), ""] if gates else []),
        *side_by_side(r),
        *earlier(r),
        f"*What differs from the paper, and what was tried.* {r['departures']}",
        "",
        f"Seeds {seeds[0]}–{seeds[-1]}; settings were chosen on seeds {r['tuning_seeds'][0]}–{r['tuning_seeds'][-1]}. "
        f"{r['device']}, {r['date']}; {versions}. Again: `rl-jax reproduce {r['slug']}`.",
        "",
    ]


def cli() -> str:
    """The help texts of all commands."""
    os.environ.update(COLUMNS="100", NO_COLOR="1", TERM="dumb")
    from rl_jax.run.cli.console import main

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
    for page, agents in PAGES.items():
        write(page, measured(agents))
    write("claims", claims())
    write("cli", cli())


if __name__ == "__main__":
    main()
