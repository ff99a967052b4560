"""``rl-jax list``: what there is, from declared facts; and one environment, made and played at random."""

import contextlib
import io
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rl_jax.envs.nearest import nearest
from rl_jax.errors import RLJaxError
from rl_jax.run.cli.catalogue import AGENTS, LIBRARY, Agent, Environment, environments
from rl_jax.run.options import List
from rl_jax.values import short

if TYPE_CHECKING:
    import rl_jax as rl

#: Episodes of the random policy, and the most steps of each.
EPISODES, STEPS = 32, 1000
#: Pages of the libraries whose environments they are.
LINKS = {
    "": "https://github.com/RobertTLange/gymnax",
    "brax": "https://github.com/google/brax",
    "craftax": "https://github.com/MichaelTMatthews/Craftax",
    "jumanji": "https://github.com/instadeepai/jumanji",
    "navix": "https://github.com/epignatelli/navix",
    "playground": "https://github.com/google-deepmind/mujoco_playground",
    "xminigrid": "https://github.com/dunnolab/xland-minigrid",
}


def show_list(given: List) -> None:
    """``rl-jax list``."""
    what, known = given.what, environments()
    if what in ("all", "agents"):
        _show_agents(AGENTS | LIBRARY)
    if what == "all":
        print()
    if what in ("all", "envs"):
        _show_environments(list(known.values()), given.spaces)
    if what in ("all", "agents", "envs"):
        return
    if ":" in what or what in known:
        _show_one(what)
        return
    agents = {name: agent for name, agent in (AGENTS | LIBRARY).items() if what.lower() in name}
    envs = [one for one in known.values() if what.lower() in one.name.lower()]
    if [one.name.lower() for one in envs] == [what.lower()]:
        _show_one(envs[0].name)
    elif agents or envs:
        _show_agents(agents)
        _show_environments(envs, given.spaces)
    else:
        near = nearest(what[:100], [*known, *AGENTS, *LIBRARY])
        hint = f"did you mean {' or '.join(near)}?" if near else "'rl-jax list' shows all"
        raise RLJaxError(f"there is no agent or environment {short(what)}; {hint}")


def _show_agents(agents: Mapping[str, Agent]) -> None:
    """One line each: name, actions, when to choose it."""
    rows = [
        (name, agent.actions, agent.when + (f" (Python only: {agent.where})" if agent.where else ""))
        for name, agent in agents.items()
    ]
    _show_table(("agent", "actions", "choose it for"), rows)


def _show_environments(envs: Sequence[Environment], spaces: bool) -> None:
    """One line each, and how to install what is not there."""
    from rl_jax.envs.suites.extras import EXTRAS

    missing = [prefix for prefix, extra in EXTRAS.items() if not extra.installed]
    if not spaces:
        print("\n".join(one.name for one in envs))
        return
    rows = [(one.name, one.observation, one.action, one.limit) for one in envs]
    _show_table(("environment", "observation", "action", "steps"), rows)
    if any("?" in row for row in rows):
        print("?: known once it is made (it fetches files, or needs an option)")
    for prefix in missing:
        if count := sum(one.name.startswith(f"{prefix}/") for one in envs):
            print(f"{prefix}/... ({count}) is not installed: pip install 'rl_jax[{prefix}]'")


def _show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns as wide as what stands in them; the last one is wrapped."""
    if not rows:
        return
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head) - 1)]
    start = sum(widths) + 2 * len(widths)
    width = max(min(shutil.get_terminal_size((160, 24)).columns, 160) - start, 30)
    for row in (head, *rows):
        first, *rest = textwrap.wrap(row[-1], width) or [""]
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)) + "  " + first)
        for line in rest:
            print(" " * start + line)


def _show_one(name: str) -> None:
    """Make an environment, and play episodes at random."""
    import rl_jax as rl
    from rl_jax.envs.limits import longest_episode

    with contextlib.redirect_stdout(io.StringIO()):  # libraries print when they are imported
        env = rl.envs.make(name)
    params = env.default_params
    print(name)
    print(f"  observation   {rl.envs.describe(env.observation_space(params))}")
    print(f"  action        {rl.envs.describe(env.action_space(params))}")
    print(f"  time limit    {longest_episode(env) or 'none that is known'}", flush=True)
    print(f"  at random     {_at_random(env)}")
    prefix = name.partition("/")[0] if "/" in name else ""
    if ":" not in name and (link := LINKS.get(prefix)):
        print(f"  made by       {link}")
    print(f"  train         rl-jax train ppo --env {name}")


def _at_random(env: "rl.types.Environment") -> str:
    """What episodes of uniformly random actions return."""
    import jax
    import numpy as np

    import rl_jax as rl

    trainer = rl.Trainer.create(env=env, agent=rl.agents.RandomRepeat(0.0), num_envs=1, rollout_length=1)

    @jax.jit
    def play(key: Any) -> Any:
        return rl.evaluate(trainer, trainer.init(key, 1), key, EPISODES, max_steps=STEPS)

    scores = jax.tree.map(np.asarray, play(jax.random.key(0)))
    lengths, returns = scores.lengths, scores.returns
    cut = int(EPISODES - scores.finished.sum())
    text = (
        f"return {returns.mean():.4g} ({returns.min():.4g} to {returns.max():.4g}), length {lengths.mean():.4g} "
        f"({lengths.min()} to {lengths.max()}), of {EPISODES} episodes"
    )
    return f"{text}, {cut} of them cut after {STEPS} steps" if cut else text
