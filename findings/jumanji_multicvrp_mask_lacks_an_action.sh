#!/usr/bin/env bash
# jumanji 1.1.2: MultiCVRP-v0 accepts the actions 0 to 21 by its action spec, and its action mask has 21 columns.
#
# Expected: one column of the mask for each action of the spec, as in Jumanji's other environments, so that a masked policy of as many
#           outputs as the spec has actions can be written for all of them alike.
# Seen:     the spec's maximum is the number of customers and depots, 21, inclusive; the mask has columns 0 to 20. Of the 22 actions
#           the last one has no column.
# Mend:     take the number of actions from the mask, not from the spec.
set -eu
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3.11 -m venv "$folder/venv"
"$folder/venv/bin/pip" install -q --disable-pip-version-check "jumanji==1.1.2" "jax[cpu]==0.10.2"
cd "$folder"
JAX_PLATFORMS=cpu "$folder/venv/bin/python" - <<'PY'
import jax
import jumanji
import numpy as np


def sizes(name):
    """Actions by the spec, and columns of the mask."""
    env = jumanji.make(name)
    spec = env.action_spec
    _, first = env.reset(jax.random.key(0))
    actions = int(spec.num_values) if hasattr(spec, "num_values") else int(np.max(spec.maximum)) + 1
    return actions, first.observation.action_mask.shape[-1]


print("MultiCVRP-v0, CVRP-v1, Snake-v1:", *(sizes(name) for name in ("MultiCVRP-v0", "CVRP-v1", "Snake-v1")))
assert sizes("MultiCVRP-v0") == (22, 21), "it is otherwise now"
assert all(a == b for a, b in map(sizes, ("CVRP-v1", "Snake-v1")))
PY
