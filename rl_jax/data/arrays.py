"""Data sets of plain arrays, under the names that the field uses, checked row by row before anything is trained."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from rl_jax.data.dataset import Dataset
from rl_jax.data.marks import marks_of
from rl_jax.errors import RLJaxError
from rl_jax.spaces import Box, Dict, Discrete, MultiDiscrete, ObsSpace, Space, describe, leaves, to_unit_action

#: Names of each field: ours, then those of D4RL, Gymnasium and Minari.
NAMES = {
    "obs": ("obs", "observations", "observation"),
    "action": ("action", "actions"),
    "reward": ("reward", "rewards"),
    "terminated": ("terminated", "terminals", "terminations", "dones"),
    "truncated": ("truncated", "timeouts", "truncations"),
    "next_obs": ("next_obs", "next_observations"),
}
#: What cannot be done without.
NEEDED = ("obs", "action", "reward", "terminated")


def of_arrays(
    arrays: Mapping[str, Any],
    obs_space: ObsSpace | None = None,
    action_space: Space | None = None,
    env: str = "",
    what: str = "the data set",
) -> Dataset:
    """A data set of arrays ``[S, ...]`` of episodes one after the other.

    Without ``next_obs``, what followed an episode's last step is not known. If it terminated, nobody needs to know. If it was
    truncated, its last step is left out, and its last observation followed the step before. With ``next_obs``, a step whose
    ``next_obs`` is not the next row's observation ends an episode too: its recording was cut there.

    Args:
        arrays: under names of :data:`NAMES`; observations of several parts as a dictionary.
        obs_space, action_space: of the environment; default: any numbers of the observations' shape, and choices up to the largest
            action. A box has to be given.
        env: the environment's name.
        what: how errors call the data.

    Raises:
        RLJaxError: an array is missing, has another number of rows or another shape, holds NaN or infinity, or actions out of range; no
            episode ends, or the last one does not.
    """
    found = _named(arrays, what)
    obs, following = found["obs"], found.get("next_obs")
    action_space = _choices(found["action"], what) if action_space is None else action_space
    obs_space = _numbers(obs) if obs_space is None else obs_space
    obs, number = _observed("observations", obs, obs_space, what), np.shape(found["action"])[0]
    action = _acted(found["action"], action_space, what)
    rows = {"actions": number, **{name: np.shape(found[name])[0] for name in ("reward", "terminated")}}
    rows |= {f"observations{f' {name}' if name else ''}": x.shape[0] for name, _, x in leaves(obs_space, obs)}
    if len({*rows.values()}) > 1 or number == 0:
        raise RLJaxError(
            f"{what} has {', '.join(f'{n} rows of {name}' for name, n in rows.items())}: give one row for each step"
        )
    reward = _flat("rewards", found["reward"], np.float32, number, what)
    _check_finite("rewards", reward, what)
    terminated = _flat("terminated", found["terminated"], bool, number, what)
    truncated = _flat("truncated", found.get("truncated", np.zeros(number, bool)), bool, number, what) & ~terminated
    rows_kept = np.arange(number)
    if following is not None:
        following = _observed("next_obs", following, obs_space, what)
        truncated |= _breaks(obs, following, number) & ~terminated  # also in the last row: what followed it is known
        final = following
    else:
        _check_ends(terminated, truncated, what)
        final, rows_kept, truncated = _without_next(obs, terminated, truncated, what)
    ends = np.flatnonzero((terminated | truncated)[rows_kept])
    return Dataset(
        obs=jax.tree.map(lambda x, last: np.concatenate([x[rows_kept], last[rows_kept][ends]]), obs, final),
        action=action[rows_kept],
        reward=reward[rows_kept],
        marks=np.asarray(marks_of(terminated[rows_kept], truncated[rows_kept])),
        extras={},
        obs_space=obs_space,
        action_space=action_space,
        env=env,
    )


def _named(arrays: Mapping[str, Any], what: str) -> dict[str, Any]:
    found = {field: arrays[name] for field, names in NAMES.items() for name in names[::-1] if name in arrays}
    if missing := [field for field in NEEDED if field not in found]:
        names = " or ".join(NAMES[missing[0]])
        raise RLJaxError(f"{what} has no {names}; it has {', '.join(sorted(arrays)) or 'nothing'}: add one of these names")
    return found


def _numbers(obs: Any) -> ObsSpace:
    """The space of observations of which nothing is said but what they are."""
    if isinstance(obs, Mapping):
        return Dict({name: _numbers(part) for name, part in obs.items()})
    array = np.asarray(obs)
    if array.dtype == np.uint8:
        return Box.of(0, 255, array.shape[1:], np.uint8)
    return Box.of(-np.inf, np.inf, array.shape[1:])


def _choices(action: Any, what: str) -> Space:
    array = np.asarray(action)
    if array.dtype.kind not in "iu" or array.ndim > 2 or array.size == 0:
        raise RLJaxError(
            f"{what} has actions that are no whole numbers: say between which bounds they lie, action_space=Box.of(...)"
        )
    if array.ndim == 2 and array.shape[1] > 1:
        return MultiDiscrete(tuple(int(n) for n in array.max(axis=0) + 1))
    return Discrete(int(array.max()) + 1)


def _observed(name: str, obs: Any, space: ObsSpace, what: str) -> Any:
    """Observations of a space, as arrays of its dtype."""
    if isinstance(space, Dict):
        if not isinstance(obs, Mapping) or any(part not in obs for part in space):
            has = ", ".join(obs) if isinstance(obs, Mapping) else "one array"
            raise RLJaxError(f"{what} has {name} of {has}, and the environment's are {describe(space)}: give all of its parts")
        return {part: _observed(f"{name} {part}", obs[part], inner, what) for part, inner in space.items()}
    array = np.asarray(obs)
    if array.shape[1:] != space.shape:
        raise RLJaxError(
            f"{what} has {name} of the shape {list(array.shape[1:])}, and the environment's are {describe(space)}: use its own"
        )
    if array.dtype.kind not in "biuf":
        raise RLJaxError(f"{what} has {name} of the type {array.dtype}: give numbers")
    array = np.asarray(array, space.dtype)
    _check_finite(name, array, what)
    return array


def _check_finite(name: str, array: np.ndarray, what: str) -> None:
    if array.dtype.kind != "f":
        return
    bad = ~np.isfinite(array).all(axis=tuple(range(1, array.ndim)))
    if bad.any():
        first, many = int(np.argmax(bad)), int(bad.sum())
        raise RLJaxError(
            f"{what} has NaN or infinity in {name}, first in row {first}, in {many} of {bad.size}: leave out those episodes"
        )


def _acted(action: Any, space: Space, what: str) -> np.ndarray:
    """Actions of the environment in unit coordinates; choices as they are."""
    array = np.asarray(action)
    if array.shape[1:] != space.shape and array.shape[1:] == (*space.shape, 1):
        array = array[..., 0]
    if array.shape[1:] != space.shape or array.dtype.kind not in "biuf":
        raise RLJaxError(
            f"{what} has actions of the shape {list(array.shape[1:])} and type {array.dtype}, and the environment's are "
            f"{describe(space)}: use its own"
        )
    if isinstance(space, Box):
        array = np.asarray(array, space.dtype)
        _check_finite("actions", array, what)
        low, high = (np.asarray(bound, np.float64).reshape(space.shape) for bound in space.bounds())
        slack = 1e-5 * np.where(np.isfinite(high - low), high - low, 0.0)
        wrong = (array < low - slack) | (array > high + slack)
    else:
        if array.dtype.kind == "f" and (array != np.round(array)).any():
            raise RLJaxError(
                f"{what} has actions that are no whole numbers, and the environment's are {describe(space)}: use its own"
            )
        low, high = np.zeros(space.shape), np.asarray(space.n if isinstance(space, Discrete) else space.nvec) - 1
        wrong = (array < low) | (array > high)
    if wrong.any():
        row = int(np.argmax(wrong.reshape(array.shape[0], -1).any(axis=1)))
        worst = np.asarray(array[row]).tolist()
        raise RLJaxError(
            f"{what} has the action {worst} in row {row}, out of {describe(space)}: give actions in the environment's units"
        )
    if not isinstance(space, Box):
        return array.astype(np.int32)
    return np.asarray(to_unit_action(space, np.clip(array, low, high).astype(space.dtype)), np.float32)


def _flat(name: str, array: Any, dtype: Any, number: int, what: str) -> np.ndarray:
    """One number a row: ``[S]`` or ``[S, 1]``."""
    value = np.asarray(array)
    if value.shape not in ((number,), (number, 1)) or value.dtype.kind not in "biuf":
        raise RLJaxError(
            f"{what} has {name} of the shape {list(value.shape)} and type {value.dtype}, expected [{number}]: "
            "one number for each step"
        )
    return value.reshape(number).astype(dtype)


def _breaks(obs: Any, following: Any, number: int) -> np.ndarray:
    """``[S]``: the next row does not go on where the step has led to."""
    same = np.ones(number, bool)
    for x, after in zip(jax.tree.leaves(obs), jax.tree.leaves(following), strict=True):
        same[:-1] &= (x[1:] == after[:-1]).all(axis=tuple(range(1, x.ndim)))
    same[-1] = False
    return ~same


def _without_next(obs: Any, terminated: np.ndarray, truncated: np.ndarray, what: str) -> tuple[Any, np.ndarray, np.ndarray]:
    """What followed each row, the rows that are kept, and where episodes are cut then."""
    number = terminated.size
    done = terminated | truncated
    kept = ~truncated
    cut = np.zeros(number, bool)
    cut[:-1] = truncated[1:] & ~done[:-1]  # the step before one that is left out
    # What followed a termination is not known and not needed: the last observation stands in its place.
    following = np.arange(number) + ~done
    if not kept.any():
        raise RLJaxError(f"{what} has episodes of one truncated step only, and no next_obs: add next_obs")
    return jax.tree.map(lambda x: x[following], obs), np.flatnonzero(kept), cut


def _check_ends(terminated: np.ndarray, truncated: np.ndarray, what: str) -> None:
    done = terminated | truncated
    if not done.any():
        raise RLJaxError(
            f"{what} has no step at which an episode ends: set terminated where the task ended, truncated where it was cut"
        )
    if not done[-1]:
        begin = int(np.flatnonzero(done)[-1]) + 1
        raise RLJaxError(
            f"{what} ends within an episode, begun in row {begin} of {done.size}: set truncated in the last row if the recording "
            "was cut there"
        )
