"""Environments by name: gymnax's, ``brax/...``, ``probe/...``, ``grid/...``, ``point/...`` and so on, and ``module:factory``."""

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from rl_jax.envs.adapt import adapt
from rl_jax.envs.bandit import Bandit
from rl_jax.envs.close_names import nearest
from rl_jax.envs.dtypes import single_width
from rl_jax.envs.grid import GRIDS, NoisyTV
from rl_jax.envs.limits import check_time_limit
from rl_jax.envs.point import POINTS
from rl_jax.envs.probes import PROBES
from rl_jax.envs.suites import brax, extras
from rl_jax.envs.suites.gymnax import GymnaxEnv
from rl_jax.envs.tokens.worlds import TOKENS
from rl_jax.envs.trial import Trial
from rl_jax.errors import RLJaxError
from rl_jax.imports import imported
from rl_jax.types import Environment
from rl_jax.values import short


def trial_of(inner: Callable[..., Environment], **usual: Any) -> Callable[..., Trial]:
    """A factory of trials of an environment; options that a trial has are the trial's, the others the environment's."""
    of_trial = ("episodes", "steps", "feedback", "redraw")

    def make_trial(**options: Any) -> Trial:
        trial_options = usual | {name: options.pop(name) for name in of_trial if name in options}
        if trial_options.get("steps") is not None and "steps" not in usual:
            trial_options["episodes"] = None
        return Trial(inner(**options), **trial_options)

    return make_trial


def noisy_tv(
    inner: str = "grid/multi-room",
    action: int | None = None,
    size: int | None = None,
    deterministic: bool = False,
    **options: Any,
) -> NoisyTV:
    """``grid/noisy-tv``: see :class:`~rl_jax.envs.grid.NoisyTV`; ``inner`` is an environment's name, and further
    options are for that one.

    ``idle=True`` gives the grid worlds of rooms an action that does nothing else than switch the channel: ``action=4``.
    """
    return NoisyTV(make(inner, **options), action, size, deterministic)


#: Environments of this library, beside the probes.
OWN: dict[str, Callable[..., Any]] = {
    **GRIDS,
    **POINTS,
    **TOKENS,
    "grid/noisy-tv": noisy_tv,
    "trial/bandit": trial_of(Bandit, episodes=100),
    "trial/darkroom": trial_of(GRIDS["grid/darkroom"], episodes=5),
    "trial/dark-key-door": trial_of(GRIDS["grid/dark-key-door"], episodes=5),
}

_registered: dict[str, Callable[..., Any]] = {}
_made: dict[Any, Environment] = {}


def names() -> list[str]:
    """All names that :func:`make` knows, sorted; constructs nothing, does not import brax, and leaves out extras not installed."""
    return sorted({*_gymnax_names(), *(f"brax/{name}" for name in brax.NAMES), *extras.names(), *PROBES, *OWN, *_registered})


def register(name: str, factory: Callable[..., Any]) -> None:
    """Let ``make(name, **options)`` return ``adapt(factory(**options))``.

    The factory may return any environment that :func:`rl_jax.envs.adapt` takes, or a pair of one and its default
    parameters.

    Raises:
        RLJaxError: the name is taken.
    """
    if name in names():
        raise RLJaxError(f"there is already an environment '{name}'; register yours under another name")
    if not callable(factory):
        raise RLJaxError(f"the factory of '{name}' is a {type(factory).__name__}; pass a function instead")
    _registered[name] = factory


def make(name: str, **options: Any) -> Environment:
    """The environment ``name``.

    Asked twice with equal options it returns the same object, so that compiled programs which hold it are found again.

    Args:
        name: one of :func:`names`, or ``"package.module:factory"`` or ``"file.py:factory"`` for a function of your own (the working
            directory is searched too) that returns anything :func:`rl_jax.envs.adapt` takes.
        options: passed to whatever makes the environment: gymnax's or brax's constructor, your factory. gymnax, brax and
            extras' names also take ``time_limit``, brax names ``backend`` (see :func:`rl_jax.envs.suites.brax.make_brax`).

    Raises:
        MissingExtra: the name is of a library that is not installed.
        RLJaxError: no such name (the nearest ones are offered), or it cannot be made with these options.
    """
    if not isinstance(name, str):
        raise RLJaxError(
            f"an environment's name is a text, such as 'CartPole-v1', not {short(name)}: rl.envs.adapt takes objects"
        )
    if name not in _registered and ":" not in name:  # these check their own options
        check_time_limit(options.get("time_limit"))
    key: Any = (name, tuple(sorted(options.items())))
    try:
        if key in _made:
            return _made[key]
    except TypeError:  # an option that cannot be hashed, such as an array: not cached
        key = None
    env = _make(name, options)
    if key is not None:
        _made[key] = env
    return env


def _make(name: str, options: dict[str, Any]) -> Environment:
    if name in _registered:
        return _from_factory(name, _registered[name], options)
    if name in PROBES or name in OWN:
        return _from_factory(name, (PROBES | OWN)[name], options)
    if name.startswith("brax/"):
        short = name.removeprefix("brax/")
        if short in brax.NAMES or _registered_with_brax(short):
            return brax.make_brax(short, **options)
    elif name.partition("/")[0] in extras.EXTRAS:
        return extras.make(name, **options)
    elif ":" in name:
        return _from_factory(name, _import(name), options)
    elif name in _gymnax_names():
        return _make_gymnax(name, **options)
    raise RLJaxError(_unknown(name))


def _from_factory(name: str, factory: Callable[..., Any], options: dict[str, Any]) -> Environment:
    try:
        made = factory(**options)
    except TypeError as error:
        raise RLJaxError(f"{name} cannot be made with the options {options}: {error}") from error
    except SystemExit as error:
        raise RLJaxError(f"{name} ended Python instead of making an environment: name a function that returns one") from error
    env, params = made if type(made) is tuple and len(made) == 2 else (made, None)
    if env is None:
        raise RLJaxError(f"{name} returned nothing where an environment was expected: let it return one")
    return adapt(env, params)


def _gymnax_names() -> list[str]:
    with _forwarded("seaborn", "matplotlib.pyplot"):  # only to draw, and they take longer to import than all the rest
        from gymnax.registration import registered_envs

    return list(registered_envs)


class _Forwarded(ModuleType):
    """Stands for a module that is imported when something of it is first asked for."""

    def __getattr__(self, name: str) -> Any:
        return getattr(importlib.import_module(self.__name__), name)


@contextlib.contextmanager
def _forwarded(*names: str) -> Iterator[None]:
    """What is imported within gets modules that stand for these, and may use them afterwards."""
    stands = {name: _Forwarded(name) for name in names if name not in sys.modules}
    sys.modules.update(stands)
    try:
        yield
    finally:
        for name in stands:
            del sys.modules[name]


def _make_gymnax(name: str, time_limit: int | None = None, **options: Any) -> Environment:
    from gymnax import registration

    try:
        with single_width():  # MetaMaze and others make arrays already in their constructor
            env, _ = registration.make(name, **options)
    except TypeError as error:
        raise RLJaxError(f"{name} cannot be made with the options {options}: {error}") from error
    except Exception as error:
        if not name.startswith("MNIST"):
            raise
        raise RLJaxError(
            f"{name} reads the MNIST files, which gymnax downloads when the environment is made, and that failed "
            f"({type(error).__name__}: {error}); go online once, or put train-images-idx3-ubyte.gz, "
            f"train-labels-idx1-ubyte.gz, t10k-images-idx3-ubyte.gz and t10k-labels-idx1-ubyte.gz into /tmp/mnist, "
            f"where gymnax looks first"
        ) from error
    return GymnaxEnv(env, name, time_limit, binary=name.endswith("-MinAtar"))


def _registered_with_brax(short: str) -> bool:
    """Whether the user registered ``short`` with brax; if brax was never imported, nobody did."""
    loaded = sys.modules.get("brax.envs")
    return loaded is not None and short in loaded._envs


def _import(name: str) -> Callable[..., Any]:
    """The factory that ``"package.module:factory"`` or ``"file.py:factory"`` names; an environment that stands there for itself."""
    found = imported(name, "my_envs:make_maze")
    return found if callable(found) else lambda: found


def _unknown(name: str) -> str:
    near = nearest(name, names())
    hint = f"did you mean {' or '.join(near)}?" if near else "'rl-jax list' shows all names"
    return f"there is no environment '{name}'; {hint}"
