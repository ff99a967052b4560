"""PureJaxRL: ``python run_purejaxrl.py CASE FOLDER``, where FOLDER holds its ``ppo.py``, ``ppo_rnn.py`` and ``wrappers.py``.

It is single files to be edited, and is edited here in memory: the MinAtar network in place of its perceptron, a GRU cell with the
width that today's flax wants to be told, and no import of the environments that are not used.
"""

import functools
import importlib
import json
import sys
from pathlib import Path
from unittest import mock

import jax
import jax.numpy as jnp
from cases import CASES
from clock import timed


def convolutional():
    """Its actor-critic, with the MinAtar network under both heads."""
    import distrax
    import flax.linen as nn
    import numpy as np
    from flax.linen.initializers import constant, orthogonal

    class ActorCritic(nn.Module):
        action_dim: int
        activation: str = "relu"

        @nn.compact
        def __call__(self, x):
            x = x.reshape(*x.shape[:-1], 10, 10, 4)
            x = nn.relu(nn.Conv(16, (3, 3), padding="VALID", kernel_init=orthogonal(np.sqrt(2)))(x))
            x = nn.relu(nn.Dense(128, kernel_init=orthogonal(np.sqrt(2)))(x.reshape(*x.shape[:-3], -1)))
            logits = nn.Dense(self.action_dim, kernel_init=orthogonal(0.01), bias_init=constant(0.0))(x)
            value = nn.Dense(1, kernel_init=orthogonal(1.0), bias_init=constant(0.0))(x)
            return distrax.Categorical(logits=logits), jnp.squeeze(value, axis=-1)

    return ActorCritic


def recurrent():
    """Its scanned GRU, with the cell told its width."""
    import flax.linen as nn

    class ScannedRNN(nn.Module):
        @functools.partial(nn.scan, variable_broadcast="params", in_axes=0, out_axes=0, split_rngs={"params": False})
        @nn.compact
        def __call__(self, carry, x):
            inputs, resets = x
            carry = jnp.where(resets[:, None], jnp.zeros_like(carry), carry)
            return nn.GRUCell(carry.shape[-1])(carry, inputs)

        @staticmethod
        def initialize_carry(batch_size, hidden_size):
            return jnp.zeros((batch_size, hidden_size))

    return ScannedRNN


def main(case: str, folder: Path) -> dict:
    """Seconds to compile and to run."""
    settings = CASES[case]
    sys.path.insert(0, str(folder))
    for name in ("brax", "brax.envs", "brax.envs.wrappers", "brax.envs.wrappers.training", "navix"):
        sys.modules[name] = mock.MagicMock()
    module = importlib.import_module("ppo_rnn" if case == "ppo-gru" else "ppo")
    if case == "ppo-gru":
        module.ScannedRNN = recurrent()
    if case == "ppo-cnn":
        module.ActorCritic = convolutional()
    train = module.make_train(
        {
            "LR": settings["learning_rate"],
            "NUM_ENVS": settings["num_envs"],
            "NUM_STEPS": settings["length"],
            "TOTAL_TIMESTEPS": settings["steps"],
            "UPDATE_EPOCHS": settings["epochs"],
            "NUM_MINIBATCHES": settings["minibatches"],
            "GAMMA": 0.99,
            "GAE_LAMBDA": 0.95,
            "CLIP_EPS": 0.2,
            "ENT_COEF": 0.01,
            "VF_COEF": 0.5,
            "MAX_GRAD_NORM": 0.5,
            "ACTIVATION": "tanh",
            "ENV_NAME": settings["env"],
            "ANNEAL_LR": True,
            "DEBUG": False,
        }
    )
    # Only the parameters are asked for: XLA leaves out the statistics of every step that it would otherwise return.
    return timed(lambda key: train(key)["runner_state"][0], jax.random.PRNGKey(0), steps=settings["steps"])


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], Path(sys.argv[2]))))
