"""Environments of brax (Freeman et al., 2021, https://arxiv.org/abs/2106.13281) under the protocol of this library.

brax is imported on first use, since that alone takes a second. Its own wrappers (auto-reset, episode counting) are not
used: the auto-reset of brax 0.14.2 returns an environment to the one state that it began with, and its observation, but
leaves whatever else ``info`` holds as the old episode left it.

Backends, as measured on two CPU cores with 64 environments and random actions (environment steps per second):

=================== =========== ====== ========== ======
environment         generalized spring positional mjx
=================== =========== ====== ========== ======
inverted_pendulum        75 000 153 000   91 000  55 000
ant                       9 900  29 700        -  26 100
=================== =========== ====== ========== ======

``generalized`` is the default here as it is in brax's environments. The others are other dynamics, not only other
speeds: of those ants, after 50 steps of the same actions, 44% had fallen with ``generalized``, 33% with ``mjx`` and
none with ``spring``. A body that goes on falling after ``terminated`` may reach non-finite numbers
(``inverted_pendulum`` did with ``generalized``); the loop's reset replaces it before it is stepped again.

``brax/swimmer`` needs the fluid forces of :func:`_mend_fluid`.
"""

import contextlib
import copy
import io
import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp

from rl_jax.envs.dtypes import cached, is_key, like, narrow, scalar, single_width, strong
from rl_jax.errors import ProtocolError, RLJaxError
from rl_jax.spaces import Box, Space
from rl_jax.types import Key, PyTree, Step

NAMES = (
    "ant",
    "fast",
    "halfcheetah",
    "hopper",
    "humanoid",
    "humanoidstandup",
    "inverted_double_pendulum",
    "inverted_pendulum",
    "pusher",
    "reacher",
    "swimmer",
    "walker2d",
)
"""brax's own environments, listed here so that naming them does not import brax."""

BACKENDS = ("generalized", "spring", "positional", "mjx")

# brax wrappers that count steps, batch or reset: each does a thing that the loop does, and does it otherwise.
_WRAPPERS = ("AutoResetWrapper", "EpisodeWrapper", "VmapWrapper", "DomainRandomizationVmapWrapper", "EvalWrapper")


def make_brax(name: str, backend: str = "generalized", time_limit: int | None = 1000, **options: Any) -> "BraxEnv":
    """brax's environment ``name`` (without the ``brax/``), bare of brax's wrappers.

    Args:
        name: one of :data:`NAMES`, or what was registered with brax.
        backend: ``generalized``, ``spring``, ``positional`` or ``mjx``.
        time_limit: steps after which the loop truncates; brax's environments have no limit of their own.
        options: passed to the environment's constructor.

    Raises:
        RLJaxError: no such environment or backend.
    """
    if backend not in BACKENDS:
        raise RLJaxError(f"brax/{name}: there is no backend '{backend}'; choose one of {', '.join(BACKENDS)}")
    # brax announces at every construction that it is no longer developed, and mujoco prints which GPU library it lacks.
    quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
    with _without_deprecations(), warnings.catch_warnings(), quiet[0], quiet[1]:
        warnings.simplefilter("ignore")
        from brax import envs

        _mend_fluid()
        if name not in envs._envs:
            raise RLJaxError(f"brax has no environment '{name}'; it has {', '.join(sorted(envs._envs))}")
        with single_width():
            try:
                made = BraxEnv(envs.get_environment(name, backend=backend, **options), f"brax/{name}", time_limit)
            except (TypeError, ValueError) as error:
                raise RLJaxError(f"brax/{name} cannot be made with {backend=} and {options}: {error}") from error
    return made


@contextlib.contextmanager
def _without_deprecations() -> Iterator[None]:
    """brax's own models use words that mujoco is giving up; it would say so on the screen and in a file ``MUJOCO_LOG.TXT``."""
    import mujoco

    kept_warnings: list[str] = []
    mujoco.set_mju_user_warning(lambda text: None if "is deprecated" in text else kept_warnings.append(text))
    try:
        yield
    finally:
        mujoco.set_mju_user_warning(None)
    for text in kept_warnings:
        warnings.warn(text, stacklevel=3)


class _NumpyWithOldClip:
    """``jax.numpy`` in which ``clip`` still takes ``a_min``."""

    def __getattr__(self, name: str) -> Any:
        return getattr(jnp, name)

    @staticmethod
    def clip(x: jax.Array, a_min: Any = None, a_max: Any = None) -> jax.Array:
        return jnp.clip(x, a_min, a_max)


def _mend_fluid() -> None:
    """Fluid forces of brax 0.14.2 (``brax/swimmer``) name an argument of ``jnp.clip`` as jax no longer does."""
    from brax import fluid

    if isinstance(fluid.jp, type(jnp)):
        fluid.jp = _NumpyWithOldClip()


@cached
def _obs_shape(env: Any) -> Any:
    """Shape of the observation, from an abstract reset (``observation_size`` would run a real one)."""
    with single_width():
        obs = jax.eval_shape(lambda: env.reset(jax.random.key(0))).obs
    if not hasattr(obs, "shape"):
        raise ProtocolError(
            f"{type(env).__name__}: the observation is a {type(obs).__name__}, not one array; "
            f"choose the environment's flat observation"
        )
    return tuple(obs.shape)


def _layers(env: Any) -> list[Any]:
    """``env`` and all environments that it wraps, outermost first."""
    layers = [env]
    while "env" in vars(layers[-1]):
        layers.append(layers[-1].env)
    return layers


def _with_system(name: str, env: Any, params: dict[str, Any]) -> Any:
    """A shallow copy of ``env`` whose physical system has the fields of ``params`` replaced."""
    copies = [copy.copy(layer) for layer in _layers(env)]
    for outer, inner in itertools.pairwise(copies):
        outer.env = inner
    try:
        old = copies[-1].sys
        new = old.tree_replace(params)
    except (AttributeError, TypeError) as error:
        raise RLJaxError(
            f"{name}: params must map fields of the environment's brax System (such as 'gravity' or "
            f"'link.inertia.mass') to arrays, and these do not fit: {sorted(params)} ({error})"
        ) from error
    copies[-1].sys = new
    return copies[0]


@dataclass(frozen=True)
class BraxEnv:
    """A brax environment as an :class:`rl_jax.types.Environment`.

    Tasks: ``params`` is a dictionary from names of fields of the environment's ``sys`` (dots reach inside:
    ``{"gravity": jnp.array([0., 0., -5.])}``, ``{"link.inertia.mass": masses}``) to the arrays that replace them; the
    default ``{}`` replaces none. A batch of tasks stacks the arrays.

    The state is brax's own ``State``. ``info`` of a step holds brax's metrics (``reward_forward``, ``x_position``,
    ...). ``inverted_pendulum`` marks its falls with ``info["time_out"]``; a fall is an end of the task, so that mark is
    ignored.

    Attributes:
        env: the brax environment, without brax's wrappers for batching, counting and resetting.
        name: what it is called in messages.
        time_limit: steps after which the loop truncates an episode.
    """

    env: Any
    name: str = ""
    time_limit: int | None = 1000

    def __post_init__(self) -> None:
        wrapped = [type(layer).__name__ for layer in _layers(self.env) if type(layer).__name__ in _WRAPPERS]
        if not self.name:
            object.__setattr__(self, "name", f"brax/{type(self.env.unwrapped).__name__.lower()}")
        if wrapped:
            raise ProtocolError(
                f"{self.name}: it is wrapped in brax's {wrapped[0]}, but the loop batches, counts and resets "
                f"by itself; pass env.unwrapped and the time_limit"
            )

    @property
    def default_params(self) -> dict[str, Any]:
        return {}

    def reset(self, key: Key, params: PyTree) -> tuple[PyTree, jax.Array]:
        """Begin an episode from a random posture: brax's state and the first observation ``[obs_size]``."""
        with single_width():
            state = strong(self._bound(params).reset(key))
            return state, jnp.asarray(state.obs, jnp.float32)

    def step(self, key: Key, state: PyTree, action: jax.Array, params: PyTree) -> Step:
        """One control step. brax's steps are deterministic, so ``key`` is not used."""
        del key
        with single_width():
            new = like(self.name, self._bound(params).step(state, jnp.asarray(action, jnp.float32)), state)
            return Step(
                state=new,
                obs=jnp.asarray(new.obs, jnp.float32),
                reward=scalar(new.reward, jnp.float32),
                terminated=scalar(new.done, jnp.float32) > 0.5,
                truncated=jnp.zeros((), bool),
                info={name: scalar(value, jnp.float32) for name, value in new.metrics.items() if jnp.size(value) == 1},
            )

    def observation_space(self, params: PyTree) -> Space:
        """Unbounded, ``[obs_size]``."""
        return Box.of(-jnp.inf, jnp.inf, _obs_shape(self.env))

    def action_space(self, params: PyTree) -> Space:
        """``[action_size]`` in ``[-1, 1]``, which brax scales to the actuators' own ranges."""
        return Box.of(-1.0, 1.0, (int(self.env.action_size),))

    def _bound(self, params: PyTree) -> Any:
        if not params:
            return self.env
        arrays = {name: value if is_key(value) else narrow(value) for name, value in dict(params).items()}
        return _with_system(self.name, self.env, arrays)
