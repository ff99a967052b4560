"""Episodes become moving pictures, or an error that says what can be rendered."""

import sys
from pathlib import Path
from typing import Any

import gymnax
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from rl_jax.envs.gymnax import GymnaxEnv
from rl_jax.errors import MissingExtra, RLJaxError
from rl_jax.run import draw
from rl_jax.run.render import render_episode


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
    picture = draw.image(board, 0, 1)
    cell = picture.shape[0] // board.shape[0]
    lit = (picture[cell // 2 :: cell, cell // 2 :: cell] == draw.CHANNELS[0]).all(axis=-1)
    np.testing.assert_array_equal(lit, board != 0)


def test_graded_images_are_grey_or_rgb() -> None:
    ramp = np.linspace(0, 1, 9).reshape(3, 3)
    grey = draw.image(ramp, 0, 1)
    assert (grey[..., 0] == grey[..., 2]).all()
    assert (grey[0, 0, 0], grey[-1, -1, 0]) == (0, 255)
    rgb = draw.image(np.stack([ramp, 1 - ramp, ramp], axis=-1), 0, 1)
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


def test_brax_page(tmp_path: Path) -> None:
    from rl_jax.envs.brax import make_brax

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
    with pytest.raises(RLJaxError, match=r"e\.gif"):
        render_episode(env, params, states, rewards, tmp_path / "e.html")
    with pytest.raises(RLJaxError, match="no states"):
        render_episode(env, params, [], [], tmp_path / "e.gif")
