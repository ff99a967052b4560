"""Dictionaries and masks: the spaces, and what collects, stores, normalises and checks observations part by part."""

from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import context, rollout_of, unchecked

import rl_jax as rl
from rl_jax.envs import Trial, adapt, check_env, make
from rl_jax.envs.structured_probes import StructuredProbe
from rl_jax.errors import ProtocolError, UnsupportedSpace
from rl_jax.experience import RND, normalize_obs
from rl_jax.experience.bonus.counts import observed
from rl_jax.masks import MASK, among, usable
from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete, allows, describe, example, leaves, mask_space, random_action

X = Box.of(-1, 1, (2,))


def test_a_dictionary_is_sorted_hashable_and_short():
    space = Dict({"b": Discrete(3), "a": X, "c": Dict({"d": X})})
    assert space == Dict({"a": X, "c": Dict({"d": X}), "b": Discrete(3)}) and len({space, Dict(dict(space.items()))}) == 1
    assert (
        repr(space)
        == describe(space)
        == "Dict(a: Box(-1..1, (2,), float32), b: Discrete(3), c: Dict(d: Box(-1..1, (2,), float32)))"
    )
    assert repr(Box.of(0, np.arange(1, 2001), (2000,))) == "Box(0..[..], (2000,), float32)"
    zeros = example(space, 4)
    assert jax.tree.map(jnp.shape, zeros) == {"a": (4, 2), "b": (4,), "c": {"d": (4, 2)}} and zeros["b"].dtype == jnp.int32
    assert [name for name, _, _ in leaves(space, zeros)] == ["a", "b", "c/d"]


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"": X},
        {3: X},
        {"a/b": X},
        {"a": Dict({"b": X}), "a_b": X},
        {"a": 3},
        X,
        {MASK: X},
        {MASK: Box.of(0, 1, (2, 2), bool)},
    ],
)
def test_a_dictionary_that_cannot_be_is_refused(parts):
    with pytest.raises(UnsupportedSpace):
        Dict(parts)


def test_allowed_choices_are_equally_likely():
    mask = jnp.array([[True, False, True, True], [False] * 4])
    u = (jnp.arange(1200) + 0.5) / 1200
    counts = [np.bincount(among(row, u), minlength=4).tolist() for row in usable(mask)]
    assert counts == [[400, 0, 400, 400], [300] * 4]


@pytest.mark.slow
def test_each_part_of_an_action_has_its_own_mask():
    space = MultiDiscrete((3, 2))
    mask = jnp.tile(jnp.array([False, True, True, False, False]), (600, 1))
    action = random_action(space, jax.random.key(0), 600, mask=mask)
    counts = [np.bincount(column, minlength=3) for column in np.asarray(action).T]
    assert counts[0][0] == 0 and abs(int(counts[0][1]) - 300) < 75 and abs(int(counts[1][0]) - 300) < 75 and counts[1][2] == 0
    assert bool(jnp.all(allows(space, mask, action))) and not bool(allows(space, mask[0], jnp.array([0, 1])))
    assert mask_space(space) == Box.of(0, 1, (5,), bool)


def test_parts_of_floats_are_normalised_and_no_others():
    space = Dict(
        {
            "x": X,
            "n": Discrete(3),
            "image": Box.of(0, 255, (2,), jnp.uint8),
            MASK: mask_space(Discrete(2)),
            "in": Dict({"y": X}),
        }
    )
    spec = rl.Spec(space, Discrete(2), 1, 3)
    x = jnp.array([[[1.0, 4.0]], [[3.0, 4.0]], [[5.0, 10.0]]])
    obs = {**example(space, 3, 1), "x": x, "in": {"y": 2 * x}}
    part = normalize_obs()
    plain = rollout_of(jnp.zeros((3, 1)))
    last = plain.last.replace(obs=jax.tree.map(lambda leaf: leaf[-1], obs))
    plain = plain.replace(obs=obs, next_obs=obs, last=last)
    state, rollout, _ = part.update(part.init(jax.random.key(0), spec), plain, context())
    np.testing.assert_array_equal(rollout.obs["x"], x)  # statistics of what came before: mean 0, variance 1
    seen = part.observe(state, jax.tree.map(lambda leaf: leaf[0], obs))
    np.testing.assert_allclose(seen["x"], [[(1 - 3) / np.sqrt(8 / 3), (4 - 6) / np.sqrt(8)]], rtol=1e-5)
    np.testing.assert_allclose(seen["in"]["y"], seen["x"], rtol=1e-5)
    assert (seen["n"].dtype, seen["image"].dtype, seen[MASK].dtype) == (jnp.int32, jnp.uint8, jnp.bool_)


def test_the_ring_keeps_every_part_of_the_last_observation():
    """What is sampled is what was collected, part by part, final observations too."""
    trainer = rl.Trainer.create(make("probe/masked"), rl.agents.RandomRepeat(0.0), num_envs=2, rollout_length=8)
    buffer = rl.replay.Buffer(capacity=64, batch_size=16)

    @jax.jit
    def run(key):
        rollout = trainer.collect(trainer.init(key, 1))[1]
        stored = buffer.add(buffer.init(key, trainer.spec()), rollout, context())
        return rollout, rl.replay.ring.read(stored.ring, stored.layout, jnp.arange(16))

    with unchecked():
        rollout, batch = run(jax.random.key(0))
    flat = jax.tree.map(lambda x: np.asarray(x).reshape(1, 16, *x.shape[2:]), (rollout.obs, rollout.next_obs))
    assert bool(np.any(rollout.terminated))
    jax.tree.map(np.testing.assert_array_equal, flat, jax.device_get((batch.obs, batch.next_obs)))


def test_checks_name_the_part():
    probe = make("probe/dictionary")

    def problem(see, space=probe.obs_space, steps=0):
        with pytest.raises(ProtocolError) as error:
            check_env(StructuredProbe("odd", space, Discrete(2), see, probe.pay), steps=steps)
        return str(error.value)

    def see(**parts):
        return lambda *args: {**probe.see(*args), **parts}

    assert "obs['number'] after reset is float32[3], expected float32[1]" in problem(see(number=jnp.zeros((3,))))
    assert "has the parts choice, extra, number, expected choice, number" in problem(see(extra=jnp.zeros(())))
    assert "is a ShapeDtypeStruct, expected a dict with choice, number" in problem(lambda *args: jnp.zeros(()))
    assert "part 'number' leaves its space: element [0] goes from" in problem(see(number=jnp.full((1,), 7.0)), steps=2)
    masked = Dict({"x": X, MASK: mask_space(Discrete(3))})
    assert "one entry per choice" in problem(probe.see, masked)


def test_a_mask_that_the_space_names_has_to_come():
    probe = make("probe/masked")

    def spec(**parts):
        env = StructuredProbe("odd", probe.obs_space, probe.act_space, lambda *args: parts, probe.pay)
        return rl.Trainer.create(env, rl.agents.RandomRepeat(), num_envs=1, rollout_length=1).spec()

    with pytest.raises(ProtocolError, match=f"part '{MASK}' is missing, and its space says bool\\[4\\]"):
        spec(time=jnp.zeros((1,)))
    with pytest.raises(ProtocolError, match=f"part '{MASK}' is int32\\[4\\], and its space says bool\\[4\\]"):
        spec(**{"time": jnp.zeros((1,)), MASK: jnp.ones((4,), jnp.int32)})


class Foreign:
    """An environment with gymnax's functions and dictionary space, whose mask is of integers."""

    default_params = ()

    def observation_space(self, params):
        box = SimpleNamespace(low=-1.0, high=1.0, shape=(2,), dtype=np.float32)
        mask = SimpleNamespace(low=0, high=1, shape=(3,), dtype=np.int8)
        return SimpleNamespace(spaces={"x": box, "n": SimpleNamespace(n=4, start=2), MASK: mask})

    def action_space(self, params):
        return SimpleNamespace(n=3)

    def look(self):
        return {"x": jnp.zeros((2,)), "n": jnp.int32(5), MASK: jnp.array([0, 1, 1], jnp.int8)}

    def reset_env(self, key, params):
        return self.look(), jnp.int32(0)

    def step_env(self, key, state, action, params):
        return self.look(), state + 1, 0.0, state > 3, {}

    reset, step = reset_env, step_env


def test_foreign_dictionaries_are_served():
    env = adapt(Foreign())
    check_env(env, steps=5)
    assert env.observation_space(()) == Dict({"x": X, "n": Discrete(4), MASK: mask_space(Discrete(3))})
    assert int(env.reset(jax.random.key(0), ())[1]["n"]) == 3


def test_trials_bonuses_and_counts_read_dictionaries():
    probe = make("probe/masked")

    class Tasks(StructuredProbe):
        def sample_task(self, key):
            return ()

    inner = Tasks("tasks", probe.obs_space, probe.act_space, probe.see, probe.pay, 4)
    trial = Trial(inner, episodes=2)
    check_env(trial)
    assert trial.observation_space(0.0)["feedback"].shape == (6,) and MASK in trial.observation_space(0.0)
    trainer = rl.Trainer.create(trial, rl.agents.RandomRepeat(0.0), num_envs=2, rollout_length=4)
    rollout = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), trainer.spec().rollout.replace(env_state=()))
    other = rollout.replace(next_obs={**rollout.next_obs, MASK: jnp.ones_like(rollout.next_obs[MASK])})
    np.testing.assert_array_equal(observed(rollout, 64), observed(other, 64))
    rnd = RND(trainer.base.obs_space, features=2, hidden=(2,))
    assert jax.eval_shape(
        lambda key: rnd.bonus(rnd.init(key, trainer.base), rollout, context())[1], jax.random.key(0)
    ).shape == (4, 2)
