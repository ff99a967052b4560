"""Throughput of PPO on CartPole-v1 beside Rejax 0.1.3, equal work, in turn (A B A B ...), one process per run.

    python experiments/benchmarks/ppo_cartpole.py --rejax-python PATH/TO/VENV/bin/python

64 environments x 128 steps, 4 epochs x 4 minibatches, separate 64-64 tanh networks, one seed. Rejax needs a virtual
environment of its own: ``pip install rejax==0.1.3 gymnax==0.0.9``. Both train the same number of environment steps in one
compiled call, without evaluation; compile time is measured apart.
"""

import argparse
import json
import sys
import time
from pathlib import Path

from in_turn import in_turn, speeds

RESULTS = Path(__file__).resolve().parents[1] / "results" / "bench_ppo_cartpole.json"
NUM_ENVS, LENGTH, UPDATES = 64, 128, 300
STEPS = NUM_ENVS * LENGTH * UPDATES


def run_rl_jax() -> dict:
    """One measured run of this library."""
    import jax

    import rl_jax as rl
    from rl_jax.run.compiling import compiler_options

    config = rl.agents.PPOConfig(
        num_envs=NUM_ENVS, rollout_length=LENGTH, learning_rate=2.5e-4, normalize_obs=False, normalize_reward=False
    )
    trainer = config.trainer(rl.envs.make("CartPole-v1"))
    state = jax.jit(trainer.init, static_argnums=1)(jax.random.key(0), STEPS)
    start = time.perf_counter()
    program = jax.jit(trainer.advance, donate_argnums=0).lower(state, UPDATES).compile(compiler_options())
    compiled = time.perf_counter()
    state, metrics = program(state, UPDATES)
    jax.block_until_ready((state, metrics))
    done = time.perf_counter()
    return {"compile": compiled - start, "run": done - compiled, "return": float(metrics["episode/return"])}


def run_rejax() -> dict:
    """One measured run of Rejax."""
    import jax
    import numpy as np
    from rejax import PPO

    agent = PPO.create(
        env="CartPole-v1",
        num_envs=NUM_ENVS,
        num_steps=LENGTH,
        num_epochs=4,
        num_minibatches=4,
        total_timesteps=STEPS,
        eval_freq=STEPS,
        learning_rate=2.5e-4,
        max_grad_norm=0.5,
        agent_kwargs={"hidden_layer_sizes": (64, 64), "activation": "tanh"},
        skip_initial_evaluation=True,
    ).replace(eval_callback=lambda algo, state, key: np.float32(0.0))
    start = time.perf_counter()
    program = jax.jit(agent.train).lower(jax.random.PRNGKey(0)).compile()
    compiled = time.perf_counter()
    state, _ = program(jax.random.PRNGKey(0))
    jax.block_until_ready(state)
    done = time.perf_counter()
    return {"compile": compiled - start, "run": done - compiled, "return": None}


def compare(rejax_python: str, rounds: int) -> dict:
    """Both libraries in turn; medians, and the ratio pair by pair."""
    kinds = {"rl_jax": (sys.executable, "--one", "rl_jax"), "rejax": (rejax_python, "--one", "rejax")}
    runs = in_turn(kinds, rounds, "ppo")
    return {
        "experiment": "bench_ppo_cartpole",
        "env": "CartPole-v1",
        "agent": "ppo",
        "num_envs": NUM_ENVS,
        "rollout_length": LENGTH,
        "epochs": 4,
        "minibatches": 4,
        "seeds": 1,
        "steps": STEPS,
        "device": "cpu, 2 cores",
        **speeds(runs, STEPS, "rejax"),
        "runs": runs,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rejax-python", help="python of a virtual environment with rejax 0.1.3 and gymnax 0.0.9")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--one", choices=["rl_jax", "rejax"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run_rl_jax() if arguments.one == "rl_jax" else run_rejax()))
    else:
        outcome = compare(arguments.rejax_python, arguments.rounds)
        RESULTS.parent.mkdir(parents=True, exist_ok=True)
        RESULTS.write_text(json.dumps(outcome, indent=1) + "\n")
        print(json.dumps({key: value for key, value in outcome.items() if key != "runs"}))
