"""Data sets of Minari (extra ``minari``), the format of the Farama Foundation for recorded experience (Younis et al. 2024)."""

import contextlib
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from rl_jax.data.arrays import of_arrays
from rl_jax.data.dataset import Dataset
from rl_jax.envs.suites.gymnax import beginning, convert_action_space, convert_space
from rl_jax.errors import RLJaxError, import_extra
from rl_jax.spaces import Dict, ObsSpace, Space


def of_minari(name: str, obs_space: ObsSpace | None = None, action_space: Space | None = None, env: str = "") -> Dataset:
    """A data set that Minari has on this machine.

    Args:
        name: such as ``D4RL/pen/expert-v2``; ``minari download NAME`` fetches it.
        obs_space, action_space: of the environment; default: those that the data set says, numbers as ``float32``.
        env: the environment's name.

    Raises:
        RLJaxError: Minari does not have it, or its data cannot be served.
    """
    minari = import_extra("minari", "a data set of Minari", "minari")
    what = f"minari:{name}"
    with contextlib.redirect_stdout(sys.stderr):
        local = sorted(minari.list_local_datasets())
        try:
            return _joined(minari.load_dataset(name), what, obs_space, action_space, env)
        except RLJaxError:
            raise
        except Exception as error:  # files of others raise whatever they like
            reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
            if name in local:
                raise RLJaxError(
                    f"{what} cannot be read ({reason}); 'minari download --force {name}' fetches it again"
                ) from error
            raise RLJaxError(
                f"Minari has no data set {name} on this machine ({reason}): 'minari download {name}' fetches it; "
                f"there are {', '.join(local) or 'none'}"
            ) from None


def _joined(source: Any, what: str, obs_space: ObsSpace | None, action_space: Space | None, env: str) -> Dataset:
    observed, acted = source.observation_space, source.action_space
    obs_space = _numbers(what, observed) if obs_space is None else obs_space
    action_space = convert_action_space(what, acted, _dtype(acted)) if action_space is None else action_space
    first, first_action = beginning(observed), beginning(acted)
    columns: dict[str, list[Any]] = {name: [] for name in ("obs", "next_obs", "action", "reward", "terminated", "truncated")}
    for episode in source.iterate_episodes():
        obs = _counted(episode.observations, first)
        steps = len(episode.rewards)
        truncated = np.asarray(episode.truncations, bool).copy()
        truncated[-1:] |= not np.asarray(episode.terminations, bool)[-1:].any()
        rows = (_rows(obs, slice(0, steps)), _rows(obs, slice(1, steps + 1)), np.asarray(episode.actions) - first_action)
        values = (*rows, episode.rewards, episode.terminations, truncated)
        for column, value in zip(columns.values(), values, strict=True):
            column.append(value)
    if not columns["obs"]:
        raise RLJaxError(f"{what} has no episode: name another data set")
    return of_arrays({name: _together(parts) for name, parts in columns.items()}, obs_space, action_space, env, what)


def _dtype(space: Any) -> Any:
    """Numbers as ``float32``, and all else as it is."""
    dtype = getattr(space, "dtype", None)
    return np.float32 if dtype is not None and np.issubdtype(dtype, np.floating) else None


def _numbers(what: str, space: Any) -> ObsSpace:
    parts = getattr(space, "spaces", None)
    if isinstance(parts, Mapping):
        return Dict({name: _numbers(what, part) for name, part in parts.items()})
    return convert_space(what, space, _dtype(space))


def _counted(obs: Any, first: Any) -> Any:
    """Observations whose choices are counted from 0."""
    if isinstance(first, dict):
        return {name: _counted(obs[name], part) for name, part in first.items()}
    return np.asarray(obs) - first if np.any(first) else np.asarray(obs)


def _rows(obs: Any, rows: slice) -> Any:
    return {name: _rows(part, rows) for name, part in obs.items()} if isinstance(obs, dict) else obs[rows]


def _together(parts: list[Any]) -> Any:
    if isinstance(parts[0], dict):
        return {name: _together([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate([np.asarray(part) for part in parts])
