#!/usr/bin/env bash
# jax 0.10.2 without a CUDA plugin: JAX_PLATFORMS=cuda ends in an AssertionError without a word.
#
# Expected: a RuntimeError that names the platform and what is missing, as JAX_PLATFORMS=nonsense gets.
# Seen:     jax.devices() raises AssertionError with an empty message.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "jax[cpu]==0.10.2"
cd "$folder"
for platform in cuda nonsense; do
    JAX_PLATFORMS=$platform "$folder/venv/bin/python" - <<'PY'
import os

import jax

platform = os.environ["JAX_PLATFORMS"]
try:
    jax.devices()
except Exception as error:
    print(f"JAX_PLATFORMS={platform}: {type(error).__name__}: {str(error)!r}")
    if platform == "cuda":
        assert type(error) is AssertionError and not str(error), "the error says something now"
    else:
        assert isinstance(error, RuntimeError) and platform in str(error)
PY
done
