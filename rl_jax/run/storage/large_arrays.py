"""Arrays too large to hold twice, such as a replay buffer: written and read in pieces, of which few are in memory at a time.

Orbax copies a whole array before it writes it, and reads a whole array before it goes to the device: twice the state. Here each
array is a folder in the zarr 3 format, written by tensorstore, the library under orbax. Pieces are compressed; a piece of zeros
takes no place at all.
"""

import itertools
import math
from collections import deque
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import tensorstore as ts
from jax.sharding import NamedSharding, PartitionSpec

#: Bytes of a piece, and pieces that are being written or read at the same time.
PIECE, AHEAD = 2**22, 4


def piece_shape(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """A piece of at most ``PIECE`` bytes that is contiguous: part of one axis, all of those behind it, one row before it."""
    piece = list(shape)
    for axis in range(len(shape)):
        row = math.prod(shape[axis + 1 :]) * itemsize
        piece[axis] = min(shape[axis], max(1, PIECE // row))
        if row <= PIECE:
            break
    return tuple(piece)


def _pieces(shape: tuple[int, ...], itemsize: int) -> Iterator[tuple[slice, ...]]:
    """Where the pieces are, in order; the last one along an axis may be shorter."""
    steps = piece_shape(shape, itemsize)
    for start in itertools.product(*(range(0, size, step) for size, step in zip(shape, steps, strict=True))):
        yield tuple(slice(a, min(a + step, size)) for a, step, size in zip(start, steps, shape, strict=True))


def _open(folder: Path, **options: Any) -> Any:
    return ts.open({"driver": "zarr3", "kvstore": {"driver": "file", "path": str(folder)}, **options}).result()


def _words(array: jax.Array) -> jax.Array:
    """Floats as whole numbers of their bits: narrow ones would pass through wider ones, which changes the bits of a NaN."""
    floating = jnp.issubdtype(array.dtype, jnp.floating)
    return jax.lax.bitcast_convert_type(array, f"uint{8 * array.dtype.itemsize}") if floating else array


def _of_words(words: jax.Array, dtype: Any) -> jax.Array:
    return jax.lax.bitcast_convert_type(words, dtype) if jnp.issubdtype(dtype, jnp.floating) else words


@partial(jax.jit, static_argnums=2)
def _cut(array: jax.Array, start: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return _of_words(jax.lax.dynamic_slice(_words(array), start, shape), array.dtype)


@partial(jax.jit, donate_argnums=0)
def _put(array: jax.Array, piece: jax.Array, start: jax.Array) -> jax.Array:
    return _of_words(jax.lax.dynamic_update_slice(_words(array), _words(piece), start), array.dtype)


def _start(where: tuple[slice, ...]) -> tuple[np.ndarray, ...]:
    return tuple(np.asarray(part.start, np.int32) for part in where)


@partial(jax.jit, static_argnums=(2, 3))
def _cut_shared(array: jax.Array, start: tuple[np.ndarray, ...], shape: tuple[int, ...], sharding: NamedSharding) -> jax.Array:
    """A piece of an array that lies on many devices, from whichever has it; the rest stays where it is."""
    array, dtype = _words(array), array.dtype
    for axis, names in enumerate(sharding.spec):
        if (
            names is not None and shape[axis] < array.shape[axis]
        ):  # by its indices, which each device answers for its own: a slice would be cut from the whole
            array = jnp.take(array, start[axis] + jnp.arange(shape[axis]), axis, mode="clip")
    rest = [jnp.where(n == m, 0, at) for at, n, m in zip(start, array.shape, shape, strict=True)]
    piece = _of_words(jax.lax.dynamic_slice(array, rest, shape), dtype)
    return jax.lax.with_sharding_constraint(piece, NamedSharding(sharding.mesh, PartitionSpec()))


def _on_host(array: jax.Array) -> bool:
    if not isinstance(array, jax.Array):
        return True
    return len(array.devices()) == 1 and all(device.platform == "cpu" for device in array.devices())


def _piece(array: jax.Array, where: tuple[slice, ...]) -> np.ndarray:
    shape = tuple(part.stop - part.start for part in where)
    if isinstance(array.sharding, NamedSharding) and not array.is_fully_replicated:
        return np.asarray(_cut_shared(array, _start(where), shape, array.sharding))
    return np.asarray(_cut(array, _start(where), shape))


def write(folder: Path | None, array: jax.Array) -> None:
    """Write ``array`` into a new folder; when this returns it is on the disk. No folder: only hand over what is here of it.

    Raises:
        ValueError: tensorstore's, with the system's error code, such as that of a full disk.
    """
    dtype = np.dtype(array.dtype)
    if folder is None:
        if not array.is_fully_replicated:
            for where in _pieces(array.shape, dtype.itemsize):
                _piece(array, where)
        return
    compress = {"cname": "lz4", "clevel": 1, "shuffle": "shuffle", "typesize": dtype.itemsize}
    metadata = {
        "shape": array.shape,
        "data_type": dtype.name,
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": piece_shape(array.shape, dtype.itemsize)}},
        "codecs": [{"name": "bytes"}, {"name": "blosc", "configuration": compress}],
    }
    store = _open(folder, metadata=metadata, create=True)
    # A view. It must not outlive this function, or the next train step could not reuse the array's memory.
    host = np.asarray(array) if _on_host(array) else None
    writing: deque[Any] = deque()
    try:
        for where in _pieces(array.shape, dtype.itemsize):
            piece = _piece(array, where) if host is None else host[where]
            writing.append(store[where].write(piece))  # copies the piece
            if len(writing) >= AHEAD:
                writing.popleft().result()
        while writing:
            writing.popleft().result()
    finally:
        for other in writing:
            other.exception()  # waits: after an error nothing may still write


def read(folder: Path, like: jax.ShapeDtypeStruct, place: jax.sharding.Sharding) -> jax.Array:
    """The array in ``folder``, filled in place on a device, or part by part on many."""
    store = _open(folder)
    if len(place.device_set) > 1:
        return jax.make_array_from_callback(like.shape, place, lambda index: store[index].read().result())
    # Memory of the device's own: an array that borrows numpy's could not be donated, and the first train step would copy it.
    array = jnp.zeros(like.shape, like.dtype, device=place)
    reading: deque[Any] = deque()
    for where in itertools.chain(_pieces(like.shape, like.dtype.itemsize), [None] * AHEAD):
        if where is not None:
            reading.append((where, store[where].read()))
        if reading and (where is None or len(reading) >= AHEAD):
            at, piece = reading.popleft()
            array = _put(array, piece.result(), _start(at)).block_until_ready()
    return array
