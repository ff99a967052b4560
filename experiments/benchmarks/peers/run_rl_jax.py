"""This library: ``python run_rl_jax.py CASE``, compiled as its commands compile."""

import json
import sys
import time

import jax
import jax.numpy as jnp
from cases import CASES

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.run.devices.compiling import compiler_options


def trainer(case: str) -> rl.Trainer:
    """The run."""
    settings = CASES[case]
    agent = case.split("-", maxsplit=1)[0]
    options = {"num_envs": settings["num_envs"], "learning_rate": settings["learning_rate"]}
    if "length" in settings:
        options |= {"rollout_length": settings["length"], "epochs": settings["epochs"], "minibatches": settings["minibatches"]}
    else:
        options |= {
            "buffer_size": settings["capacity"],
            "batch_size": settings["batch"],
            "updates_per_step": 1,
            "learning_starts": settings["start"],
            "activation": "silu",
        }
    if "hidden" in settings:
        options["hidden"] = settings["hidden"]
    if "memory" in settings:
        options |= {"memory": "gru", "memory_width": settings["memory"], "activation": "relu"}
    if agent == "ppo":
        options |= {"normalize_obs": False, "normalize_reward": False}
    elif agent == "dqn":
        options |= {"double": "double" in settings, "target_period": 200}
    elif agent == "sac":
        options |= {"tau": 0.005, "random_steps": settings["start"]}
    return CONFIGS[agent](**options).trainer(rl.make(settings["env"]))


def main(case: str) -> dict:
    """Seconds to compile and to run, and the mean return of the episodes that ended meanwhile."""
    run, steps = trainer(case), CASES[case]["steps"]
    updates = jnp.int32(run.num_updates(steps))
    state = jax.jit(run.init, static_argnums=1)(jax.random.key(0), steps)
    start = time.perf_counter()
    program = jax.jit(run.advance, donate_argnums=0).lower(state, updates).compile(compiler_options())
    compiled = time.perf_counter()
    state, metrics = jax.block_until_ready(program(state, updates))
    seconds = time.perf_counter() - compiled
    mean = float(metrics["episode/return"])
    return {"steps": steps, "compile": compiled - start, "run": seconds, "host_loop": False, "return": mean}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
