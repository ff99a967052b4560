#!/usr/bin/env bash
# jax 0.10.2 (CPU): x.at[i].set(y) of bfloat16 changes the bits of signalling NaNs; slices, gathers and updates of a slice keep them.
#
# Expected: an operation that only moves data keeps its bits, as NumPy's indexing does, and as jax does for float16 and float32.
# Seen:     all 63 signalling NaNs of bfloat16 (0x7f81 to 0x7fbf) come out quiet (bit 6 set) of .at[].set: the scatter passes through
#           float32. So a checksum of a buffer that was filled so is another than that of what was put in.
# Mend:     move words: jax.lax.bitcast_convert_type to uint16 before, and back after.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "jax[cpu]==0.10.2"
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PY'
import jax
import jax.numpy as jnp
import numpy as np

bits = jax.lax.bitcast_convert_type


def changed(operation, words, dtype):
    """How many numbers have other bits after an operation that moves them."""
    moved = jax.jit(operation)(jnp.asarray(words.view(dtype)))
    return int((np.asarray(moved).view(words.dtype) != words).sum())


def put(x):
    return jnp.zeros_like(x).at[jnp.arange(len(x))].set(x)


def put_words(x):
    return bits(put(bits(x, jnp.uint16)), x.dtype)


narrow = np.arange(0x7F81, 0x7FC0, dtype=np.uint16)
half, wide = np.arange(0x7C01, 0x7E00, dtype=np.uint16), np.arange(0x7F800001, 0x7F800100, dtype=np.uint32)
found = changed(put, narrow, jnp.bfloat16)
print(f".at[].set changes {found} of {len(narrow)} NaNs of bfloat16")
assert found == len(narrow), "it is otherwise now"
assert changed(lambda x: x[jnp.arange(len(x))], narrow, jnp.bfloat16) == 0 and changed(put_words, narrow, jnp.bfloat16) == 0
assert changed(put, half, np.float16) == 0 and changed(put, wide, np.float32) == 0
PY
