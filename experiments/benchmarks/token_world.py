"""Tokens per second of whole train steps of GRPO, in turn with others.

    python experiments/benchmarks/token_world.py [--trl PYTHON] [--cases ...] [--cores 1 2]

A train step samples all columns, compares each with its group, and learns in two passes of four pieces. ``aligned`` is the
transformer for whole rollouts, ``plain`` the one for any rollout, ``trl`` TRL's GRPOTrainer on a model of the same sizes
(``peers/trl_grpo.py``). Every measurement is a process of its own on so many cores, A B C A B C ..., so that a busy machine
slows all; the load is noted beside each.
"""

import argparse
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple

from in_turn import child, in_turn, ratios
from peers.cases import TOKENS

PEER = Path(__file__).resolve().parent / "peers" / "trl_grpo.py"
RESULTS = Path(__file__).resolve().parents[1] / "results" / "token_world.json"
#: Train steps that are timed, of one seed; of several at once, and of TRL, fewer.
STEPS, SEEDS = 30, 10


def task(sizes: dict[str, Any]) -> Any:
    """Digits as a prompt; each token of the answer that equals the first of them is paid."""
    import jax
    import jax.numpy as jnp

    from rl_jax.envs.tokens import Problem, Reply

    class Copy(NamedTuple):
        name: str = "copy"
        vocabulary: int = sizes["vocabulary"]
        prompt_length: int = sizes["prompt"]
        length: int = sizes["length"]
        default_params: tuple[()] = ()

        def draw(self, key: Any, params: Any) -> Problem:
            return Problem(jax.random.randint(key, (self.prompt_length,), 0, 10, jnp.int32), ())

        def start(self, problem: Problem, params: Any) -> tuple[()]:
            return ()

        def reply(self, key: Any, tape: Any, token: Any, params: Any) -> Reply:
            paid = (token == tape.problem.prompt[0]) / (self.length + 1 - self.prompt_length)
            none = jnp.zeros((), bool)
            return Reply(jnp.zeros((0,), jnp.int32), jnp.int32(0), paid.astype(jnp.float32), none, (), {})

    return Copy()


def measured(case: str, kind: str, seeds: int, steps: int) -> dict[str, Any]:
    """Seconds to compile and to run ``steps`` train steps of all seeds in one program."""
    import jax
    import jax.numpy as jnp
    from peers.clock import timed

    import rl_jax as rl
    from rl_jax.curricula.prompts import Prompts
    from rl_jax.envs.tokens import TokenWorld
    from rl_jax.experience.advantage.group import group_advantage
    from rl_jax.experience.weights import own_weight
    from rl_jax.networks import Transformer, actor_critic
    from rl_jax.run.devices.compiling import compiler_options

    sizes = TOKENS[case]
    env = TokenWorld(task(sizes))
    memory = Transformer(sizes["width"], sizes["length"], sizes["layers"], sizes["heads"], aligned=kind == "aligned")
    pieces = {name: sizes[name] for name in ("epochs", "minibatches", "learning_rate")}
    trainer = rl.Trainer.create(
        env,
        rl.agents.grpo(lambda spec: actor_critic(spec, (), memory=memory), **pieces),
        rl.chain(group_advantage(sizes["group"]), own_weight("sequence")),
        curriculum=Prompts(env, sizes["group"]),
        num_envs=sizes["columns"],
        rollout_length=sizes["length"],
        whole=True,
    )
    count = steps * trainer.steps_per_update
    keys = jax.random.split(jax.random.key(0), seeds)
    states = jax.jit(jax.vmap(lambda key: trainer.init(key, count)))(keys)
    updates = jnp.int32(steps)
    advance: Any = trainer.advance if seeds == 1 else jax.vmap(trainer.advance, (0, None))
    if seeds == 1:
        states = jax.tree.map(lambda x: x[0], states)
    found = timed(advance, states, updates, steps=steps, options=compiler_options())
    return {**found, "tokens": seeds * count}


def on_cores(cores: int) -> None:
    """Let this process and its children use so many cores."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:cores])


def row(case: str, cores: int, trl: str | None, rounds: int, steps: int) -> dict[str, Any]:
    """All kinds in one case."""
    one = {kind: (sys.executable, "child", case, kind, "1", str(steps)) for kind in ("aligned", "plain")}
    many = {"seeds": (sys.executable, "child", case, "aligned", str(SEEDS), str(max(1, steps // SEEDS)))}
    load = os.getloadavg()[0]
    runs: dict[str, list[dict]] = {name: [] for name in (*one, *many, *(("trl",) if trl else ()))}
    for _ in range(rounds):
        for name, found in in_turn(one | many, 1, f"{case} on {cores}").items():
            runs[name] += found
        if trl:
            runs["trl"].append(child(trl, case, str(max(1, steps // 6)), str(cores), script=str(PEER)))
            print(case, cores, "trl", runs["trl"][-1], file=sys.stderr)
    rate = {name: [x["tokens"] / x["run"] for x in found] for name, found in runs.items()}
    result = {
        "case": case,
        "cores": cores,
        "load_before": load,
        "load_after": os.getloadavg()[0],
        "tokens_per_second": {name: statistics.median(x) for name, x in rate.items()},
        "seconds_compile": {name: statistics.median(x["compile"] for x in found) for name, found in runs.items()},
        "over_plain": ratios(rate["aligned"], rate["plain"]),
    }
    if trl:
        result |= {"over_trl": ratios(rate["aligned"], rate["trl"]), "ten_seeds_over_trl": ratios(rate["seeds"], rate["trl"])}
    return result


def main() -> None:
    """Measure, print, and write the results."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trl", help="the python of an environment with trl")
    parser.add_argument("--cases", nargs="+", choices=list(TOKENS), default=list(TOKENS))
    parser.add_argument("--cores", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=STEPS)
    arguments = parser.parse_args()
    available = os.sched_getaffinity(0)
    rows = []
    for cores in arguments.cores:
        os.sched_setaffinity(0, available)
        on_cores(cores)
        for case in arguments.cases:
            rows.append(row(case, cores, arguments.trl, arguments.rounds, arguments.steps))
            print(json.dumps(rows[-1]), flush=True)
    from rl_jax.run.storage.metadata import metadata

    about = metadata()
    content = {"experiment": "token_world", "rows": rows, "date": time.strftime("%Y-%m-%d")}
    RESULTS.write_text(json.dumps(content | {name: about[name] for name in ("device", "versions")}, indent=1) + "\n")


if __name__ == "__main__":
    if sys.argv[1:2] == ["child"]:
        print(json.dumps(measured(sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))))
    else:
        main()
