"""Adding to and sampling from a replay buffer of a million transitions, beside flashbax 0.1.3, in turn, one process per run.

    python experiments/benchmarks/replay_throughput.py --flashbax-python PATH/TO/VENV/bin/python

flashbax needs a virtual environment of its own: ``pip install flashbax==0.1.3 jax==0.10.2``. Every operation runs a few hundred
times inside one compiled loop over a donated state, as in training; the buffer is full. 64 environments add one step each;
a sample has 256 items. What flashbax hands out: pairs of neighbouring steps, also across the end of an episode, or trajectories of
8 steps; ours: steps with their own next observation, or trajectories of 8 steps of one episode. A trajectory's ``sample`` takes 8
observations from both, ``sample_transitions`` also the one after the last (flashbax: 9 steps; ours: the first and all next ones).
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

from in_turn import in_turn, ratios

RESULTS = Path(__file__).resolve().parents[1] / "results" / "bench_replay_throughput.json"
CAPACITY, ENVS, BATCH, LENGTH = 1_000_000, 64, 256, 8
ITEMS = {"CartPole": ((4,), "float32"), "84x84": ((84, 84), "uint8")}
KINDS = ("uniform", "trajectory", "prioritized")


def timed(function, state, repeats: int) -> tuple[float, object]:
    """Microseconds per operation inside a compiled loop of ``repeats``, the best of five, and the state."""
    import jax

    program = jax.jit(lambda state: function(state, repeats), donate_argnums=0).lower(state).compile()
    best = float("inf")
    for _ in range(6):  # the first is the warm-up
        start = time.perf_counter()
        state = jax.block_until_ready(program(state))
        best = min(best, time.perf_counter() - start)
    return best / repeats * 1e6, state


def steps(item: str):
    """Random steps of all environments, ``[1, N, ...]``."""
    import jax
    import jax.numpy as jnp

    shape, dtype = ITEMS[item]
    keys = jax.random.split(jax.random.key(0), 4)
    obs = (255 * jax.random.uniform(keys[0], (1, ENVS, *shape))).astype(dtype)
    return {
        "obs": obs,
        "action": jax.random.randint(keys[1], (1, ENVS), 0, 2),
        "reward": jax.random.normal(keys[2], (1, ENVS)),
        "done": jax.random.bernoulli(keys[3], 0.02, (1, ENVS)) & (jnp.arange(ENVS) < 2),
    }


def run_rl_jax(kind: str, item: str) -> dict:
    """This library."""
    import jax
    import jax.numpy as jnp

    from rl_jax import Context, Rollout, Spec
    from rl_jax.replay import Buffer, Prioritized, Uniform
    from rl_jax.spaces import Box, Discrete
    from rl_jax.types import Boundary

    data = steps(item)
    no = jnp.zeros((1, ENVS), bool)
    border = Boundary(data["obs"][0], no[0], (), (), (), jnp.arange(ENVS))
    rollout = Rollout(
        obs=data["obs"],
        action=data["action"],
        reward=data["reward"],
        terminated=data["done"],
        truncated=no,
        first=no,
        next_obs=data["obs"],
        carry=(),
        env_state=(),
        level=(),
        info={},
        extras={},
        start=border,
        last=border,
    )
    shape, dtype = ITEMS[item]
    spec = Spec(Box.of(0, 255, shape, dtype), Discrete(2), ENVS, 1, rollout)
    sampler = Prioritized(0.6, 0.4) if kind == "prioritized" else Uniform()
    buffer = Buffer(sampler, capacity=CAPACITY, batch_size=BATCH, length=LENGTH if kind == "trajectory" else 1)
    zero = jnp.float32(0)
    context = Context(jax.random.key(1), None, None, jnp.int32(0), zero, zero, zero)
    state = jax.jit(lambda key: buffer.init(key, spec))(jax.random.key(0))

    def steps_only(state, context):
        drawn = buffer.sample(state, context)
        return drawn._replace(batch=drawn.batch.replace(next_obs=()))

    def transitions(state, context):
        drawn = buffer.sample(state, context)
        return drawn._replace(batch=drawn.batch.replace(obs=drawn.batch.obs[:1]))

    draws = {"sample": transitions}
    if kind == "trajectory":
        draws = {"sample": steps_only, "sample_transitions": transitions}

    def add(state, repeats):
        return jax.lax.fori_loop(0, repeats, lambda i, s: buffer.add(s, rollout, context), state)

    def sampling(draw):
        def body(i, both):
            key = jax.random.fold_in(context.key, i)
            return both[0], draw(both[0], context.replace(key=key))

        return lambda both, repeats: jax.lax.fori_loop(0, repeats, body, both)

    def update(both, repeats):
        def body(i, both):
            priorities = jax.random.uniform(jax.random.fold_in(context.key, i), (BATCH,))
            return buffer.update(both[0], (both[1] + i * 977) % (CAPACITY // 2), priorities), both[1]

        return jax.lax.fori_loop(0, repeats, body, both)

    state = jax.block_until_ready(jax.jit(add, static_argnums=1, donate_argnums=0)(state, CAPACITY // ENVS + 2))
    result = {"bytes_per_transition": buffer.plan(spec).bytes / buffer.plan(spec).capacity}
    result["add"], state = timed(add, state, 300)
    for name, draw in draws.items():
        drawn = jax.jit(draw)(state, context)
        result[name], (state, drawn) = timed(sampling(draw), (state, drawn), 300)
    if kind == "prioritized":
        result["update"], _ = timed(update, (state, drawn.indices), 300)
    return result


def run_flashbax(kind: str, item: str) -> dict:
    """flashbax, with its own buffer for each kind."""
    import flashbax
    import jax
    import jax.numpy as jnp

    data = steps(item)
    common = {"sample_batch_size": BATCH, "add_batch_size": ENVS}
    if kind == "trajectory":
        buffer, longer = (
            flashbax.make_trajectory_buffer(
                sample_sequence_length=rows, period=1, min_length_time_axis=rows, max_size=CAPACITY, **common
            )
            for rows in (LENGTH, LENGTH + 1)
        )
        item_in = {name: jnp.swapaxes(x, 0, 1) for name, x in data.items()}
    elif kind == "prioritized":
        buffer = flashbax.make_prioritised_flat_buffer(
            max_length=CAPACITY, min_length=1, priority_exponent=0.6, device="cpu", **common
        )
        item_in = {name: x[0] for name, x in data.items()}
    else:
        buffer = flashbax.make_flat_buffer(max_length=CAPACITY, min_length=1, **common)
        item_in = {name: x[0] for name, x in data.items()}
    state = buffer.init({name: x[0, 0] for name, x in data.items()})
    key = jax.random.key(1)

    def add(state, repeats):
        return jax.lax.fori_loop(0, repeats, lambda i, s: buffer.add(s, item_in), state)

    def sampling(draw):
        def body(i, both):
            return both[0], draw(both[0], jax.random.fold_in(key, i))

        return lambda both, repeats: jax.lax.fori_loop(0, repeats, body, both)

    def update(both, repeats):
        def body(i, both):
            priorities = jax.random.uniform(jax.random.fold_in(key, i), (BATCH,))
            return buffer.set_priorities(both[0], (both[1] + i * 977) % (CAPACITY // 2), priorities), both[1]

        return jax.lax.fori_loop(0, repeats, body, both)

    size = sum(x.nbytes for x in jax.tree.leaves(state))
    state = jax.block_until_ready(jax.jit(add, static_argnums=1, donate_argnums=0)(state, CAPACITY // ENVS + 2))
    result = {"bytes_per_transition": size / CAPACITY}
    result["add"], state = timed(add, state, 300)
    draws = {"sample": buffer.sample}
    if kind == "trajectory":
        draws["sample_transitions"] = longer.sample
    for name, draw in draws.items():
        drawn = jax.jit(draw)(state, key)
        result[name], (state, drawn) = timed(sampling(draw), (state, drawn), 300)
    if kind == "prioritized":
        result["update"], _ = timed(update, (state, drawn.indices), 300)
    return result


def compare(flashbax_python: str, rounds: int, only: list[str]) -> dict:
    """Both libraries in turn; medians in microseconds per operation, and the ratio of flashbax's to ours."""
    rows = []
    for item in ITEMS:
        for kind in KINDS:
            if only and f"{kind}/{item}" not in only:
                continue
            both = {"rl_jax": sys.executable, "flashbax": flashbax_python}
            kinds = {name: (python, "--one", name, "--kind", kind, "--item", item) for name, python in both.items()}
            runs = in_turn(kinds, rounds, f"{kind}/{item}")
            row = {"kind": kind, "item": item, "runs": runs}
            for what in runs["rl_jax"][0]:
                ours, theirs = ([run[what] for run in runs[name]] for name in runs)
                row[what] = {
                    "rl_jax": statistics.median(ours),
                    "flashbax": statistics.median(theirs),
                    "ratio": ratios(theirs, ours)["median"],
                }
                print(kind, item, what, {k: round(v, 2) for k, v in row[what].items()}, file=sys.stderr)
            rows.append(row)
    return {
        "experiment": "bench_replay_throughput",
        "capacity": CAPACITY,
        "num_envs": ENVS,
        "batch_size": BATCH,
        "trajectory_length": LENGTH,
        "device": "cpu, 2 cores",
        "rows": rows,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flashbax-python", help="python of a virtual environment with flashbax 0.1.3")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], help="such as uniform/CartPole; then nothing is written")
    parser.add_argument("--one", choices=["rl_jax", "flashbax"], help=argparse.SUPPRESS)
    parser.add_argument("--kind", choices=KINDS, help=argparse.SUPPRESS)
    parser.add_argument("--item", choices=list(ITEMS), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        run = run_rl_jax if arguments.one == "rl_jax" else run_flashbax
        print(json.dumps(run(arguments.kind, arguments.item)))
    else:
        outcome = compare(arguments.flashbax_python, arguments.rounds, arguments.only)
        if not arguments.only:
            RESULTS.write_text(json.dumps(outcome, indent=1) + "\n")
