"""Stable-Baselines3 (PyTorch) and SBX (JAX), which share an interface: ``python run_sb3.py CASE``, in the environment of either.

Environments and loop are Python's, on the host: environments in one process, one after the other, which for tasks as small as these
is faster than processes of their own. What is compiled, if anything, is compiled while a first short run warms up.
"""

import importlib.util
import json
import sys
import time

from cases import CASES


def build(case: str, settings: dict):
    """The model of either library, and its name."""
    import gymnasium
    from stable_baselines3.common.vec_env import DummyVecEnv

    env = DummyVecEnv([lambda: gymnasium.make(settings["env"])] * settings["num_envs"])
    jax_based = importlib.util.find_spec("sbx") is not None
    library = importlib.import_module("sbx" if jax_based else "stable_baselines3")
    common = {"policy": "MlpPolicy", "env": env, "learning_rate": settings["learning_rate"], "seed": 0, "device": "cpu"}
    network = {"net_arch": list(settings["hidden"])}
    if jax_based:
        import flax.linen as nn

        network["activation_fn"] = nn.tanh if case == "ppo" else nn.silu
    else:
        import torch

        network["activation_fn"] = torch.nn.Tanh if case == "ppo" else torch.nn.SiLU
    if case == "ppo":
        rollout = settings["num_envs"] * settings["length"]
        own = {"n_steps": settings["length"], "n_epochs": settings["epochs"], "batch_size": rollout // settings["minibatches"]}
        return library.PPO(**common, **own, policy_kwargs=network)
    own = {
        "buffer_size": settings["capacity"],
        "learning_starts": settings["start"],
        "batch_size": settings["batch"],
        "train_freq": 1,
        "gradient_steps": settings["num_envs"],
    }
    if jax_based and case == "dqn":
        network.pop("activation_fn")  # its perceptron of action values is ReLU's
    return getattr(library, case.upper())(**common, **own, policy_kwargs=network)


def main(case: str) -> dict:
    """Seconds to warm up and to run."""
    settings = CASES[case]
    steps = settings["slow_steps"]
    start = time.perf_counter()
    model = build(case, settings)
    warm = settings["num_envs"] * settings["length"] if case == "ppo" else settings["start"] + 100
    model.learn(warm)
    compiled = time.perf_counter()
    model.learn(steps, reset_num_timesteps=False)
    seconds = time.perf_counter() - compiled
    done = model.num_timesteps - warm
    return {"steps": done, "compile": compiled - start, "run": seconds, "host_loop": True}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
