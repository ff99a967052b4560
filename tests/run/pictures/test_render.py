"""Episodes become moving pictures, or an error that says what can be rendered."""

import dataclasses
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from running import call, failed

from rl_jax.agents.configs import PPOConfig
from rl_jax.envs import Trial, adapt, make
from rl_jax.envs.suites.gymnax import GymnaxEnv
from rl_jax.errors import MissingExtra, RLJaxError
from rl_jax.run.options import RunOptions
from rl_jax.run.pictures import drawers
from rl_jax.run.pictures.drawing import drawing_of
from rl_jax.run.pictures.render import render_episode
from rl_jax.run.storage.run_config import RunConfig
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Step


def episode(name: str, steps: int = 12) -> tuple[GymnaxEnv, Any, list[Any], list[float]]:
    made, params = gymnax.make(name)
    env = GymnaxEnv(made)
    step = jax.jit(env.step)
    state, _ = env.reset(jax.random.key(0), params)
    states, rewards = [state], []
    for choose, act in jax.random.split(jax.random.key(1), (steps, 2)):
        action = made.action_space(params).sample(choose)
        result = step(act, states[-1], action, params)
        states.append(result.state)
        rewards.append(float(result.reward))
    return env, params, states, rewards


def frames(path: Path) -> list[np.ndarray]:
    with Image.open(path) as image:
        assert image.format == "GIF"
        found = []
        for index in range(image.n_frames):
            image.seek(index)
            found.append(np.asarray(image.convert("RGB")))
        return found


def distinct(pictures: list[np.ndarray]) -> int:
    """How many pictures differ above the line of text."""
    return len({picture[:-35].tobytes() for picture in pictures})


@pytest.mark.slow
@pytest.mark.parametrize("name", ["Breakout-MinAtar", "Catch-bsuite", "FourRooms-misc", "FrozenLake-misc", "Swimmer-misc"])
def test_gif(tmp_path: Path, name: str) -> None:
    env, params, states, rewards = episode(name)
    path = render_episode(env, params, states, rewards, tmp_path / "new" / "episode.gif")
    pictures = frames(path)
    assert len(pictures) == len(states)
    assert distinct(pictures) > 1


def test_stacked_states_give_the_same_pictures(tmp_path: Path) -> None:
    env, params, states, rewards = episode("Catch-bsuite")
    first = render_episode(env, params, states, rewards, tmp_path / "a.gif")
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    second = render_episode(env, params, stacked, jnp.array(rewards), tmp_path / "b.gif")
    assert first.read_bytes() == second.read_bytes()


def test_catch_is_drawn_where_things_are() -> None:
    env, params, states, _ = episode("Catch-bsuite", steps=1)
    board = np.asarray(env.env.observe(jax.random.key(0), states[0], None, params))
    picture = drawers.image(board, 0, 1)
    cell = picture.shape[0] // board.shape[0]
    lit = (picture[cell // 2 :: cell, cell // 2 :: cell] == drawers.CHANNELS[0]).all(axis=-1)
    np.testing.assert_array_equal(lit, board != 0)


def test_graded_images_are_grey_or_rgb() -> None:
    ramp = np.linspace(0, 1, 9).reshape(3, 3)
    grey = drawers.image(ramp, 0, 1)
    assert (grey[..., 0] == grey[..., 2]).all()
    assert (grey[0, 0, 0], grey[-1, -1, 0]) == (0, 255)
    rgb = drawers.image(np.stack([ramp, 1 - ramp, ramp], axis=-1), 0, 1)
    assert rgb[-1, -1].tolist() == [255, 0, 255]


def test_classic_control(tmp_path: Path) -> None:
    pytest.importorskip("pygame")
    env, params, states, rewards = episode("CartPole-v1")
    assert distinct(frames(render_episode(env, params, states, rewards, tmp_path / "e.gif"))) > 1


def test_classic_control_without_pygame(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pygame", None)
    env, params, states, rewards = episode("CartPole-v1", steps=1)
    with pytest.raises(MissingExtra, match=r"rl_jax\[render\]"):
        render_episode(env, params, states, rewards, tmp_path / "e.gif")


@pytest.mark.slow
def test_brax_page(tmp_path: Path) -> None:
    from rl_jax.envs.suites.brax import make_brax

    env = make_brax("inverted_pendulum", backend="spring")
    state, _ = env.reset(jax.random.key(0), {})
    with pytest.raises(RLJaxError, match=r"\.html"):
        render_episode(env, {}, [state], [], tmp_path / "e.gif")
    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf]), state)
    path = render_episode(env, {}, stacked, [0.0], tmp_path / "e.html")
    assert "<html" in path.read_text()


def test_errors(tmp_path: Path) -> None:
    env, params, states, rewards = episode("SimpleBandit-bsuite", steps=1)
    with pytest.raises(RLJaxError, match=r"SimpleBandit-bsuite.*MinAtar.*brax"):
        render_episode(env, params, states, rewards, tmp_path / "e.gif")
    env, params, states, rewards = episode("Catch-bsuite", steps=1)
    with pytest.raises(RLJaxError, match=r"e\.gif"):
        render_episode(env, params, states, rewards, tmp_path / "e.html")
    with pytest.raises(RLJaxError, match="no states"):
        render_episode(env, params, [], [], tmp_path / "e.gif")


# ------------------------------------------------------------------------------- environments that draw themselves

SIDE = 24


class Place(NamedTuple):
    """A name that the library's wrappers use too."""

    env_state: jax.Array


@dataclass(frozen=True)
class Walk:
    """Steps to the right, drawn as a bright column of the colour ``params``."""

    name: str = "walk"
    time_limit: int | None = 8
    wrong: str = ""

    @property
    def default_params(self) -> Any:
        return jnp.int32(200)

    def sample_task(self, key: Any) -> Any:
        return jnp.int32(90)

    def observation_space(self, params: Any) -> Box:
        return Box.of(0.0, 1.0, (1,))

    def action_space(self, params: Any) -> Discrete:
        return Discrete(2)

    def reset(self, key: Any, params: Any) -> Any:
        return Place(jnp.int32(0)), jnp.zeros(1)

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Step:
        no = jnp.zeros((), bool)
        return Step(Place(state.env_state + 1), jnp.zeros(1), jnp.float32(1.0), no, no, {})

    def draw(self, state: Any, params: Any) -> Any:
        if self.wrong == "raises":
            raise KeyError("colour")
        canvas = jnp.zeros((SIDE, 2 * SIDE, 3), jnp.float32 if self.wrong == "dtype" else jnp.uint8)
        if self.wrong == "grows":
            canvas = jnp.zeros((SIDE, 2 * SIDE + int(state.env_state), 3), jnp.uint8)
        return canvas.at[:, state.env_state].set(params.astype(canvas.dtype))


class Tuples:
    """The same with gymnax's functions."""

    default_params = jnp.int32(200)
    name = "walk"

    def __init__(self) -> None:
        self.inner_walk = Walk()
        self.observation_space, self.action_space = self.inner_walk.observation_space, self.inner_walk.action_space
        self.draw = self.inner_walk.draw

    def reset(self, key: Any, params: Any) -> Any:
        return self.inner_walk.reset(key, params)[::-1]

    def step(self, key: Any, state: Any, action: Any, params: Any) -> Any:
        out = self.inner_walk.step(key, state, action, params)
        return out.obs, out.state, out.reward, out.terminated, {}


def played(env: Any, steps: int = 7) -> list[Any]:
    states = [env.reset(jax.random.key(0), env.default_params)[0]]
    for key in jax.random.split(jax.random.key(1), steps):
        states.append(env.step(key, states[-1], jnp.int32(0), env.default_params).state)
    return states


WRAPPED = {
    "alone": (Walk(), 200),
    "adapted": (adapt(Walk(), jnp.int32(120), name="other", time_limit=3), 120),
    "tuples": (adapt(Tuples()), 200),
    "a trial": (Trial(Walk(), steps=20), 90),
    "a trial, adapted": (adapt(Trial(Walk(), steps=20), name="other"), 90),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_an_environment_draws_itself_within_wrappers(tmp_path: Path, name: str) -> None:
    env, colour = WRAPPED[name]
    assert drawing_of(env, env.default_params).name == "walk"
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *played(env))
    path = render_episode(env, env.default_params, states, [1.0] * 7, tmp_path / "e.gif")
    pictures = frames(path)
    assert len(pictures) == 8
    for place, picture in enumerate(pictures):
        left = (picture.shape[1] - 2 * SIDE) // 2
        scene = picture[:SIDE, left : left + 2 * SIDE].astype(int)
        expected = np.zeros((SIDE, 2 * SIDE, 3), int)
        expected[:, place] = colour
        assert np.abs(scene - expected).max() <= 8  # a GIF has a palette


def test_every_and_fps(tmp_path: Path) -> None:
    """Every third state and the last; the colour of the column does not change, its place does."""
    env, states = Walk(), played(Walk())
    path = render_episode(env, env.default_params, states, [1.0] * 7, tmp_path / "e.gif", fps=5, every=3)
    columns = [int(picture[0, 106:154, 0].argmax()) for picture in frames(path)]
    assert [column - columns[0] for column in columns] == [0, 3, 6, 7]
    with Image.open(path) as image:
        assert image.info["duration"] == 200
    whole = render_episode(env, env.default_params, states[:1], [], tmp_path / "one.gif", every=3)
    assert len(frames(whole)) == 1


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ("dtype", r"draw of walk returned float32\[24, 48, 3\]: let it return uint8 \[H, W, 3\]"),
        ("raises", r"draw of walk raised KeyError: 'colour'"),
    ],
)
def test_a_wrong_draw_is_refused_before_anything_is_played(wrong: str, message: str) -> None:
    env = Walk(wrong=wrong)
    with pytest.raises(RLJaxError, match=message):
        drawing_of(env, env.default_params)


def test_pictures_of_several_sizes_are_refused(tmp_path: Path) -> None:
    env = Walk(wrong="grows")
    with pytest.raises(RLJaxError, match="several sizes"):
        render_episode(env, env.default_params, played(env), [1.0] * 7, tmp_path / "e.gif")


def test_trials_of_grids_are_drawn() -> None:
    env = make("trial/darkroom")
    how = drawing_of(env, env.default_params)
    picture = how.pictures([how.within(env.default_params, env.reset(jax.random.key(0), env.default_params)[0])])[0]
    assert picture.dtype == np.uint8
    assert picture.ndim == 3


@pytest.mark.parametrize(
    ("env", "options", "message"),
    [
        ("MemoryChain-bsuite", [], "there is no rendering of MemoryChain-bsuite. What can be rendered: classic control"),
        ("Catch-bsuite", ["--out", "e.html"], "is rendered as .gif: write to e.gif"),
        ("brax/inverted_pendulum", ["--fps", "5"], "--fps and --every are for GIFs"),
        ("Catch-bsuite", ["--fps", "51"], "--fps"),
        ("Catch-bsuite", ["--every", "0"], "--every"),
        ("Catch-bsuite", [], "has no checkpoint yet"),  # which is looked for last
    ],
)
def test_what_cannot_be_drawn_is_refused_first(tmp_path: Path, env: str, options: list[str], message: str) -> None:
    (tmp_path / "run").mkdir()
    run = RunOptions(env=env)
    RunConfig("train", "ppo", run, dataclasses.asdict(PPOConfig())).save(tmp_path / "run" / "config.json", run)
    failed(call("render", tmp_path / "run", *options), message)
