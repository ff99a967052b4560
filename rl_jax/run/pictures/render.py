"""Moving pictures of an episode: GIF for gymnax environments, grid and point worlds and those that draw themselves, a page for brax."""

import os
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from rl_jax.errors import RLJaxError
from rl_jax.run.pictures.drawing import Drawing, drawing_of

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
    every: int = 1,
) -> Path:
    """Draw one episode.

    A brax page holds the whole trajectory, and fetches the viewer's scripts from the network when it is opened.

    Args:
        env: the environment: one of this library, or an adapter whose ``env`` is the gymnax or brax object (or that itself). Its
            own ``draw(state, params) -> uint8 [H, W, 3]`` is used if it has one.
        params: the episode's parameters.
        states: ``T`` environment states in order, a list or a pytree with leaves ``[T, ...]``.
        rewards: reward of each step taken, ``[T]`` or ``[T - 1]``; the picture of a state shows the sum before it.
        path: where to write; its folder is created. It ends in ``.html`` for brax and in ``.gif`` for all others.
        fps: pictures per second, by default the environment's own rate (10 for grids). GIF has steps of 10 ms.
        every: draw each ``every``-th state, and the last.

    Returns:
        ``path``.

    Raises:
        RLJaxError: if the suffix is wrong, or nothing is known about how to draw the environment.
        MissingExtra: for classic control without pygame.
    """
    path = Path(path)
    sequence = _unstack(states)
    if not sequence:
        raise RLJaxError("there is nothing to render: the episode has no states")
    how = drawing_of(env, params, sequence[0])
    check_target(path, how)
    path.parent.mkdir(parents=True, exist_ok=True)
    if how.suffix == ".html":
        from brax.io import html

        moments = [how.within(params, state) for state in sequence]
        inner = moments[0][0]
        # The viewer plays one state per time step of the system; a step of the environment may be several of those.
        system = inner.sys.tree_replace({"opt.timestep": inner.dt})
        html.save(str(path), system, [state.pipeline_state for _, _, state in moments])
        return path
    last = len(sequence) - 1
    steps = [*range(0, last, every), last]
    frames = how.pictures([how.within(params, sequence[step]) for step in steps])
    if len({frame.shape for frame in frames}) > 1:
        raise RLJaxError(f"draw of {how.name} returned pictures of several sizes: let all of an episode have one")
    returns = np.concatenate([[0.0], np.cumsum(np.asarray(rewards, np.float64))])[: len(sequence)]
    _save_gif(path, how.name, frames, steps, returns, fps or how.rate)
    return path


def check_target(path: Path, how: Drawing) -> None:
    """Refuse a path that a drawing cannot be written to, before anything is played.

    Raises:
        RLJaxError: the suffix is another one, or the path is a folder.
    """
    if path.suffix.lower() != how.suffix or not path.stem.strip("."):
        stem = path.stem.strip(".") or "episode"
        better = path.parent / f"{stem}{how.suffix}"
        raise RLJaxError(f"{how.name} is rendered as {how.suffix}: write to {better} instead of {path}")
    if path.is_dir():
        raise RLJaxError(f"{path} is a folder: name a file in it, such as {path / f'episode{how.suffix}'}")


def _save_gif(path: Path, name: str, frames: list[np.ndarray], steps: list[int], returns: np.ndarray, fps: float) -> None:
    """Write pictures with a line of text under each."""
    font = ImageFont.load_default(15)
    pages = []
    for step, frame in zip(steps, frames, strict=True):
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


def _unstack(states: Any) -> list[Any]:
    """A list of states, from a list or from a pytree with leaves ``[T, ...]``."""
    if isinstance(states, list):
        return states
    # On the host at once (typed keys have no form there): thousands of slices on the device would take seconds.
    on_host = jax.tree.map(lambda x: x if jnp.issubdtype(x.dtype, jax.dtypes.prng_key) else np.asarray(x), states)
    leaves = jax.tree.leaves(on_host)
    return [jax.tree.map(itemgetter(index), on_host) for index in range(len(leaves[0]) if leaves else 0)]
