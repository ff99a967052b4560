"""Writes ``rl_jax/run/cli/environments.tsv``, what ``rl-jax list`` shows, from the environments themselves.

python scripts/list_environments.py            # all that are installed; others keep their lines
python scripts/list_environments.py --check    # only says what differs
"""

import dataclasses
import sys

import numpy as np

import rl_jax as rl
from rl_jax.envs.limits import longest_episode
from rl_jax.masks import MASK
from rl_jax.run.cli.catalogue import FILE, Environment, environments
from rl_jax.spaces import PRIVILEGED

UNKNOWN = "?"


def words(space, unit):
    """A space in a few words."""
    if isinstance(space, rl.envs.Discrete):
        return f"{space.n} choices" if unit else f"one of {space.n}"
    if isinstance(space, rl.envs.MultiDiscrete):
        sizes = space.nvec
        return f"{len(sizes)} times {sizes[0]} choices" if len(set(sizes)) == 1 else f"choices {'x'.join(map(str, sizes))}"
    if isinstance(space, rl.envs.Dict):
        read = [part for name, part in space.items() if name not in (MASK, PRIVILEGED)]
        kinds = [words(read[0], unit) if len(read) == 1 else f"{len(read)} parts"]
        kinds += ["mask"] * (MASK in space) + ["privileged"] * (PRIVILEGED in space)
        return ", ".join(kinds)
    size = "x".join(map(str, space.shape))
    if len(space.shape) > 1:
        return f"{'image' if len(space.shape) == 3 else 'array'} {size}"
    count = int(np.prod(space.shape))
    return f"{count} number{'s' if count != 1 else ''}{'' if not unit or space.bounded else ', unbounded'}"


def fact(name):
    """What ``make`` returns, in a few words."""
    env = rl.envs.make(name)
    params = env.default_params
    spaces = words(env.observation_space(params), False), words(env.action_space(params), True)
    return Environment(name, *spaces, str(longest_episode(env) or "-"))


def main():
    names = {*rl.envs.names()}
    names |= {f"{prefix}/{short}" for prefix, extra in rl.envs.suites.extras.EXTRAS.items() for short in extra.adapter.NAMES}
    old = environments() if FILE.exists() else {}
    missing = [f"{prefix}/" for prefix, extra in rl.envs.suites.extras.EXTRAS.items() if not extra.installed]
    begin = tuple(arg for arg in sys.argv[1:] if not arg.startswith("--")) or ""
    facts = {}
    for name in sorted(names):
        if not name.startswith(begin) or name.startswith(tuple(missing)):
            facts[name] = old.get(name, Environment(name, UNKNOWN, UNKNOWN, UNKNOWN))
            continue
        try:
            facts[name] = fact(name)
        except Exception as error:
            print(f"{name}: kept as it is ({type(error).__name__}: {str(error)[:100]})", file=sys.stderr)
            facts[name] = old.get(name, Environment(name, UNKNOWN, UNKNOWN, UNKNOWN))
    differing = [name for name in {*facts, *old} if facts.get(name) != old.get(name)]
    if "--check" in sys.argv:
        print("\n".join(sorted(differing)) or "nothing differs")
        raise SystemExit(bool(differing))
    head = [field.name for field in dataclasses.fields(Environment)]
    rows = [head, *(list(vars(one).values()) for one in facts.values())]
    FILE.write_text("".join("\t".join(row) + "\n" for row in rows), encoding="utf-8")


if __name__ == "__main__":
    main()
