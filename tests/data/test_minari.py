"""Data sets that Minari's own recorder has written, read back: every number, spaces, ends, names, and two lines to train."""

import os
import shutil

import jax
import numpy as np
import pytest

import rl_jax as rl
from rl_jax.agents.configs import IQLConfig
from rl_jax.errors import RLJaxError
from rl_jax.spaces import Box, Dict, Discrete

minari = pytest.importorskip("minari")
gym = pytest.importorskip("gymnasium")


class Shelf(gym.Env):
    """Observations are a dictionary with a choice that begins at 3; actions are the choices -1, 0 and 1; two steps to the end."""

    observation_space = gym.spaces.Dict({"level": gym.spaces.Discrete(4, start=3), "place": gym.spaces.Box(-1.0, 1.0, (2,))})
    action_space = gym.spaces.Discrete(3, start=-1)

    def reset(self, seed=None, options=None):
        super().reset(seed=seed)
        self.level, self.steps = int(self.np_random.integers(3, 7)), 0
        return self._seen(), {}

    def step(self, action):
        self.level, self.steps = int(np.clip(self.level + action, 3, 6)), self.steps + 1
        return self._seen(), float(action), self.steps == 2, False, {}

    def _seen(self):
        return {"level": self.level, "place": np.asarray([self.level / 10, self.steps / 10], np.float32)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where Minari keeps its data sets meanwhile."""
    before, path = os.environ.get("MINARI_DATASETS_PATH"), tmp_path_factory.mktemp("minari")
    os.environ["MINARI_DATASETS_PATH"] = str(path)
    yield path
    if before is None:
        del os.environ["MINARI_DATASETS_PATH"]
    else:
        os.environ["MINARI_DATASETS_PATH"] = before


def record(name, env, episodes, cut=None):
    """Random actions as Minari records them; the last episode stops after ``cut`` steps."""
    recorder = minari.DataCollector(env, record_infos=False)
    recorder.action_space.seed(0)
    for episode in range(episodes):
        recorder.reset(seed=episode)
        steps, done = 0, False
        while not done and not (episode == episodes - 1 and steps == cut):
            _, _, terminated, truncated, _ = recorder.step(recorder.action_space.sample())
            steps, done = steps + 1, terminated or truncated
    source = recorder.create_dataset(name, algorithm_name="random", eval_env=env.spec)
    recorder.close()
    return source


@pytest.fixture(scope="module")
def cartpole(folder):
    return record("cartpole/random-v0", gym.make("CartPole-v1"), 12, cut=3)


@pytest.fixture(scope="module")
def pendulum(folder):
    return record("pendulum/random-v0", gym.make("Pendulum-v1", max_episode_steps=30), 4)


@pytest.fixture(scope="module")
def shelf(folder):
    return record("shelf/random-v0", Shelf(), 5)


def same_as_minari(data, source, action=lambda x: x):
    """Every number of every episode, and how it ends."""
    episodes = list(source.iterate_episodes())
    assert data.num_episodes == len(episodes) and data.num_steps == source.total_steps
    for own, theirs in zip(data.episodes(), episodes, strict=True):
        np.testing.assert_array_equal(own.obs, theirs.observations)
        np.testing.assert_allclose(action(np.asarray(own.action)), theirs.actions, rtol=0, atol=1e-6)
        np.testing.assert_array_equal(own.reward, np.asarray(theirs.rewards, np.float32))
        np.testing.assert_array_equal(own.terminated, theirs.terminations)
        assert bool(own.terminated[-1]) != bool(own.truncated[-1]) and not np.any(own.truncated[:-1])


def test_choices_are_minaris(cartpole):
    data = rl.data.load("minari:cartpole/random-v0", rl.make("CartPole-v1"))
    same_as_minari(data, cartpole)
    assert np.asarray(data.terminated)[np.cumsum(data.lengths()) - 1].tolist() == [True] * 11 + [False]
    assert data.lengths()[-1] == 3 and data.env == "CartPole-v1"


def test_a_box_is_minaris_in_its_own_units(pendulum):
    data = rl.data.load("minari:pendulum/random-v0", rl.make("Pendulum-v1"))
    same_as_minari(data, pendulum, lambda unit: 2.0 * unit)
    assert data.lengths().tolist() == [30] * 4 and not np.any(data.terminated)


def test_without_an_environment_the_spaces_are_minaris(pendulum):
    data = rl.data.load("minari:pendulum/random-v0")
    same_as_minari(data, pendulum, lambda unit: 2.0 * unit)
    assert data.action_space == Box.of(-2.0, 2.0, (1,)) and data.obs_space == Box.of([-1, -1, -8], [1, 1, 8], (3,))


def test_dictionaries_and_choices_that_do_not_begin_at_0(shelf):
    data = rl.data.load("minari:shelf/random-v0")
    assert data.obs_space == Dict({"level": Discrete(4), "place": Box.of(-1.0, 1.0, (2,))}) and data.action_space == Discrete(3)
    seen = set()
    for own, theirs in zip(data.episodes(), shelf.iterate_episodes(), strict=True):
        np.testing.assert_array_equal(own.obs["level"], np.asarray(theirs.observations["level"]) - 3)
        np.testing.assert_array_equal(own.obs["place"], theirs.observations["place"])
        np.testing.assert_array_equal(own.action, np.asarray(theirs.actions) + 1)
        np.testing.assert_array_equal(own.action - 1.0, own.reward)
        assert own.num_steps == 2 and bool(own.terminated[-1])
        seen |= set(np.asarray(own.action).tolist())
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("name", ["cartpole/expert-v0", "cartpole/random-v7", "no name", "", "cartpole", "../cartpole"])
def test_a_wrong_name_is_one_line(cartpole, name):
    with pytest.raises(RLJaxError) as caught:
        rl.data.load(f"minari:{name}")
    text = str(caught.value)
    assert "\n" not in text and "cartpole/random-v0" in text and "minari download" in text


def test_a_damaged_file_is_one_line(folder, shelf, monkeypatch, tmp_path):
    shutil.copytree(folder, tmp_path / "copy")
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "copy"))
    next((tmp_path / "copy" / "shelf").rglob("*.hdf5")).write_text("no")
    with pytest.raises(
        RLJaxError, match=r"^minari:shelf/random-v0 cannot be read \(OSError: .*\); 'minari download --force shelf"
    ):
        rl.data.load("minari:shelf/random-v0")


def test_another_environment_is_one_line(cartpole, pendulum):
    with pytest.raises(RLJaxError, match=r"minari:pendulum/random-v0 has observations of the shape \[3\].*use its own"):
        rl.data.load("minari:pendulum/random-v0", rl.make("CartPole-v1"))


@pytest.mark.slow
def test_two_lines_train(pendulum):
    env = rl.make("Pendulum-v1")
    trainer = IQLConfig(hidden=(8,), batch_size=8).trainer(env, rl.data.load("minari:pendulum/random-v0", env))
    _, metrics = trainer.train(jax.random.key(0), 20)
    assert metrics["loss/value"].shape == (2,) and np.isfinite(metrics["loss/value"]).all()
