"""Rejax: ``python run_rejax.py CASE [OPTIONS]``, OPTIONS being the compiler's as JSON. No evaluation while it is timed."""

import json
import sys

import jax
import numpy as np
import rejax
from cases import CASES
from clock import timed


def main(case: str, options: dict) -> dict:
    """Seconds to compile and to run."""
    settings = CASES[case]
    common = {
        "env": settings["env"],
        "num_envs": settings["num_envs"],
        "learning_rate": settings["learning_rate"],
        "total_timesteps": settings["steps"],
        "eval_freq": settings["steps"],
        "skip_initial_evaluation": True,
    }
    if "length" in settings:
        common |= {
            "num_steps": settings["length"],
            "num_epochs": settings["epochs"],
            "num_minibatches": settings["minibatches"],
            "max_grad_norm": 0.5,
        }
    else:
        common |= {
            "buffer_size": settings["capacity"],
            "fill_buffer": settings["start"],
            "batch_size": settings["batch"],
            "num_epochs": settings["num_envs"],
            "polyak": 0.98,
        }
    if case == "ppo":
        common["agent_kwargs"] = {"hidden_layer_sizes": settings["hidden"], "activation": "tanh"}
    elif case != "pqn":  # whose perceptron is of 64-64, with layer normalisation and ReLU
        common["agent_kwargs"] = {"activation": "swish"}
    agent = case.split("-", maxsplit=1)[0]
    if agent == "dqn":
        common["ddqn"] = "double" in settings
    kind = {"ppo": rejax.PPO, "dqn": rejax.DQN, "pqn": rejax.PQN, "sac": rejax.SAC}[agent]
    made = kind.create(**common).replace(eval_callback=lambda algo, state, key: np.float32(0.0))
    return timed(made.train, jax.random.PRNGKey(0), steps=settings["steps"], options=options)


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], json.loads(sys.argv[2]) if len(sys.argv) > 2 else {})))
