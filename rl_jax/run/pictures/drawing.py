"""How an environment is drawn, found out before anything of a run is read: by itself, by a drawer, by its observations, or not."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rl_jax.envs import GymnaxEnv, Trial, TupleEnv
from rl_jax.envs.adapt import Override
from rl_jax.envs.point import PointMaze
from rl_jax.envs.suites.foreign import ForeignEnv
from rl_jax.envs.tokens.world import TokenWorld
from rl_jax.errors import RLJaxError, import_extra
from rl_jax.run.pictures import draw_point, draw_tape, drawers

CLASSIC_CONTROL = ("Acrobot-v1", "CartPole-v1", "Pendulum-v1", "MountainCar-v0", "MountainCarContinuous-v0")
CAN_RENDER = (
    "classic control (needs the extra 'render'), MinAtar, Catch, DeepSea, MNISTBandit, Pong, FourRooms, MetaMaze, "
    "FrozenLake, PointRobot, Reacher, Swimmer, the grid worlds, the point worlds, the token worlds, any gymnax environment whose "
    "observations are images, brax, and any of your own with a method draw(state, params) -> uint8 [H, W, 3]"
)
#: Adapters whose state is that of what they hold.
SAME_STATE = (Override, TupleEnv, GymnaxEnv, ForeignEnv)

#: An environment within wrappers, its parameters and its state.
Inner = tuple[Any, Any, Any]


@dataclass(frozen=True)
class Drawing:
    """How one environment is drawn.

    Attributes:
        name: what is drawn.
        suffix: of the file, ``.gif`` or ``.html``.
        rate: pictures per second, unless told otherwise.
        within: from the outermost environment's parameters and a state of it to what is drawn.
        pictures: ``uint8 [H, W, 3]`` each, of environments, parameters and states; of no use for a page.
    """

    name: str
    suffix: str
    rate: float
    within: Callable[[Any, Any], Inner]
    pictures: Callable[[Sequence[Inner]], list[np.ndarray]]


def drawing_of(env: Any, params: Any, state: Any = None) -> Drawing:
    """How ``env`` is drawn.

    Args:
        env: one of this library, or an adapter whose ``env`` is the gymnax or brax object (or that itself).
        params: of one task.
        state: one state of it, for environments that are not of this library.

    Raises:
        RLJaxError: nothing is known about how to draw it, or its own ``draw`` is at fault.
        MissingExtra: for classic control without pygame.
    """
    shape = jax.eval_shape(env.reset, jax.random.key(0), params)[0] if state is None else state
    depth, (inner, own_params, own_state) = _to_be_drawn(env, params, shape)
    name = str(getattr(inner, "name", None) or getattr(env, "name", type(inner).__name__))

    def within(params: Any, state: Any) -> Inner:
        found = env, params, state
        for _ in range(depth):
            found = _inside(*found) or found
        return found

    def each(drawer: drawers.Drawer) -> Callable[[Sequence[Inner]], list[np.ndarray]]:
        return lambda moments: [drawer(*moment) for moment in moments]

    if _draws(inner):
        _own(*within(params, jax.jit(env.reset)(jax.random.key(0), params)[0] if state is None else state))
        return Drawing(name, ".gif", 10.0, within, each(_own))
    if hasattr(inner, "sys"):
        return Drawing(name, ".html", 0.0, within, each(_own))
    if name in CLASSIC_CONTROL:
        rate = _classic_control_imports(name)
        return Drawing(name, ".gif", rate, within, _classic_control)
    if isinstance(inner, PointMaze):
        return Drawing(name, ".gif", 20.0, within, draw_point.trails)
    if (drawer := draw_tape.tape if isinstance(inner, TokenWorld) else drawers.DRAWERS.get(name)) is not None:
        return Drawing(name, ".gif", 20.0 if name in drawers.CONTINUOUS else 10.0, within, each(drawer))
    seen = _seen(inner, own_params, own_state)
    if seen is None or not drawers.is_image(seen):
        raise RLJaxError(f"there is no rendering of {name}. What can be rendered: {CAN_RENDER}")
    return Drawing(name, ".gif", 10.0, within, _observations)


def _draws(env: Any) -> bool:
    return callable(getattr(env, "draw", None))


def _to_be_drawn(env: Any, params: Any, state: Any) -> tuple[int, Inner]:
    """How many wrappers down is what is drawn: what draws itself, or the innermost of all; and that."""
    depth, here = 0, (env, params, state)
    while not _draws(here[0]) and not hasattr(here[0], "sys"):
        inside = None if type(here[0]).__module__.startswith("gymnax.environments") else _inside(*here)
        if inside is None:
            break
        depth, here = depth + 1, inside
    return depth, here


def _inside(env: Any, params: Any, state: Any) -> Inner | None:
    """What a wrapper holds as ``env`` or ``inner``, with the parameters and the state of that."""
    inner = getattr(env, "env", None) or getattr(env, "inner", None)
    if inner is None:
        return None
    if isinstance(env, Trial):  # whose task is hidden from the agent
        return inner, state.task, state.inner
    same = isinstance(env, SAME_STATE) or not hasattr(state, "env_state")
    return inner, params, state if same else state.env_state


def _own(env: Any, params: Any, state: Any) -> np.ndarray:
    """The picture that an environment draws of itself.

    Raises:
        RLJaxError: it draws something else.
    """
    name = getattr(env, "name", type(env).__name__)
    try:
        picture = np.asarray(env.draw(jax.tree.map(jnp.asarray, state), params))
    except Exception as error:  # whatever it does
        raise RLJaxError(
            f"draw of {name} raised {type(error).__name__}: {' '.join(str(error).split())}; correct that"
        ) from error
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[-1] != 3 or 0 in picture.shape:
        raise RLJaxError(f"draw of {name} returned {picture.dtype}{list(picture.shape)}: let it return uint8 [H, W, 3]")
    return picture


def _observe(env: Any, params: Any, state: Any) -> Any:
    return env.observe(jax.random.key(0), state, None, params)


def _seen(env: Any, params: Any, state: Any) -> Any:
    """The shape of what is seen in a state; ``None`` if that is not an array, or not decided by the state alone."""
    try:
        shape = jax.eval_shape(lambda state: _observe(env, params, state), state)
    except (TypeError, AttributeError, ValueError):
        return None
    return shape if isinstance(shape, jax.ShapeDtypeStruct) else None


def _observations(moments: Sequence[Inner]) -> list[np.ndarray]:
    """Pictures of what is seen in the states, coloured by the range of all."""
    env, params = moments[0][:2]
    states = jax.tree.map(lambda *leaves: jnp.stack(leaves), *(state for _, _, state in moments))
    seen = np.asarray(jax.jit(jax.vmap(lambda state: _observe(env, params, state)))(states))
    low, high = float(seen.min()), float(seen.max())
    return [drawers.image(one, low, high) for one in seen]


def _classic_control_imports(name: str) -> float:
    """Look for what draws classic control, and how many pictures a second it shows."""
    # Without these, pygame looks for a screen and a sound card, and complains where there is none.
    for variable in ("SDL_VIDEODRIVER", "SDL_AUDIODRIVER"):
        os.environ.setdefault(variable, "dummy")
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    # gymnasium reports its absence only when drawing, with advice for another package.
    import_extra("pygame", f"rendering {name}", "render")
    import_extra("gymnax.visualize.vis_gym", f"rendering {name}", "render")
    gymnasium = import_extra("gymnasium", f"rendering {name}", "render")
    entry: Any = gymnasium.envs.registration.load_env_creator(gymnasium.spec(name).entry_point)
    return float(entry.metadata.get("render_fps", 30))


def _classic_control(moments: Sequence[Inner]) -> list[np.ndarray]:
    """Gymnasium's own pictures, from one renderer for the whole episode."""
    import gymnasium
    from gymnax.visualize import vis_gym

    env, params, _ = moments[0]
    renderer: Any = gymnasium.make(env.name, render_mode="rgb_array")
    try:
        renderer.reset()
        scene = renderer.unwrapped
        vis_gym.set_gym_params(scene, env.name, params)
        frames = []
        for _, _, state in moments:
            scene.state = vis_gym.get_gym_state(state, env.name)
            if env.name == "Pendulum-v1":
                scene.last_u = np.asarray(state.last_u, np.float64)
            frames.append(np.array(renderer.render(), np.uint8))
        return frames
    finally:
        renderer.close()
