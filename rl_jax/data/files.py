"""Data sets on disk: a folder with ``dataset.json`` and ``arrays.npz``, or one ``.npz`` file of plain arrays."""

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from rl_jax.data.arrays import of_arrays
from rl_jax.data.dataset import Dataset
from rl_jax.data.space_texts import space_of_json, space_to_json
from rl_jax.errors import RLJaxError
from rl_jax.spaces import ObsSpace, describe, leaves

#: The files of a folder, and the number of this format.
ABOUT, ARRAYS, FORMAT = "dataset.json", "arrays.npz", 1
#: What a name begins with that is a data set of Minari.
MINARI = "minari:"


def save(data: Dataset, folder: str | os.PathLike[str], **about: Any) -> Path:
    """Write a data set into a new folder, whole or not at all.

    Args:
        data: the data set.
        folder: that does not exist, or is empty.
        about: what else ``dataset.json`` shall say, such as where the data are from.

    Raises:
        RLJaxError: the folder has something in it, or cannot be written to.
    """
    folder = Path(folder)
    check_new(folder)
    arrays: dict[str, Any] = {path_name("obs", name): np.asarray(x) for name, _, x in leaves(data.obs_space, data.obs)}
    arrays |= {"action": np.asarray(data.action), "reward": np.asarray(data.reward), "marks": np.asarray(data.marks)}
    arrays |= {path_name("extras", name): np.asarray(x) for name, x in data.extras.items()}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{ARRAYS}.part"
        with temporary.open("wb") as file:
            np.savez(file, **arrays)
        temporary.replace(folder / ARRAYS)
        returns = data.returns()
        content = {
            "format": FORMAT,
            "env": data.env,
            "steps": data.num_steps,
            "episodes": data.num_episodes,
            "return": {"mean": float(returns.mean()), "min": float(returns.min()), "max": float(returns.max())},
            "obs_space": space_to_json(data.obs_space),
            "action_space": space_to_json(data.action_space),
            "sha256": file_digest(folder / ARRAYS),
            **about,
        }
        part = folder / f".{ABOUT}.part"
        part.write_text(json.dumps(content, indent=2) + "\n")
        part.replace(folder / ABOUT)
    except OSError as error:
        raise RLJaxError(
            f"cannot write the data set {folder} ({error.strerror}): name a folder that can be written to"
        ) from None
    return folder


def check_new(folder: Path) -> None:
    """Refuse a folder that is there and has something in it.

    Raises:
        RLJaxError: with what to do.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise RLJaxError(f"{folder} is there already, and a data set is never written over: name a new folder")


def path_name(field: str, name: str) -> str:
    """The name of an array in the file: ``obs``, or ``obs/PART``."""
    return f"{field}/{name}" if name else field


def load(source: str | os.PathLike[str], env: Any = None) -> Dataset:
    """Read a data set; the arrays stay on the host.

    Args:
        source: a folder that :func:`save` has written; an ``.npz`` file of arrays under the names of :mod:`rl_jax.data.arrays`; or
            ``minari:NAME``, of the data sets that Minari has on this machine (extra ``minari``).
        env: the :class:`~rl_jax.types.Environment` that it is of, whose spaces it is held to; needed for an ``.npz`` file with
            actions within bounds.

    Raises:
        RLJaxError: there is no such data set, it is damaged or not whole, or it does not fit the environment.
    """
    text = os.fspath(source)
    obs_space = None if env is None else env.observation_space(env.default_params)
    action_space = None if env is None else env.action_space(env.default_params)
    name = "" if env is None else env.name
    if text.startswith(MINARI):
        from rl_jax.data.minari import of_minari

        return of_minari(text.removeprefix(MINARI), obs_space, action_space, name)
    path = Path(text)
    if path.is_dir():
        data = _of_folder(path)
        return data if env is None else fitting(data, obs_space, action_space, name, text)
    if path.suffix == ".npz":
        return of_arrays(_nested(_read(path)), obs_space, action_space, name, text)
    raise RLJaxError(f"there is no data set {text}: name a folder of 'rl-jax record', an .npz file, or minari:NAME")


def fitting(data: Dataset, obs_space: Any, action_space: Any, env: str, what: str) -> Dataset:
    """A data set as one of an environment with these spaces.

    Raises:
        RLJaxError: its own are others.
    """
    for kind, own, asked in (("observations", data.obs_space, obs_space), ("actions", data.action_space, action_space)):
        if own != asked:
            raise RLJaxError(
                f"{what} has {kind} {describe(own)}, and those of {env} are {describe(asked)}: name the environment it is of"
            )
    return data


def is_folder(source: str) -> bool:
    """Whether a data set is a folder that :func:`save` writes."""
    return not source.startswith(MINARI) and not source.endswith(".npz")


def about(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """What ``dataset.json`` of a folder says.

    Raises:
        RLJaxError: the folder has none that can be read.
    """
    path = Path(folder) / ABOUT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["format"] != FORMAT:
            raise RLJaxError(
                f"{path} is of format {content['format']}, and this version reads {FORMAT}: use the version that wrote it"
            )
    except FileNotFoundError:
        raise RLJaxError(
            f"{folder} is no data set, for it has no {ABOUT}: name a folder that 'rl-jax record' has written"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(error, RLJaxError):
            raise
        raise RLJaxError(f"{path} cannot be read ({error}): record the data again, or put the file back") from None
    return content


def _of_folder(folder: Path) -> Dataset:
    content = about(folder)
    obs_space: ObsSpace = space_of_json(content.get("obs_space"))
    action_space: Any = space_of_json(content.get("action_space"))
    arrays = _read(folder / ARRAYS)
    if content.get("sha256") != file_digest(folder / ARRAYS):
        raise RLJaxError(f"{folder / ARRAYS} is not the file that was recorded: put it back, or record the data again")

    def part(space: ObsSpace, name: str) -> Any:
        parts = getattr(space, "parts", None)
        return arrays[name] if parts is None else {key: part(inner, f"{name}/{key}") for key, inner in parts}

    extras = {name.removeprefix("extras/"): x for name, x in arrays.items() if name.startswith("extras/")}
    try:
        obs, (action, reward, marks) = part(obs_space, "obs"), (arrays[name] for name in ("action", "reward", "marks"))
        return Dataset(obs, action, reward, marks, extras, obs_space, action_space, content["env"])
    except KeyError as error:
        raise RLJaxError(f"{folder / ARRAYS} has no array {error}: record the data again") from None


def _read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file.

    Raises:
        RLJaxError: it is missing, cut short or damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except FileNotFoundError:
        raise RLJaxError(f"there is no {path}: name a data set that is there") from None
    except (zipfile.BadZipFile, EOFError, OSError, ValueError, KeyError, AttributeError) as error:
        raise RLJaxError(f"{path} is cut short, damaged or no .npz file ({error}): copy or record it again") from None


def _nested(arrays: dict[str, np.ndarray]) -> dict[str, Any]:
    """Arrays named ``obs/a`` as dictionaries."""
    nested: dict[str, Any] = {}
    for name, array in arrays.items():
        *outer, last = name.split("/")
        inner = nested
        for key in outer:
            inner = inner.setdefault(key, {})
        inner[last] = array
    return nested


def file_digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
