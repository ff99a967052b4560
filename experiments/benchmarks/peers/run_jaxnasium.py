"""Jaxnasium: ``python run_jaxnasium.py CASE``. Its network for PQN is given layer normalisation here."""

import itertools
import json
import sys

import equinox as eqx
import jax
import jaxnasium
from cases import CASES
from clock import timed
from jaxnasium import algorithms
from jaxnasium.algorithms.architectures import CNN, MLP


class Normalized(eqx.Module):
    """The perceptron that PQN needs: layer normalisation before each ReLU."""

    layers: list
    norms: list
    out_features: int = eqx.field(static=True)

    def __init__(self, in_features, *, key, hidden):
        keys = jax.random.split(key, len(hidden))
        widths = itertools.pairwise((in_features, *hidden))
        self.layers = [eqx.nn.Linear(a, b, key=k) for (a, b), k in zip(widths, keys, strict=True)]
        self.norms = [eqx.nn.LayerNorm(b) for b in hidden]
        self.out_features = hidden[-1]

    def __call__(self, x, *, key=None):
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = jax.nn.relu(norm(layer(x)))
        return x


def normalized(hidden):
    """How the network is asked for it."""
    return eqx.Partial(Normalized, hidden=hidden)


def main(case: str) -> dict:
    """Seconds to compile and to run."""
    settings = CASES[case]
    env = jaxnasium.make(settings["env"])
    agent = case.split("-", maxsplit=1)[0]
    common = {
        "total_timesteps": settings["steps"],
        "num_envs": settings["num_envs"],
        "normalize_observations": False,
        "normalize_rewards": False,
        "log_function": None,
    }
    activation = {"ppo": jax.nn.relu if case == "ppo-cnn" else jax.nn.tanh}.get(agent, jax.nn.silu)
    hidden = settings.get("hidden", (128,))
    network = {"body": normalized(hidden) if agent == "pqn" else MLP.with_params(hidden_sizes=hidden, activation=activation)}
    if case == "ppo-cnn":
        network["obs_architecture_2d"] = CNN.with_params(
            out_channels=(16,), kernel_sizes=(3,), strides=(1,), padding=(0,), channels_axis="last"
        )
    if agent in ("ppo", "pqn"):
        common |= {
            "num_steps": settings["length"],
            "num_epochs": settings["epochs"],
            "num_minibatches": settings["minibatches"],
            "learning_rate_start": settings["learning_rate"],
            "warmup_steps": 0,
        }
    else:
        common |= {
            "update_every": settings["num_envs"],
            "replay_buffer_size": settings["capacity"],
            "batch_size": settings["batch"],
            "warmup_steps": settings["start"],
        }
    if agent == "dqn":
        common["num_updates"] = settings["num_envs"]
    elif agent == "sac":
        common |= dict.fromkeys(("critics_num_updates", "actor_num_updates", "alpha_num_updates"), settings["num_envs"])
    if agent in ("dqn", "pqn"):
        trainer = getattr(algorithms, agent.upper())(critic_kwargs=network, **common)
    elif agent == "ppo":
        trainer = algorithms.PPO(actor_kwargs=network, critic_kwargs=network, **common)
    else:
        trainer = algorithms.SAC(actor_kwargs=network, critic_kwargs=network, **common)
    return timed(lambda key: jax.tree.leaves(trainer.train(key, env)[0]), jax.random.key(0), steps=settings["steps"])


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1])))
