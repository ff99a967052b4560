"""Moving pictures of an episode: GIF for gymnax environments and grid worlds, an interactive page for brax."""

import os
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rl_jax.errors import RLJaxError, import_extra
from rl_jax.run import draw

CLASSIC_CONTROL = ("Acrobot-v1", "CartPole-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0")
CAN_RENDER = (
    "classic control (needs the extra 'render'), MinAtar, Catch, DeepSea, MNISTBandit, Pong, FourRooms, MetaMaze, "
    "FrozenLake, PointRobot, Reacher, Swimmer, the grid worlds, any gymnax environment whose observations are images, and brax"
)
BAR = 30  # pixels under the picture, for the step and the return
HOLD = 1000  # milliseconds for which the last picture stays


def render_episode(
    env: Any,
    params: Any,
    states: Any,
    rewards: Sequence[float] | np.ndarray,
    path: str | os.PathLike[str],
    *,
    fps: float | None = None,
) -> Path:
    """Draw one episode.

    A brax page holds the whole trajectory, and fetches the viewer's scripts from the network when it is opened.

    Args:
        env: the environment: one of this library, or an adapter whose ``env`` is the gymnax or brax object (or that itself).
        params: the episode's parameters.
        states: ``T`` environment states in order, a list or a pytree with leaves ``[T, ...]``.
        rewards: reward of each step taken, ``[T]`` or ``[T - 1]``; the picture of a state shows the sum before it.
        path: where to write; its folder is created. It ends in ``.html`` for brax and in ``.gif`` for all others.
        fps: pictures per second, by default the environment's own rate (10 for grids). GIF has steps of 10 ms.

    Returns:
        ``path``.

    Raises:
        RLJaxError: if the suffix is wrong, or nothing is known about how to draw the environment.
        MissingExtra: for classic control without pygame.
    """
    path = Path(path)
    inner = _innermost(env)
    brax = hasattr(inner, "sys")
    name = str(getattr(inner, "name", None) or getattr(env, "name", type(inner).__name__))
    suffix = ".html" if brax else ".gif"
    if path.suffix.lower() != suffix:
        raise RLJaxError(f"{name} is rendered as {suffix}: write to {path.with_suffix(suffix)} instead of {path}")
    sequence = [_innermost_state(state) for state in _unstack(states)]
    if not sequence:
        raise RLJaxError("there is nothing to render: the episode has no states")
    path.parent.mkdir(parents=True, exist_ok=True)
    if brax:
        from brax.io import html

        # The viewer plays one state per time step of the system; a step of the environment may be several of those.
        system = inner.sys.tree_replace({"opt.timestep": inner.dt})
        html.save(str(path), system, [state.pipeline_state for state in sequence])
        return path
    frames, rate = _frames(inner, name, params, sequence)
    returns = np.concatenate([[0.0], np.cumsum(np.asarray(rewards, np.float64))])[: len(frames)]
    _save_gif(path, name, frames, returns, fps or rate)
    return path


def _frames(env: Any, name: str, params: Any, states: list[Any]) -> tuple[list[np.ndarray], float]:
    """Pictures ``uint8[H, W, 3]`` of all states, and how many to show per second."""
    if name in CLASSIC_CONTROL:
        return _classic_control(name, params, states)
    drawer = draw.DRAWERS.get(name)
    if drawer is not None:
        return [drawer(env, params, state) for state in states], 20.0 if name in draw.CONTINUOUS else 10.0
    observations = _observations(env, params, states)
    if observations is None or not draw.is_image(observations[0]):
        raise RLJaxError(f"there is no rendering of {name}. What can be rendered: {CAN_RENDER}")
    low, high = float(observations.min()), float(observations.max())
    return [draw.image(observation, low, high) for observation in observations], 10.0


def _observations(env: Any, params: Any, states: list[Any]) -> np.ndarray | None:
    """``[T, ...]`` what is seen in the states; ``None`` if that is not an array, or not decided by the state alone."""

    def observe(state: Any) -> Any:
        return env.observe(jax.random.key(0), state, None, params)

    try:
        found = jax.jit(jax.vmap(observe))(jax.tree.map(lambda *leaves: jnp.stack(leaves), *states))
    except (TypeError, AttributeError, ValueError):
        return None
    return np.asarray(found) if isinstance(found, jax.Array) else None


def _classic_control(name: str, params: Any, states: list[Any]) -> tuple[list[np.ndarray], float]:
    """Gymnasium's own pictures, from one renderer for the whole episode."""
    # Without these, pygame looks for a screen and a sound card, and complains where there is none.
    for variable in ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        os.environ.setdefault(variable, "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    # gymnasium reports its absence only when drawing, with advice for another package.
    import_extra("pygame", f"rendering {name}", "render")
    gymnasium = import_extra("gymnasium", f"rendering {name}", "render")
    vis_gym = import_extra("gymnax.visualize.vis_gym", f"rendering {name}", "render")
    renderer = gymnasium.make(name, render_mode="rgb_array")
    try:
        renderer.reset()
        scene: Any = renderer.unwrapped
        vis_gym.set_gym_params(scene, name, params)
        frames = []
        for state in states:
            scene.state = vis_gym.get_gym_state(state, name)
            if name == "Pendulum-v1":
                scene.last_u = np.asarray(state.last_u, np.float64)
            frames.append(np.array(renderer.render(), np.uint8))
        return frames, float(scene.metadata.get("render_fps", 30))
    finally:
        renderer.close()


def _save_gif(path: Path, name: str, frames: list[np.ndarray], returns: np.ndarray, fps: float) -> None:
    """Write pictures with a line of text under each."""
    font = ImageFont.load_default(15)
    pages = []
    for step, frame in enumerate(frames):
        height, width = frame.shape[:2]
        page = Image.new("RGB", (max(width, 260), height + BAR), "white")
        page.paste(Image.fromarray(frame), ((page.width - width) // 2, 0))
        pen = ImageDraw.Draw(page)
        pen.text((8, height + 6), name, fill="#333333", font=font)
        total = f"{returns[min(step, len(returns) - 1)]:.4g}"
        pen.text((page.width - 8, height + 6), f"step {step}   return {total}", fill="#333333", font=font, anchor="ra")
        pages.append(page.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE))
    delay = max(round(100 / fps), 2) * 10  # browsers slow down anything faster than 20 ms
    durations = [delay] * (len(pages) - 1) + [HOLD]
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=durations, loop=0, optimize=False)


def _innermost(env: Any) -> Any:
    """The gymnax or brax object within adapters, each of which keeps what it wraps as ``env`` or ``inner``."""
    while not hasattr(env, "sys") and not type(env).__module__.startswith("gymnax.environments"):
        wrapped = getattr(env, "env", None) or getattr(env, "inner", None)
        if wrapped is None:
            break
        env = wrapped
    return env


def _innermost_state(state: Any) -> Any:
    """The environment's own state, where a wrapper keeps it as ``env_state``."""
    while hasattr(state, "env_state"):
        state = state.env_state
    return state


def _unstack(states: Any) -> list[Any]:
    """A list of states, from a list or from a pytree with leaves ``[T, ...]``."""
    if isinstance(states, list):
        return states
    # On the host at once (typed keys have no form there): thousands of slices on the device would take seconds.
    on_host = jax.tree.map(lambda x: x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.asarray(x), states)
    leaves = jax.tree.leaves(on_host)
    return [jax.tree.map(itemgetter(index), on_host) for index in range(len(leaves[0]) if leaves else 0)]
