"""Updates per second of IQL, TD3+BC and CQL on recorded experience, in turn with d3rlpy and CORL's single files.

    python experiments/benchmarks/offline.py --peers PYTHON --corl FOLDER [--rounds 5] [--cores 1 2]

``PYTHON`` is of an environment with ``d3rlpy==2.8.1`` and its ``torch``; ``FOLDER`` has the files of ``algorithms/offline`` of
github.com/tinkoff-ai/CORL, which this repository has no copy of. All learn from the same 100,000 steps (``peers/offline_data.py``) in
batches of 256, with two hidden layers, Adam, and CQL with a fixed weight and temperature. Every library is made ready in a process of
its own, which then waits; they measure one after the other, A B C A B C ... Torch is given one thread, and on two cores also two:
ratios are over the faster of both. Ten seeds, each with a data set of its own, are trained in one program, and one after another with
the program of one seed.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from in_turn import Worker, ratios
from peers.offline_data import ACTION, BATCH, GAMMA, OBS, RATE, SEEDS, TAU, raw_bytes, recorded, updates_of

HERE = Path(__file__).resolve().parent
RESULTS = HERE.parent / "results" / "offline_speed.json"
AGENTS, HIDDEN = ("iql", "td3_bc", "cql"), (64, 256)
#: What a worker of this library measures.
OURS = ("one", "seeds", "after")


def ours(agent: str, hidden: int) -> None:
    """Serve measurements of this library: one seed, ten in one program, and ten one after another."""
    from peers.served import quiet, serve

    answers = quiet()
    import jax
    import jax.numpy as jnp

    import rl_jax as rl
    from rl_jax.agents.configs import CONFIGS
    from rl_jax.run.devices.compiling import compiler_options
    from rl_jax.spaces import Box

    class Flat(NamedTuple):
        """An environment of which only the spaces matter."""

        name: str = "flat"
        time_limit: int | None = None
        default_params: tuple[()] = ()

        def observation_space(self, params: Any) -> Any:
            return Box.of(-jnp.inf, jnp.inf, (OBS,))

        def action_space(self, params: Any) -> Any:
            return Box.of(-1.0, 1.0, (ACTION,))

        def reset(self, key: Any, params: Any) -> Any:
            return (), jnp.zeros((OBS,))

        def step(self, key: Any, state: Any, action: Any, params: Any) -> Any:
            none = jnp.zeros((), bool)
            return rl.types.Step((), jnp.zeros((OBS,)), jnp.zeros(()), none, none, {})

    env = Flat()
    spaces = (env.observation_space(()), env.action_space(()))
    common = {"hidden": (hidden, hidden), "batch_size": BATCH, "learning_rate": RATE, "gamma": GAMMA, "tau": TAU}
    config = CONFIGS[agent.replace("_", "-")](**common, standardize=False)
    trainers = [config.trainer(env, rl.data.of_arrays(recorded(seed), *spaces)) for seed in range(SEEDS)]
    trainers = [jax.tree.map(jnp.asarray, trainer) for trainer in trainers]
    number = updates_of(agent, hidden, peer=False)
    steps = trainers[0].num_updates(number)
    fewer = max(1, steps // SEEDS)
    learned = config.updates * steps
    data_bytes = sum(x.nbytes for x in jax.tree.leaves(trainers[0].replay.data))

    def advance(trainer: Any, state: Any, steps: Any) -> Any:
        return trainer.advance(state, steps)

    def init(trainer: Any, key: Any) -> Any:
        return trainer.init(key, learned)

    def compiled(function: Any, *arguments: Any) -> Any:
        return jax.jit(function, donate_argnums=1).lower(*arguments).compile(compiler_options())

    keys = jax.random.split(jax.random.key(0), SEEDS)
    states = [jax.jit(init)(trainer, key) for trainer, key in zip(trainers, keys, strict=True)]
    start = time.perf_counter()
    one = compiled(advance, trainers[0], states[0], jnp.int32(steps))
    seconds = time.perf_counter() - start
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *trainers)
    state = jax.jit(jax.vmap(init))(stacked, keys)
    many = compiled(jax.vmap(advance, (0, 0, None)), stacked, state, jnp.int32(fewer))
    held: dict[str, Any] = {"many": state}

    def run_one(i: int = 0, number: int = steps) -> None:
        states[i], metrics = one(trainers[i], states[i], jnp.int32(number))
        jax.block_until_ready((states[i], metrics))

    def run_many() -> None:
        held["many"], metrics = many(stacked, held["many"], jnp.int32(fewer))
        jax.block_until_ready((held["many"], metrics))

    def run_after() -> None:
        for i in range(SEEDS):
            run_one(i, fewer)

    run_one()
    run_many()
    about = {
        "updates": learned,
        "seeds_updates": config.updates * fewer * SEEDS,
        "compile": seconds,
        "data_bytes": data_bytes,
        "raw_bytes": raw_bytes(),
        "program_bytes": one.memory_analysis().temp_size_in_bytes,
        "seeds_program_bytes": many.memory_analysis().temp_size_in_bytes,
    }
    serve(answers, {"one": run_one, "seeds": run_many, "after": run_after}, about)


def row(agent: str, hidden: int, cores: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """One agent with one network on so many cores."""
    peers = {
        f"{name} {threads}": (arguments.peers, str(HERE / "peers" / script), agent, str(hidden), str(threads), *more)
        for name, script, more in (
            ("d3rlpy", "offline_d3.py", ()),
            ("single file", "offline_single_file.py", (arguments.corl,)),
        )
        for threads in range(1, cores + 1)
    }
    load = os.getloadavg()[0]
    workers = {"rl_jax": Worker(sys.executable, __file__, "child", agent, str(hidden))}
    workers |= {name: Worker(*command) for name, command in peers.items()}
    about = {name: worker() for name, worker in workers.items()}
    own = about["rl_jax"]
    rates: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        for measure in OURS:
            updates = own["updates" if measure == "one" else "seeds_updates"]
            rates.setdefault(measure, []).append(updates / workers["rl_jax"](measure))
        for name in peers:
            rates.setdefault(name, []).append(about[name]["updates"] / workers[name]("run"))
    for worker in workers.values():
        worker.close()
    result: dict[str, Any] = {
        "agent": agent,
        "hidden": hidden,
        "cores": cores,
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "updates_per_second": {name: statistics.median(x) for name, x in rates.items()},
        "seeds_over_after": ratios(rates["seeds"], rates["after"]),
        **{name: own[name] for name in ("compile", "data_bytes", "raw_bytes", "program_bytes", "seeds_program_bytes")},
    }
    for name in ("d3rlpy", "single file"):
        fastest = max((n for n in peers if n.startswith(name)), key=lambda n: statistics.median(rates[n]))
        result[f"over_{name.replace(' ', '_')}"] = ratios(rates["one"], rates[fastest]) | {"threads": int(fastest[-1])}
        result[f"seeds_over_{name.replace(' ', '_')}"] = ratios(rates["seeds"], rates[fastest])
    return result


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="the python of an environment with d3rlpy")
    parser.add_argument("--corl", required=True, help="a folder with iql.py, td3_bc.py and cql.py of CORL")
    parser.add_argument("--agents", nargs="+", choices=AGENTS, default=AGENTS)
    parser.add_argument("--hidden", nargs="+", type=int, choices=HIDDEN, default=HIDDEN)
    parser.add_argument("--cores", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS)
    parser.add_argument("--note", default="", help="what else was running")
    arguments = parser.parse_args()
    from rl_jax.run.storage.metadata import metadata

    about = {name: value for name, value in metadata().items() if name in ("device", "versions")}
    available = sorted(os.sched_getaffinity(0))
    rows = []
    for cores in arguments.cores:
        os.sched_setaffinity(0, available[:cores])
        for agent in arguments.agents:
            for hidden in arguments.hidden:
                rows.append(row(agent, hidden, cores, arguments))
                print(json.dumps(rows[-1]), flush=True)
                content = {
                    "experiment": "offline_speed",
                    "rows": rows,
                    "date": time.strftime("%Y-%m-%d"),
                    "note": arguments.note,
                }
                arguments.out.write_text(json.dumps(content | about, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        ours(sys.argv[2], int(sys.argv[3]))
    else:
        main()
