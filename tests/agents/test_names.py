"""Nothing stands in for a name that is not known, and what optax makes is taken as it is."""

import jax
import jax.numpy as jnp
import optax
import pytest
from recorded import trainer_of
from toy import context

import rl_jax as rl
from rl_jax.agents.optimizers import optimizer, step_size
from rl_jax.agents.streaming.update import TraceStep
from rl_jax.errors import RLJaxError
from rl_jax.networks import actor_critic, q_network
from rl_jax.ops import apply_updates
from rl_jax.types import Spec

ENV = rl.make("CartPole-v1")
SPEC = Spec(ENV.observation_space(ENV.default_params), ENV.action_space(ENV.default_params), 4, 8)


@pytest.mark.parametrize(
    "use",
    [
        lambda: rl.agents.ppo(optimizer="adamw").bind(SPEC),
        lambda: rl.agents.pqn(optimizer="sgd").bind(SPEC),
        lambda: actor_critic(SPEC, activation="swishy"),
        lambda: actor_critic(SPEC, memory="lstm"),
        lambda: q_network(SPEC, memory="lstm"),
        lambda: TraceStep(1.0, 2.0, "rms").init({"w": jnp.zeros(2)}),
    ],
)
def test_an_unknown_name_is_refused_with_the_known_ones(use):
    with pytest.raises(RLJaxError, match=r"there is no .*: use "):
        use()


def test_a_transformation_of_optax_is_taken_as_it_is():
    """Three steps are optax's own, with its own step size, whatever the agent's learning rate is."""
    mine = optax.chain(optax.clip(0.1), optax.sgd(0.5, momentum=0.9))
    taken = optimizer(mine, 1e-5, 0.5)
    params = expected = {"w": jnp.asarray([1.0, -2.0])}
    state = taken.init(params)
    velocity = jnp.zeros(2)
    for grads in ({"w": jnp.asarray([3.0, 0.02])},) * 3:
        updates, state = taken.update(grads, state, params)
        params = apply_updates(params, updates, step_size(mine, 7.0, context()))
        velocity = 0.9 * velocity + jnp.clip(grads["w"], -0.1, 0.1)
        expected = {"w": expected["w"] - 0.5 * velocity}
    assert jnp.allclose(params["w"], expected["w"], rtol=1e-6)


@pytest.mark.slow
def test_an_agent_learns_with_it():
    trainer = rl.Trainer.create(
        ENV,
        rl.agents.ppo(epochs=1, minibatches=1, optimizer=optax.sgd(0.0)),
        rl.experience.gae(),
        num_envs=4,
        rollout_length=8,
    )
    state = jax.jit(lambda key: trainer.init(key, 1000))(jax.random.key(0))
    after, _ = jax.jit(trainer.train_step)(state)
    same = jax.tree.map(lambda a, b: bool(jnp.all(a == b)), trainer.params(state), trainer.params(after))
    assert all(jax.tree.leaves(same))  # a step size of zero, and not Adam's


@pytest.mark.slow
@pytest.mark.parametrize("name", rl.agents.configs.CONFIGS)
def test_no_two_parts_of_an_agent_report_one_metric(name):
    """Tracing a train step is enough: two writers of one name are refused there."""
    config = rl.agents.configs.CONFIGS[name]()
    env = ENV if name not in ("td3", "ddpg", "td3-bc", "rebrac", "dac", "diffusion-bc", "fql") else rl.make("Pendulum-v1")
    trainer = trainer_of(config, env)
    state = jax.eval_shape(lambda key: trainer.init(key, 1), jax.random.key(0))
    _, metrics = jax.eval_shape(trainer.train_step, state)
    assert metrics.keys() >= {"episode/return"} and all(value.shape == () for value in metrics.values())
