"""DQN on CartPole-v1, SAC and TD3 on Pendulum-v1 beside Rejax 0.1.3 at its settings, in turn, one process per run.

    python experiments/benchmarks/off_policy.py --rejax-python PATH/TO/VENV/bin/python

Rejax needs a virtual environment of its own: ``pip install rejax==0.1.3 gymnax==0.0.9``. One update of a batch of 128 per
environment step, buffer of 10,000, networks of 64-64 with swish, Adam, step size 1e-3; DQN: 10 environments, double (the target is
a slow average in Rejax, a copy of every 200 updates here, and exploration ends earlier here: chosen on seeds 0 to 9); SAC
(learned temperature) and TD3 (delay 2): 8 environments. Speed: one seed, no evaluation, compile time apart. Returns: ten seeds
side by side, 64 greedy episodes each at the end, seeds 100 to 109 of each library's own random streams. This library's programs
are compiled as its commands compile them, for the machine's vectors; Rejax's as it does, and once more likewise.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import numpy as np
from in_turn import child, in_turn, ratios, speeds

RESULTS = Path(__file__).resolve().parents[1] / "results" / "bench_off_policy.json"
#: agent -> environment, environments side by side, steps for speed, steps for the returns
ROWS = {
    "dqn": ("CartPole-v1", 10, 60_000, 50_000),
    "sac": ("Pendulum-v1", 8, 40_000, 30_000),
    "td3": ("Pendulum-v1", 8, 40_000, 30_000),
}
BATCH, CAPACITY, START, RATE = 128, 10_000, 1_000, 1e-3


def our_trainer(agent: str):
    """The run of this library."""
    import rl_jax as rl
    from rl_jax.agents.configs import CONFIGS

    env, envs, _, steps = ROWS[agent]
    common = {
        "num_envs": envs,
        "buffer_size": CAPACITY,
        "batch_size": BATCH,
        "updates_per_step": 1,
        "learning_starts": START,
        "learning_rate": RATE,
        "hidden": (64, 64),
        "activation": "silu",
    }
    if agent == "dqn":
        own = {"double": True, "target_period": 200, "epsilon_steps": steps / 5}
    else:
        own = {"tau": 0.005, "random_steps": START}
    return CONFIGS[agent](**common, **own).trainer(rl.make(env))


def run_rl_jax(agent: str, returns: bool, options: dict) -> dict:
    """One measured run of this library."""
    import jax
    import jax.numpy as jnp

    import rl_jax as rl

    trainer = our_trainer(agent)
    steps = ROWS[agent][3 if returns else 2]
    updates = trainer.num_updates(steps)
    if not returns:
        state = jax.jit(trainer.init, static_argnums=1)(jax.random.key(0), steps)
        start = time.perf_counter()
        program = jax.jit(trainer.advance, donate_argnums=0).lower(state, jnp.int32(updates)).compile(options)
        compiled = time.perf_counter()
        state, metrics = program(state, jnp.int32(updates))
        jax.block_until_ready((state, metrics))
        return {"compile": compiled - start, "run": time.perf_counter() - compiled}

    def learn(key):
        state, _ = trainer.advance(trainer.init(key, steps), jnp.int32(updates))
        return rl.evaluate(trainer, state, jax.random.fold_in(key, 1), 64).mean()

    keys = jax.vmap(jax.random.key)(jnp.arange(100, 110, dtype=jnp.uint32))
    return {"returns": np.asarray(jax.jit(jax.vmap(learn))(keys)).tolist()}


def run_rejax(agent: str, returns: bool, options: dict) -> dict:
    """One measured run of Rejax."""
    import jax
    import rejax
    from rejax.evaluate import evaluate

    env, envs, speed_steps, learn_steps = ROWS[agent]
    steps = learn_steps if returns else speed_steps
    common = {
        "env": env,
        "num_envs": envs,
        "buffer_size": CAPACITY,
        "fill_buffer": START,
        "batch_size": BATCH,
        "num_epochs": envs,
        "learning_rate": RATE,
        "total_timesteps": steps,
        "eval_freq": steps,
        "skip_initial_evaluation": True,
    }
    if agent == "dqn":
        own = {"polyak": 0.98, "exploration_fraction": 0.5, "max_grad_norm": 10, "agent_kwargs": {"activation": "swish"}}
    elif agent == "td3":
        swish = {"activation": "swish"}
        own = {"polyak": 0.98, "actor_kwargs": {**swish}, "critic_kwargs": {**swish}, "max_grad_norm": 100}
    else:
        own = {"polyak": 0.98, "agent_kwargs": {"activation": "swish"}}
    kind = {"dqn": rejax.DQN, "sac": rejax.SAC, "td3": rejax.TD3}[agent]
    made = kind.create(**common, **own).replace(eval_callback=lambda algo, state, key: np.float32(0.0))
    if not returns:
        start = time.perf_counter()
        program = jax.jit(made.train).lower(jax.random.PRNGKey(0)).compile(options)
        compiled = time.perf_counter()
        jax.block_until_ready(program(jax.random.PRNGKey(0)))
        return {"compile": compiled - start, "run": time.perf_counter() - compiled}

    def learn(key):
        state, _ = made.train(key)
        limit = made.env_params.max_steps_in_episode
        return evaluate(made.make_act(state), jax.random.fold_in(key, 1), made.env, made.env_params, 64, limit)[1].mean()

    keys = jax.vmap(jax.random.PRNGKey)(np.arange(100, 110, dtype=np.uint32))
    return {"returns": np.asarray(jax.jit(jax.vmap(learn))(keys)).tolist()}


def profile(agent: str, options: dict) -> dict:
    """Microseconds per environment step of the parts of our run, each alone in a compiled loop."""
    import jax
    import jax.numpy as jnp

    trainer = our_trainer(agent)
    state = jax.jit(trainer.init, static_argnums=1)(jax.random.key(0), 100_000)
    state, _ = jax.jit(trainer.advance, donate_argnums=0)(state, jnp.int32(200))
    _, rollout, context, _ = jax.jit(trainer._collect)(state)
    context = context.replace(policy=None, collected=None)
    repeats = 2000

    def at(i, agent_state):
        return context.replace(key=jax.random.fold_in(context.key, i), agent_state=agent_state)

    def collecting(state):
        return jax.lax.fori_loop(0, repeats, lambda i, s: trainer._collect(s)[0], state)

    def adding(replay):
        return jax.lax.fori_loop(0, repeats, lambda i, r: trainer.replay.add(r, rollout, context), replay)

    def sampling(replay):
        zeros = jax.tree.map(jnp.zeros_like, trainer.replay.sample(replay, context))
        return jax.lax.fori_loop(0, repeats, lambda i, _: trainer.replay.sample(replay, at(i, state.agent)), zeros)

    drawn = jax.jit(trainer.replay.sample)(state.replay, context)

    def learning(agent_state):
        def body(i, now):
            return trainer.agent.learn(now, drawn, at(i, now))[0]

        return jax.lax.fori_loop(0, repeats, body, agent_state)

    parts = {
        "collect": (collecting, state, trainer.num_envs),
        "add": (adding, state.replay, trainer.num_envs),
        "sample": (sampling, state.replay, 1),
        "learn": (learning, state.agent, 1),
    }
    result = {}
    for name, (function, start, per) in parts.items():
        program = jax.jit(function).lower(start).compile(options)
        jax.block_until_ready(program(start))
        best = float("inf")
        for _ in range(5):
            tick = time.perf_counter()
            jax.block_until_ready(program(start))
            best = min(best, time.perf_counter() - tick)
        result[name] = best / repeats / per * 1e6
    return result


def compare(agent: str, rejax_python: str, rounds: int) -> dict:
    """Both libraries in turn; medians, and the ratio pair by pair."""
    from rl_jax.run.devices.compiling import compiler_options
    from rl_jax.run.report.stats import bootstrap_interval, iqm

    def kind(python: str, library: str, what: str, options: dict) -> tuple[str, ...]:
        return python, "--one", library, "--agent", agent, "--what", what, "--options", json.dumps(options)

    ours = compiler_options()
    kinds = {
        "rl_jax": kind(sys.executable, "rl_jax", "speed", ours),
        "rejax": kind(rejax_python, "rejax", "speed", {}),
        "rejax_likewise": kind(rejax_python, "rejax", "speed", ours),
    }
    runs = in_turn(kinds, rounds, agent)
    env, envs, steps, learn_steps = ROWS[agent]
    likewise = ratios([run["run"] for run in runs["rejax_likewise"]], [run["run"] for run in runs["rl_jax"]])
    returns = {}
    for name, python, options in (("rl_jax", sys.executable, ours), ("rejax", rejax_python, {})):
        values = np.asarray(child(*kind(python, name, "returns", options))["returns"])
        returns[name] = {"iqm": float(iqm(values)), "ci95": list(bootstrap_interval(values)), "seeds": values.tolist()}
        print(agent, name, returns[name], file=sys.stderr)
    return {
        "env": env,
        "agent": agent,
        "num_envs": envs,
        "batch_size": BATCH,
        "buffer_size": CAPACITY,
        "updates_per_step": 1,
        "steps": steps,
        "steps_of_returns": learn_steps,
        **speeds(runs, steps, "rejax"),
        "ratio_likewise": likewise["median"],
        "compiler_options": ours,
        "returns": returns,
        "profile": child(*kind(sys.executable, "rl_jax", "profile", ours)),
        "runs": runs,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rejax-python", help="python of a virtual environment with rejax 0.1.3 and gymnax 0.0.9")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", choices=list(ROWS), nargs="+", default=list(ROWS))
    parser.add_argument("--one", choices=["rl_jax", "rejax"], help=argparse.SUPPRESS)
    parser.add_argument("--agent", choices=list(ROWS), help=argparse.SUPPRESS)
    parser.add_argument("--what", choices=["speed", "returns", "profile"], help=argparse.SUPPRESS)
    parser.add_argument("--options", type=json.loads, default={}, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one and arguments.what == "profile":
        print(json.dumps(profile(arguments.agent, arguments.options)))
    elif arguments.one:
        run = run_rl_jax if arguments.one == "rl_jax" else run_rejax
        print(json.dumps(run(arguments.agent, arguments.what == "returns", arguments.options)))
    else:
        content = json.loads(RESULTS.read_text()) if RESULTS.exists() else {"rows": []}
        rows = {row["agent"]: row for row in content["rows"]}
        for agent_name in arguments.only:
            rows[agent_name] = compare(agent_name, arguments.rejax_python, arguments.rounds)
            outcome = {"experiment": "bench_off_policy", "device": "cpu, 2 cores", "rows": [rows[a] for a in ROWS if a in rows]}
            RESULTS.write_text(json.dumps(outcome, indent=1) + "\n")
