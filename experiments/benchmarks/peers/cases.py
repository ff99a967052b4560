"""The work that every library is given: sizes and settings, and nothing that needs any of them installed."""

from typing import Any

#: case -> settings. ``steps`` are environment steps of the run that is timed, ``slow_steps`` the same for a library with a host loop.
CASES: dict[str, dict[str, Any]] = {
    "ppo": {
        "env": "CartPole-v1", "num_envs": 64, "length": 128, "epochs": 4, "minibatches": 4, "hidden": (64, 64),
        "learning_rate": 2.5e-4, "steps": 64 * 128 * 300, "slow_steps": 64 * 128 * 20,
    },
    "ppo-cnn": {
        "env": "Breakout-MinAtar", "num_envs": 64, "length": 128, "epochs": 4, "minibatches": 4,
        "learning_rate": 2.5e-4, "steps": 64 * 128 * 8, "slow_steps": 64 * 128 * 4,
    },
    "ppo-gru": {
        "env": "CartPole-v1", "num_envs": 64, "length": 128, "epochs": 4, "minibatches": 4, "hidden": (128, 128), "memory": 128,
        "learning_rate": 2.5e-4, "steps": 64 * 128 * 24, "slow_steps": 64 * 128 * 4,
    },
    "dqn": {
        "env": "CartPole-v1", "num_envs": 10, "hidden": (64, 64), "batch": 128, "capacity": 10_000, "start": 1_000,
        "learning_rate": 1e-3, "steps": 60_000, "slow_steps": 6_000,
    },
    "dqn-double": {
        "env": "CartPole-v1", "num_envs": 10, "hidden": (64, 64), "batch": 128, "capacity": 10_000, "start": 1_000, "double": True,
        "learning_rate": 1e-3, "steps": 60_000, "slow_steps": 6_000,
    },
    "pqn": {
        "env": "CartPole-v1", "num_envs": 64, "length": 64, "epochs": 4, "minibatches": 4, "hidden": (64, 64),
        "learning_rate": 1e-3, "steps": 64 * 64 * 200, "slow_steps": 64 * 64 * 20,
    },
    "sac": {
        "env": "Pendulum-v1", "num_envs": 8, "hidden": (64, 64), "batch": 128, "capacity": 10_000, "start": 1_000,
        "learning_rate": 1e-3, "steps": 40_000, "slow_steps": 4_000,
    },
}  # fmt: skip

#: case -> sizes of a transformer that writes tokens, and of a train step of GRPO: ``columns`` sequences in groups, of which the first
#: ``prompt`` tokens are given. A train step is one generation and ``epochs * minibatches`` steps of the optimiser.
TOKENS: dict[str, dict[str, Any]] = {
    "2x32": {"width": 32, "columns": 512, "length": 12, "prompt": 4},
    "2x64": {"width": 64, "columns": 256, "length": 24, "prompt": 8},
}
for _sizes in TOKENS.values():
    _sizes |= {"layers": 2, "heads": 2, "vocabulary": 36, "group": 8, "epochs": 2, "minibatches": 4, "learning_rate": 3e-4}
