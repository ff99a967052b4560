"""Data sets: what is recorded, cut, joined, written and read again, against lists of episodes; and bad data, each in one line."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from toy import Clock, leaves_equal

import rl_jax as rl
from rl_jax.data import Dataset, concat, load, of_arrays, save
from rl_jax.data.space_texts import space_of_json, space_to_json
from rl_jax.errors import RLJaxError
from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete

BOX, SPACE = Box.of(-2.0, 4.0, (2,)), Box.of(-np.inf, np.inf, (3,))


def episodes(seed, number=5, most=6):
    """Random episodes as a person would list them: observations ``[L + 1, 3]``, actions, rewards, whether the end is a termination."""
    rng = np.random.default_rng(seed)
    return [
        {
            "obs": rng.normal(size=(length + 1, 3)).astype(np.float32),
            "action": rng.uniform(-2, 4, (length, 2)).astype(np.float32),
            "reward": rng.normal(size=length).astype(np.float32),
            "terminated": bool(rng.random() < 0.5),
        }
        for length in rng.integers(1, most, number)
    ]


def raw(listed, with_next=True):
    """The same as flat arrays."""
    flags = np.concatenate([np.arange(len(each["reward"])) == len(each["reward"]) - 1 for each in listed])
    ended = np.repeat([each["terminated"] for each in listed], [len(each["reward"]) for each in listed])
    arrays = {
        "observations": np.concatenate([each["obs"][:-1] for each in listed]),
        "actions": np.concatenate([each["action"] for each in listed]),
        "rewards": np.concatenate([each["reward"] for each in listed]),
        "terminals": flags & ended,
        "timeouts": flags & ~ended,
    }
    return arrays | ({"next_observations": np.concatenate([each["obs"][1:] for each in listed])} if with_next else {})


def listed_of(data):
    """The episodes of a data set, as listed above."""
    listed, steps = [], data.num_steps
    for number in range(data.num_episodes):
        rows = np.flatnonzero(np.asarray(data.episode) == number)
        low, high = np.asarray([-2.0, -2.0]), np.asarray([4.0, 4.0])
        listed.append(
            {
                "obs": np.concatenate([data.obs[rows], data.obs[steps + number : steps + number + 1]]),
                "action": low + (np.asarray(data.action)[rows] + 1) / 2 * (high - low),
                "reward": np.asarray(data.reward)[rows],
                "terminated": bool(data.terminated[rows[-1]]),
            }
        )
        assert np.asarray(data.first)[rows].tolist() == [True] + [False] * (len(rows) - 1)
        assert bool(data.truncated[rows[-1]]) != listed[-1]["terminated"]
    return listed


def assert_same(a, b):
    assert len(a) == len(b)
    for x, y in zip(a, b, strict=True):
        assert x["terminated"] == y["terminated"]
        for name in ("obs", "action", "reward"):
            np.testing.assert_allclose(x[name], y[name], atol=1e-5)


def made(seed=0, **options):
    return of_arrays(raw(episodes(seed, **options)), SPACE, BOX)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 6))
def test_arrays_become_the_episodes_that_they_hold(seed, number):
    listed = episodes(seed, number)
    data = of_arrays(raw(listed), SPACE, BOX)
    assert_same(listed_of(data), listed)
    np.testing.assert_allclose(data.returns(), [each["reward"].sum() for each in listed], rtol=1e-5, atol=1e-5)
    assert data.lengths().tolist() == [len(each["reward"]) for each in listed]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_without_next_observations_a_truncated_last_step_is_left_out(seed):
    """What it led to is not known; its observation is what the step before led to."""
    listed = episodes(seed, 6)
    kept = [
        each if each["terminated"] else {name: x if name == "terminated" else x[:-1] for name, x in each.items()}
        for each in listed
        if each["terminated"] or len(each["reward"]) > 1
    ]
    if not kept:
        return
    found = listed_of(of_arrays(raw(listed, with_next=False), SPACE, BOX))
    for each in (*found, *kept):
        if each["terminated"]:  # what followed is not known
            each["obs"] = each["obs"][:-1]
    assert_same(found, kept)


def test_a_row_that_does_not_follow_is_an_episode_that_was_cut():
    listed = [{**each, "terminated": False} for each in episodes(3, 4)]
    arrays = raw(listed)
    arrays["timeouts"][:] = False
    assert_same(listed_of(of_arrays(arrays, SPACE, BOX)), listed)


def test_taking_filtering_splitting_and_joining():
    listed, data = episodes(1, 7), made(1, number=7)
    assert_same(listed_of(data.take([4, 0, 4])), [listed[4], listed[0], listed[4]])
    long = data.filter(lambda returns, lengths: lengths >= 3)
    assert_same(listed_of(long), [each for each in listed if len(each["reward"]) >= 3])
    one, other = data.split(0.6, seed=3)
    assert (one.num_episodes, other.num_episodes) == (4, 3)
    both = sorted(float(x) for x in (*one.returns(), *other.returns()))
    np.testing.assert_allclose(both, sorted(data.returns()))
    assert_same(listed_of(concat([one, other, made(2)])), [*listed_of(one), *listed_of(other), *listed_of(made(2))])
    assert data.subsample(3, 0).num_episodes == 3
    assert [each.num_steps for each in data.episodes()] == data.lengths().tolist()
    for bad in (lambda: data.take([9]), lambda: data.split(0.0), lambda: data.filter(lambda r, n: r > 1e9), lambda: concat([])):
        with pytest.raises(RLJaxError, match=":"):
            bad()


def test_a_rollout_is_recorded_environment_after_environment():
    """The last episode of each was cut by the recording: truncated, with the observation that followed."""
    env = Clock(5)
    trainer = rl.Trainer.create(env, rl.agents.RandomRepeat(), num_envs=3, rollout_length=4)
    state = trainer.init(jax.random.key(0), 10)
    record = jax.jit(lambda state, key: rl.loop.record(trainer, state, key, 3, 12))
    data, alone = record(state, jax.random.key(1)), rl.loop.record(trainer, state, jax.random.key(1), 3, 12)
    rollout = rl.play(trainer, state, jax.random.key(1), 3, 12)
    assert data.obs.shape[0] == 72 and alone.obs.shape[0] == 36 + alone.num_episodes  # compiled: room for an episode a step
    assert data.num_episodes == alone.num_episodes
    np.testing.assert_array_equal(alone.reward, np.asarray(rollout.reward).T.reshape(-1))
    ends = np.asarray(rollout.done).copy()
    ends[-1] = True
    np.testing.assert_array_equal(alone.terminated | alone.truncated, ends.T.reshape(-1))
    final = np.swapaxes(np.asarray(rollout.next_obs), 0, 1).reshape(36, *rollout.obs.shape[2:])[ends.T.reshape(-1)]
    np.testing.assert_array_equal(alone.obs[36:], final)
    np.testing.assert_array_equal(data.obs[36 : 36 + alone.num_episodes], final)


def test_disturbed_actions_are_what_is_recorded():
    trainer = rl.Trainer.create(rl.make("Pendulum-v1"), rl.agents.td3(hidden=(4,)), num_envs=2, rollout_length=2)
    state = trainer.init(jax.random.key(0), 10)
    plain, noisy, random = (
        np.asarray(rl.loop.record(trainer, state, jax.random.key(1), 4, 50, True, **options).action)
        for options in ({}, {"noise": 0.3}, {"epsilon": 1.0})
    )
    assert np.abs(plain).max() < 0.1  # a fresh network's small actions
    assert 0.2 < noisy.std() < 0.4 and 0.5 < random.std() < 0.65 and np.abs(random).max() <= 1
    for bad in ({"noise": -1.0}, {"epsilon": 2.0}):
        with pytest.raises(RLJaxError, match=r"takes|must"):
            rl.loop.record(trainer, state, jax.random.key(1), 1, 1, **bad)


@pytest.mark.parametrize(
    "space",
    [Discrete(3), MultiDiscrete((2, 4)), BOX, Box.of([-1, -np.inf], [1, np.inf], (2,)), Dict({"a": SPACE, "b": Discrete(2)})],
)
def test_spaces_come_back_from_json(space):
    assert space_of_json(json.loads(json.dumps(space_to_json(space)))) == space


def test_a_folder_comes_back_as_it_was(tmp_path):
    data = made(4).with_extras(quality=np.arange(made(4).num_steps))
    save(data, tmp_path / "d", source="a test")
    assert json.loads((tmp_path / "d" / "dataset.json").read_text())["source"] == "a test"
    found = load(tmp_path / "d")
    assert leaves_equal(found, data) and jax.tree.structure(found) == jax.tree.structure(data)
    with pytest.raises(RLJaxError, match="never written over"):
        save(data, tmp_path / "d")


def test_damaged_files_are_one_line_each(tmp_path):
    folder = save(made(4), tmp_path / "d")
    whole = (folder / "arrays.npz").read_bytes()
    (folder / "arrays.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RLJaxError, match="cut short"):
        load(folder)
    np.savez(folder / "arrays.npz", **{**np.load(save(made(5), tmp_path / "e") / "arrays.npz")})
    with pytest.raises(RLJaxError, match="not the file that was recorded"):
        load(folder)
    (folder / "dataset.json").write_text("{")
    with pytest.raises(RLJaxError, match="cannot be read"):
        load(folder)
    for missing in (tmp_path, tmp_path / "none", tmp_path / "none.npz"):
        with pytest.raises(RLJaxError, match=r"no data set|is no data set|there is no"):
            load(missing)
    with pytest.raises(RLJaxError, match=r"use the environment|name the environment"):
        load(tmp_path / "e", rl.make("Pendulum-v1"))


def test_a_file_of_plain_arrays_is_held_to_the_environment(tmp_path):
    env = rl.make("Pendulum-v1")
    arrays = raw(episodes(0)) | {"actions": np.zeros((sum(len(e["reward"]) for e in episodes(0)), 1))}
    np.savez(tmp_path / "a.npz", **arrays)
    assert load(tmp_path / "a.npz", env).env == env.name
    np.savez(tmp_path / "a.npz", **arrays | {"actions": arrays["actions"] + 2.5})
    with pytest.raises(RLJaxError, match=r"the action \[2.5\] in row 0"):
        load(tmp_path / "a.npz", env)


def spoilt(name, value, row=2):
    arrays = raw(episodes(0))
    arrays[name] = np.array(arrays[name])
    arrays[name][row] = value
    return arrays


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({name: x for name, x in raw(episodes(0)).items() if name != "rewards"}, "no reward or rewards"),
        (spoilt("observations", np.nan), "NaN or infinity in observations, first in row 2, in 1 of"),
        (spoilt("next_observations", np.inf), "in next_obs"),
        (spoilt("rewards", np.nan), "in rewards"),
        (spoilt("actions", np.nan), "in actions"),
        (spoilt("actions", 4.5), "in row 2, out of Box"),
        (raw(episodes(0)) | {"rewards": np.zeros(3)}, "3 rows of reward"),
        (raw(episodes(0)) | {"actions": np.zeros((3, 2))}, "3 rows of actions"),
        (raw(episodes(0)) | {"observations": np.zeros((9, 4))}, r"observations of the shape \[4\]"),
        (
            raw(episodes(0), False) | {n: np.zeros_like(raw(episodes(0))[n]) for n in ("terminals", "timeouts")},
            "no step at which",
        ),
        ({n: x[:-1] for n, x in raw(episodes(5), False).items()}, "ends within an episode, begun in row"),
        ({n: x[:0] for n, x in raw(episodes(0)).items()}, "0 rows"),
    ],
)
def test_bad_arrays_are_one_line_each(arrays, says):
    with pytest.raises(RLJaxError, match=says) as error:
        of_arrays(arrays, SPACE, BOX, what="data.npz")
    assert "\n" not in str(error.value) and str(error.value).startswith("data.npz has") | str(error.value).startswith(
        "data.npz ends"
    )


def test_choices_are_held_to_their_number():
    arrays = raw(episodes(0)) | {"actions": np.arange(sum(len(e["reward"]) for e in episodes(0))) % 3}
    assert of_arrays(arrays).action_space == Discrete(3)
    assert of_arrays(arrays, action_space=Discrete(3)).action.dtype == np.int32
    with pytest.raises(RLJaxError, match="action 2 in row 2"):
        of_arrays(arrays, action_space=Discrete(2))
    with pytest.raises(RLJaxError, match="no whole numbers"):
        of_arrays(arrays | {"actions": arrays["actions"] + 0.5}, action_space=Discrete(3))
    with pytest.raises(RLJaxError, match="between which bounds"):
        of_arrays(arrays | {"actions": arrays["actions"] + 0.5})


def test_memory_is_little_more_than_the_raw_arrays():
    """Observations once, one more for each episode, and four bytes of marks for two of flags."""
    listed = episodes(0, 50, 200)
    data = of_arrays(raw(listed), SPACE, BOX)
    arrays = raw(listed, False)
    bytes_raw = sum(np.asarray(x, np.float32 if x.dtype.kind == "f" else bool).nbytes for x in arrays.values())
    assert sum(np.asarray(x).nbytes for x in jax.tree.leaves(data)) < 1.1 * bytes_raw
    assert isinstance(data, Dataset) and jnp.asarray(data.marks).dtype == jnp.int32
