#!/usr/bin/env bash
# flax 0.12.8 and jax 0.10.2 (CPU): nn.LayerNorm() and jax.nn.standardize of rows far from zero have not the standard deviation 1.
#
# Expected: normalised rows of 3,000 plus a standard normal have the standard deviation 1, as NumPy's mean and std of the same float32
#           numbers give: the input holds all that is needed.
# Seen:     rows with standard deviations of hundreds. The default, use_fast_variance=True, takes the variance as E[x^2] - E[x]^2, whose
#           rounding error at 3,000 is as large as the variance; where it comes out as zero, the division is by sqrt(epsilon).
#           jax.nn.standardize does the same by default (algorithm="fast").
# Mend:     nn.LayerNorm(use_fast_variance=False).
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "flax==0.12.8" "jax[cpu]==0.10.2"
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PY'
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

x = 3000.0 + jax.random.normal(jax.random.key(0), (512, 8))
largest = {}
for fast in (True, False):
    norm = nn.LayerNorm(use_scale=False, use_bias=False, use_fast_variance=fast)
    largest[fast] = float(jnp.std(norm.apply({}, x), axis=-1).max())
rows = np.asarray(x)
by_numpy = float(np.std((rows - rows.mean(-1, keepdims=True)) / rows.std(-1, keepdims=True), -1).max())
standard = float(jnp.std(jax.nn.standardize(x, epsilon=1e-6), axis=-1).max())
print(f"largest standard deviation of a row: by default {largest[True]:.1f}, use_fast_variance=False {largest[False]:.4f}, "
      f"jax.nn.standardize {standard:.1f}, NumPy in float32 {by_numpy:.4f}")
assert largest[True] > 100, "the default is right now"
assert standard > 100, "jax.nn.standardize is right now"
assert abs(largest[False] - 1) < 0.01 and abs(by_numpy - 1) < 0.01
PY
