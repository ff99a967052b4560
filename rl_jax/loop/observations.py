"""Do the observations that an environment returns have the parts that their space names?"""

from dataclasses import replace

import jax

from rl_jax.errors import ProtocolError
from rl_jax.spaces import Dict, example, leaves
from rl_jax.types import Rollout, Spec


def with_rollout(spec: Spec, rollout: Rollout) -> Spec:
    """The spec with the shapes of a rollout, of which a dictionary's parts have been compared with its space: a mask that is missing
    would otherwise go unnoticed.

    Raises:
        ProtocolError: with the part.
    """
    if isinstance(spec.obs_space, Dict):
        expected = {name: f"{x.dtype}{list(x.shape)}" for name, _, x in leaves(spec.obs_space, example(spec.obs_space))}
        found = {
            jax.tree_util.keystr(path, simple=True, separator="/"): f"{x.dtype}{list(x.shape[2:])}"
            for path, x in jax.tree_util.tree_leaves_with_path(rollout.obs)
        }
        for name in sorted({*expected, *found}):
            if expected.get(name) != found.get(name):
                raise ProtocolError(
                    f"the observation's part '{name}' is {found.get(name, 'missing')}, and its space says "
                    f"{expected.get(name, 'that there is none')}: let both say the same"
                )
    return replace(spec, rollout=rollout)
