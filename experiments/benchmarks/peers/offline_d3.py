"""Offline agents of d3rlpy (PyTorch): ``python offline_d3.py AGENT HIDDEN THREADS``, in an environment with ``d3rlpy``.

A batch drawn by its replay buffer and one update, in a loop without its logger. Its graphs are compiled on CUDA alone.
"""

import sys

from served import quiet, serve

ANSWERS = quiet()

import torch  # noqa: E402
from d3rlpy.algos import CQLConfig, IQLConfig, TD3PlusBCConfig  # noqa: E402
from d3rlpy.dataset import MDPDataset  # noqa: E402
from d3rlpy.models.encoders import VectorEncoderFactory  # noqa: E402
from offline_data import BATCH, GAMMA, RATE, TAU, recorded, updates_of  # noqa: E402

#: agent -> its configuration and what this library's has too: CQL with a fixed weight and temperature, targets without entropy.
AGENTS = {
    "iql": (IQLConfig, {}, ("actor", "critic", "value")),
    "td3_bc": (TD3PlusBCConfig, {}, ("actor", "critic")),
    "cql": (
        CQLConfig,
        {"temp_learning_rate": 0.0, "alpha_learning_rate": 0.0, "conservative_weight": 5.0, "n_action_samples": 10},
        ("actor", "critic"),
    ),
}


def main(agent: str, hidden: int, threads: int) -> None:
    """Serve measurements."""
    torch.set_num_threads(threads)
    kind, own, networks = AGENTS[agent]
    encoders = {f"{name}_encoder_factory": VectorEncoderFactory([hidden, hidden]) for name in networks}
    rates = {"actor_learning_rate": RATE, "critic_learning_rate": RATE}
    made = kind(batch_size=BATCH, gamma=GAMMA, tau=TAU, **rates, **encoders, **own).create(device="cpu")
    data = recorded(0)
    names = ("observations", "actions", "rewards", "terminals", "timeouts")
    dataset = MDPDataset(*(data[name] for name in names))
    made.build_with_dataset(dataset)

    def learn(updates: int) -> None:
        for _ in range(updates):
            made.update(dataset.sample_transition_batch(BATCH))

    updates = updates_of(agent, hidden, peer=True)
    learn(10)
    serve(ANSWERS, {"run": lambda: learn(updates)}, {"updates": updates, "torch": torch.__version__})


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
