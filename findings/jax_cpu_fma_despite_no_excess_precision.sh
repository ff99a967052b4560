#!/usr/bin/env bash
# jax 0.10.2 (CPU with FMA): --xla_allow_excess_precision=false does not stop fused multiply-adds, so a value that is returned as well
# changes the bits of another one.
#
# Expected: with excess precision off, x * w + 1 in float32 is rounded after the product and after the sum, as NumPy does and as the
#           same operations outside of jit do; and sum(x * w + 1) has the same bits whether or not x * w + 1 is returned beside it.
# Seen:     the product is not rounded (LLVM contracts the two operations), and the two sums differ in their last bits, by 8e-6 of 64.
#           So results that are equal bit for bit on one CPU may differ on another, and with what else a program returns.
# Mend:     XLA_FLAGS=--xla_cpu_max_isa=AVX, which has no such instruction: then all are equal.
set -eu
grep -qw fma /proc/cpuinfo || { echo "this CPU has no fused multiply-add"; exit 0; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "jax[cpu]==0.10.2"
cd "$folder"
cat > check.py <<'PY'
import sys

import jax
import jax.numpy as jnp
import numpy as np

x = jax.random.normal(jax.random.key(0), (256, 64))
w = jax.random.normal(jax.random.key(1), (64,))
twice_rounded = np.asarray(x) * np.asarray(w) + np.float32(1)
once = float(np.abs(np.asarray(jax.jit(lambda x, w: x * w + 1)(x, w)) - twice_rounded).max())
alone = jax.jit(lambda x, w: jnp.sum(x * w + 1, axis=1))(x, w)
beside, _ = jax.jit(lambda x, w: (jnp.sum(x * w + 1, axis=1), x * w + 1))(x, w)
moved = float(jnp.abs(alone - beside).max())
print(f"{sys.argv[1]}: x * w + 1 is {once:.1e} from NumPy's, its sum moves by {moved:.1e} when it is returned too")
assert (once > 0 and moved > 0) == (sys.argv[2] == "differs"), "it is otherwise now"
PY
export JAX_PLATFORMS=cpu
XLA_FLAGS="--xla_allow_excess_precision=false" "$folder/venv/bin/python" check.py "excess precision off" differs
XLA_FLAGS="--xla_cpu_max_isa=AVX" "$folder/venv/bin/python" check.py "instructions up to AVX" equal
