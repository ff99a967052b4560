"""Offline agents of CORL's single files (PyTorch): ``python offline_single_file.py AGENT HIDDEN THREADS FOLDER``.

``FOLDER`` has the files ``iql.py``, ``td3_bc.py`` and ``cql.py`` of ``algorithms/offline`` of github.com/tinkoff-ai/CORL. What they
import to make environments and to log is not there and not used. Networks get the widths that are asked for; the rest is theirs: the
buffer, the losses, and the numbers that they take to the host at every update.
"""

import importlib.util
import sys
import types
from pathlib import Path
from typing import Any

from served import quiet, serve

ANSWERS = quiet()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from offline_data import ACTION, BATCH, GAMMA, OBS, RATE, STEPS, TAU, recorded, updates_of  # noqa: E402
from torch import nn  # noqa: E402


def file(folder: str, agent: str) -> Any:
    """The module of one file, without its environments and its logger."""
    for name in ("d4rl", "gym", "pyrallis", "wandb"):
        sys.modules[name] = types.ModuleType(name)
    sys.modules["gym"].Env = object
    sys.modules["pyrallis"].wrap = lambda: lambda function: function
    spec = importlib.util.spec_from_file_location(f"single_{agent}", Path(folder) / f"{agent}.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def layers(inputs: int, hidden: int, outputs: int, *last: nn.Module) -> nn.Sequential:
    """Two hidden layers with ReLU."""
    return nn.Sequential(
        nn.Linear(inputs, hidden), nn.ReLU(), nn.Linear(hidden, hidden), nn.ReLU(), nn.Linear(hidden, outputs), *last
    )


def adam(module: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.Adam(module.parameters(), lr=RATE)


def iql(module: Any, hidden: int) -> Any:
    parts = {
        "actor": module.GaussianPolicy(OBS, ACTION, 1.0, hidden_dim=hidden),
        "q_network": module.TwinQ(OBS, ACTION, hidden_dim=hidden),
        "v_network": module.ValueFunction(OBS, hidden_dim=hidden),
    }
    optimizers = {f"{name[0] if name != 'actor' else name}_optimizer": adam(part) for name, part in parts.items()}
    return module.ImplicitQLearning(1.0, **parts, **optimizers, discount=GAMMA, tau=TAU)


def td3_bc(module: Any, hidden: int) -> Any:
    actor, critics = module.Actor(OBS, ACTION, 1.0), [module.Critic(OBS, ACTION) for _ in range(2)]
    actor.net = layers(OBS, hidden, ACTION, nn.Tanh())
    for critic in critics:
        critic.net = layers(OBS + ACTION, hidden, 1)
    pairs = [x for critic in critics for x in (critic, adam(critic))]
    return module.TD3_BC(1.0, actor, adam(actor), *pairs, discount=GAMMA, tau=TAU)


def cql(module: Any, hidden: int) -> Any:
    """With a fixed weight and temperature, and targets without entropy."""
    actor = module.TanhGaussianPolicy(OBS, ACTION, 1.0)
    actor.base_network = layers(OBS, hidden, 2 * ACTION)
    critics = [module.FullyConnectedQFunction(OBS, ACTION) for _ in range(2)]
    for critic in critics:
        critic.network = layers(OBS + ACTION, hidden, 1)
    pairs = [x for critic in critics for x in (critic, adam(critic))]
    options = {"use_automatic_entropy_tuning": False, "bc_steps": 0, "cql_alpha": 5.0, "cql_n_actions": 10}
    return module.ContinuousCQL(
        *pairs, actor, adam(actor), float(-ACTION), discount=GAMMA, soft_target_update_rate=TAU, **options
    )


def main(agent: str, hidden: int, threads: int, folder: str) -> None:
    """Serve measurements."""
    torch.set_num_threads(threads)
    torch.manual_seed(0)
    np.random.seed(0)
    module = file(folder, agent)
    made = {"iql": iql, "td3_bc": td3_bc, "cql": cql}[agent](module, hidden)
    buffer = module.ReplayBuffer(OBS, ACTION, STEPS)
    buffer.load_d4rl_dataset(recorded(0))

    def learn(updates: int) -> None:
        for _ in range(updates):
            made.train(buffer.sample(BATCH))

    updates = updates_of(agent, hidden, peer=True)
    learn(10)
    serve(ANSWERS, {"run": lambda: learn(updates)}, {"updates": updates, "torch": torch.__version__})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4])
