"""Dictionary observations: agents read all parts, never take what a mask forbids, and show what is privileged to critics alone."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import TWO, context, rollout_of, unchecked

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.envs import make
from rl_jax.envs.structured_probes import StructuredProbe
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.ideas.meta_rl.ta_lpg import LPG
from rl_jax.masks import MASK
from rl_jax.networks import QOutputs
from rl_jax.spaces import PRIVILEGED, Box, Dict, Discrete, MultiDiscrete, mask_space

NUM = 96
SMALL = {"hidden": (4,)}
AGENTS = ["a2c", "mdpo-off-policy", "pqn", "r2d2", "sac", "stream-ac", "stream-q"]


def masks(actions, seed=0):
    """Random masks ``[NUM, actions]``, among them rows that allow one action, or none."""
    drawn = jax.random.bernoulli(jax.random.key(seed), 0.4, (NUM, actions))
    one = jax.nn.one_hot(jnp.arange(NUM) % actions, actions, dtype=bool)
    rows = jnp.arange(NUM)[:, None]
    return jnp.where(rows < 8, one, jnp.where(rows < 10, False, drawn))


def drawn(agent, spec):
    """A state whose floats are random numbers, without a compiled initialisation."""
    rng = np.random.default_rng(0)

    def leaf(x):
        return jnp.asarray(rng.normal(size=x.shape) if x.dtype == jnp.float32 else np.zeros(x.shape), x.dtype)

    return jax.tree.map(leaf, jax.eval_shape(lambda key: agent.init(key, spec), jax.random.key(0)))


def acted(agent, spec, obs):
    """Actions ``[modes, NUM]`` of an agent: greedily, at the start of a run, and later in it."""
    state = drawn(agent, spec)

    @jax.jit
    def act(key):
        modes = [(0.0, True), (0.0, False), (1e6, False)]
        actions = []
        for i, (steps, greedy) in enumerate(modes):
            prepared = agent.prepare(state, context(seed=i).replace(steps=jnp.float32(steps)))
            first = jnp.zeros((NUM,), bool)
            seen = {**obs, "x": jax.random.normal(jax.random.fold_in(key, 100 + i), obs["x"].shape)}
            actions.append(agent.act(prepared, agent.initial_carry(NUM), seen, first, jax.random.fold_in(key, i), greedy)[1])
        return jnp.stack(actions)

    with unchecked():
        return np.asarray(act(jax.random.key(1)))


def bound(agent, action_space):
    """The agent fitted to a masked environment, and the spec."""
    space = Dict({"x": Box.of(-1, 1, (2,)), MASK: mask_space(action_space)})
    one = type(agent).__name__.startswith("Stream")
    spec = rl.Spec(space, action_space, 1 if one else 8, 1 if one else 8)
    return agent.bind(spec), spec


@pytest.mark.parametrize("name", [*AGENTS, "RandomRepeat", "StreamTD"])
def test_no_agent_takes_a_forbidden_action(name):
    """Greedy, stochastic, with epsilon 1 and in the random steps at first; where nothing is allowed, everything is."""
    by_class = {"RandomRepeat": rl.agents.RandomRepeat(0.5), "StreamTD": rl.agents.StreamTD()}
    agent, spec = bound(by_class[name] if name in by_class else CONFIGS[name](**SMALL).agent(), Discrete(5))
    mask = masks(5)
    actions = acted(agent, spec, {"x": jnp.zeros((NUM, 2)), MASK: mask})
    allowed = np.asarray(mask | ~jnp.any(mask, axis=-1, keepdims=True))
    assert all(allowed[np.arange(NUM), row].all() for row in actions)
    assert actions.min() >= 0 and actions.max() < 5
    assert len({tuple(row) for row in actions[1:]}) == 2


def test_no_part_of_an_action_is_forbidden():
    nvec = (3, 2)
    agent, spec = bound(CONFIGS["ppo"](minibatches=4, **SMALL).agent(), MultiDiscrete(nvec))
    mask = masks(5)
    actions = acted(agent, spec, {"x": jnp.zeros((NUM, 2)), MASK: mask})
    for part, (begin, end) in enumerate([(0, 3), (3, 5)]):
        own = np.asarray(mask[:, begin:end])
        own = own | ~own.any(axis=-1, keepdims=True)
        assert all(own[np.arange(NUM), row[:, part]].all() for row in actions)


class Table(nn.Module):
    """Values that stand in the observation, moved by one parameter."""

    @nn.compact
    def __call__(self, carry, obs, first):
        q = obs["q"] + self.param("bias", nn.initializers.zeros, (), jnp.float32)
        return carry, QOutputs(q[..., None], q)

    def initial_carry(self, num_envs):
        return ()


@pytest.mark.slow
@pytest.mark.parametrize("double", [False, True])
def test_targets_look_at_what_the_next_mask_allows(double):
    """By hand: the largest next value is forbidden in the first row, nothing is allowed in the second; the own mask is another."""
    q = jnp.array([[[1.0, 2.0, 3.0], [1.0, 2.0, 3.0]]])
    next_q = jnp.array([[[5.0, 9.0, 7.0], [5.0, 9.0, 7.0]]])
    obs = {"q": q, MASK: jnp.array([[[False, True, False]] * 2])}
    next_obs = {"q": next_q, MASK: jnp.array([[[True, False, True], [False, False, False]]])}
    batch = rollout_of(jnp.ones((1, 2)), obs=q, discount=jnp.full((1, 2), 0.5), mask=jnp.ones((1, 2), bool))
    batch = batch.replace(obs=obs, next_obs=next_obs, action=jnp.array([[1, 0]]), start=None, last=None)
    space = Dict({"q": Box.of(-9, 9, (3,)), MASK: mask_space(Discrete(3))})
    spec = rl.Spec(space, Discrete(3), 2, 1)
    agent = rl.agents.dqn(lambda spec, atoms: Table(), double=double).bind(spec)
    state = agent.init(jax.random.key(0), spec)
    _, metrics, priority = agent.learn(state, rl.Sample(batch, None, None), context(agent))
    np.testing.assert_allclose(priority, [abs(2.0 - (1 + 0.5 * 7)), abs(1.0 - (1 + 0.5 * 9))], rtol=1e-6)
    assert float(metrics["value/mean"]) == 2.0
    first = jax.tree.map(lambda x: x[0], next_obs)
    np.testing.assert_allclose(agent.value(state, (), first, jnp.zeros((2,), bool)), [7.0, 9.0])


@pytest.mark.parametrize("agent", ["ppo", "sac", "td3"])
def test_critics_alone_read_what_is_privileged(agent):
    action_space = Box.of(-1, 1, (1,))
    spec = rl.Spec(Dict({"x": Box.of(-1, 1, (2,)), PRIVILEGED: Box.of(-1, 1, (3,))}), action_space, 8, 8)
    memory = {"memory": "gru", "memory_width": 4, "minibatches": 4} if agent == "ppo" else {}
    bound = CONFIGS[agent](hidden=(4,), activation="tanh", **memory).agent().bind(spec)

    state = drawn(bound, spec)

    @jax.jit
    def outputs(privileged):
        obs, first = {"x": jnp.ones((2, 2)), PRIVILEGED: privileged}, jnp.zeros((2,), bool)
        carry = bound.initial_carry(2)
        return bound.act(state, carry, obs, first, jax.random.key(1))[1], bound.value(state, carry, obs, first)

    with unchecked():
        (action, value), (other_action, other_value) = outputs(jnp.zeros((2, 3))), outputs(jnp.ones((2, 3)))
    np.testing.assert_array_equal(action, other_action)
    assert np.all(value != other_value)


def test_a_q_network_of_ones_own_is_not_shown_what_is_privileged():
    class Leaking(Table):
        def __call__(self, carry, obs, first):
            return super().__call__(carry, {"q": obs["q"] + obs[PRIVILEGED]}, first)

    spec = rl.Spec(Dict({"q": Box.of(-9, 9, (3,)), PRIVILEGED: Box.of(-9, 9, (3,))}), Discrete(3), 2, 1)
    with pytest.raises(KeyError, match=PRIVILEGED):
        rl.agents.dqn(lambda spec, atoms: Leaking()).bind(spec).init(jax.random.key(0), spec)


@pytest.mark.slow
def test_ppo_with_a_memory_learns_from_two_parts():
    """The reward depends on the product of a number and a choice."""
    sizes = {"num_envs": 16, "rollout_length": 8, "epochs": 4, "minibatches": 1, "hidden": (8,), "memory_width": 8}
    plain = {"entropy_weight": 0.0, "normalize_obs": False, "normalize_reward": False}
    config = CONFIGS["ppo"](memory="gru", learning_rate=2e-2, **plain, **sizes)
    assert trained(config, "probe/dictionary", 30) > 0.8


@pytest.mark.slow
def test_dqn_learns_behind_a_mask():
    """All that tells the states apart is which actions are allowed."""
    sizes = {"hidden": (4,), "buffer_size": 1000, "batch_size": 32, "learning_starts": 100}
    config = CONFIGS["dqn"](
        epsilon_end=0.0, epsilon_steps=500, updates_per_step=0.25, target_period=50, learning_rate=1e-2, **sizes
    )
    assert trained(config, "probe/masked", 150) > 2.5


def trained(config, name, updates):
    """The mean return of the episodes in the last third of training."""
    trainer = config.trainer(make(name))
    with unchecked():
        metrics = jax.jit(lambda key: trainer.train(key, updates * trainer.steps_per_update, 3)[1])(jax.random.key(0))
    assert int(metrics["nonfinite_update"].max()) == -1
    return float(metrics["episode/return"][-1])


def test_what_cannot_be_is_said_in_one_line():
    x = Box.of(-1, 1, (2,))

    def refused(message, obs_space, action_space=TWO, agent="ppo"):
        probe = make("probe/masked")
        env = StructuredProbe("odd", obs_space, action_space, probe.see, probe.pay)
        made = LPG({}) if agent == "lpg" else CONFIGS[agent]().agent()
        with pytest.raises(UnsupportedSpace, match=message) as error:
            rl.Trainer.create(env, made, num_envs=8, rollout_length=8)
        assert "\n" not in str(error.value)

    masked = Dict({"x": x, MASK: mask_space(Discrete(3))})
    refused("one entry per choice", masked)
    refused("which choices are allowed, and Box.* has none: leave it out", masked, Box.of(-1, 1, (1,)))
    refused("networks read nothing", Dict({MASK: mask_space(Discrete(2))}))
    refused("reads observations of one array", Dict({"x": x}), agent="lpg")
    refused("action space is Dict", Dict({"x": x}), Dict({"x": Discrete(2)}))


def test_a_policy_of_ones_own_has_to_obey():
    class Odd(nn.Module):
        @nn.compact
        def __call__(self, carry, obs, first):
            inner = rl.networks.actor_critic(rl.Spec(Box.of(-1, 1, (2,)), Discrete(2), 8, 8), (4,))
            carry, out = inner(carry, obs["x"], first)

            class Own:
                logits, sample, log_prob = out.policy.logits, out.policy.sample, out.policy.log_prob

            return carry, out.replace(policy=Own())

        def initial_carry(self, num_envs):
            return ()

    agent, spec = bound(rl.agents.ppo(Odd(), minibatches=4), Discrete(2))
    with pytest.raises(RLJaxError, match=r"method masked\(mask\)"):
        agent.init(jax.random.key(0), spec)
