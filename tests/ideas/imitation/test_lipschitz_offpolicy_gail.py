"""The preconditioner, of a linear discriminator whose gradient is known."""

import jax
import jax.numpy as jnp
import numpy as np
from toy import context, rollout_of

from rl_jax.data import of_arrays
from rl_jax.ideas.imitation.lipschitz_offpolicy_gail import Preconditioned, reward_gradient_norm
from rl_jax.rewards import Discriminator, DiscriminatorNetwork
from rl_jax.spaces import Box
from rl_jax.types import Spec

SPEC = Spec(Box.of(-np.inf, np.inf, (2,)), Box.of(-1.0, 1.0, (1,)), 1, 1)


def test_what_is_steeper_than_asked_is_paid_less():
    """With f = w x the reward's gradient is sigmoid(f) |w|, for the reward softplus(f)."""
    draw = np.random.default_rng(0)
    arrays = {"obs": np.zeros((1, 2)), "next_obs": np.zeros((1, 2)), "action": np.zeros((1, 1)), "reward": np.zeros(1)}
    expert = of_arrays(arrays | {"terminated": np.ones(1, bool)}, SPEC.obs_space, SPEC.action_space)
    model = Discriminator(expert, network=DiscriminatorNetwork(()))
    state = model.init(jax.random.key(0), SPEC)
    w = np.array([[2.0], [0.0], [1.5]], np.float32)
    state = state._replace(params={"Dense_0": {"kernel": jnp.asarray(w), "bias": jnp.zeros((1,))}})
    obs, action = draw.normal(size=(1, 6, 2)), draw.uniform(-1, 1, size=(1, 6, 1))
    batch = rollout_of(np.zeros((1, 6)), obs=jnp.asarray(obs)).replace(action=jnp.asarray(action))
    f = (np.concatenate([obs, action], -1) @ w)[..., 0]
    norm = 2.5 / (1 + np.exp(-f))
    np.testing.assert_allclose(reward_gradient_norm(model, state, batch), norm, rtol=1e-4)
    assert (norm < 1).any() and (norm > 1).any()
    found = Preconditioned(model, 1.0).reward(state, batch, context())
    np.testing.assert_allclose(found, np.exp(-(np.maximum(norm - 1, 0) ** 2)) * np.log1p(np.exp(f)), rtol=1e-4)
