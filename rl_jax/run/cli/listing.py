"""``rl-jax list``: agents and environments from the catalogue, or one environment, created and played at random."""

import contextlib
import io
import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from rl_jax.envs.close_names import nearest
from rl_jax.errors import RLJaxError
from rl_jax.run.cli.catalogue import AGENTS, LIBRARY, Agent, Environment, environments
from rl_jax.run.options import List
from rl_jax.values import short

if TYPE_CHECKING:
    import rl_jax as rl

#: Number of episodes of the random policy, and the most steps of each.
EPISODES, STEPS = 32, 1000
#: Home pages of the libraries, by the prefix of their environments' names.
LINKS = {
    "": "https://github.com/RobertTLange/gymnax",
    "brax": "https://github.com/google/brax",
    "craftax": "https://github.com/MichaelTMatthews/Craftax",
    "jumanji": "https://github.com/instadeepai/jumanji",
    "navix": "https://github.com/epignatelli/navix",
    "playground": "https://github.com/google-deepmind/mujoco_playground",
    "xminigrid": "https://github.com/dunnolab/xland-minigrid",
}


def show_list(args: List) -> None:
    """Print a list of agents and environments, or the facts of one environment.

    Raises:
        RLJaxError: no name contains ``args.what``.
    """
    query, catalogue = args.what, environments()
    if query in ("all", "agents"):
        _show_agents(AGENTS | LIBRARY)
    if query == "all":
        print()
    if query in ("all", "envs"):
        _show_environments(list(catalogue.values()), args.spaces)
    if query in ("all", "agents", "envs"):
        return
    if ":" in query or query in catalogue:
        _show_one(query)
        return
    agents = {name: agent for name, agent in (AGENTS | LIBRARY).items() if query.lower() in name}
    envs = [env for env in catalogue.values() if query.lower() in env.name.lower()]
    if [env.name.lower() for env in envs] == [query.lower()]:
        _show_one(envs[0].name)
    elif agents or envs:
        _show_agents(agents)
        _show_environments(envs, args.spaces)
    else:
        close_matches = nearest(query[:100], [*catalogue, *AGENTS, *LIBRARY])
        hint = f"did you mean {' or '.join(close_matches)}?" if close_matches else "'rl-jax list' shows all"
        raise RLJaxError(f"there is no agent or environment {short(query)}; {hint}")


def _show_agents(agents: Mapping[str, Agent]) -> None:
    """Print one line for each agent: name, action spaces, when to choose it."""
    rows = [
        (name, agent.actions, agent.choose_for + (f" (Python only: {agent.python_name})" if agent.python_name else ""))
        for name, agent in agents.items()
    ]
    _show_table(("agent", "actions", "choose it for"), rows)


def _show_environments(envs: Sequence[Environment], spaces: bool) -> None:
    """Print one line for each environment, and how to install missing extras. Without ``spaces`` print names only."""
    from rl_jax.envs.suites.extras import EXTRAS

    missing = [prefix for prefix, extra in EXTRAS.items() if not extra.installed]
    if not spaces:
        print("\n".join(env.name for env in envs))
        return
    rows = [(env.name, env.observation, env.action, env.limit) for env in envs]
    _show_table(("environment", "observation", "action", "steps"), rows)
    if any("?" in row for row in rows):
        print("?: known once it is made (it fetches files, or needs an option)")
    for prefix in missing:
        if count := sum(env.name.startswith(f"{prefix}/") for env in envs):
            print(f"{prefix}/... ({count}) is not installed: pip install 'rl_jax[{prefix}]'")


def _show_table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a table. Columns are as wide as their longest cell; the last column is wrapped."""
    if not rows:
        return
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head) - 1)]
    last_column = sum(widths) + 2 * len(widths)
    width = max(min(shutil.get_terminal_size((160, 24)).columns, 160) - last_column, 30)
    for row in (head, *rows):
        first, *rest = textwrap.wrap(row[-1], width) or [""]
        print("  ".join(f"{cell:{width}}" for cell, width in zip(row, widths, strict=False)) + "  " + first)
        for line in rest:
            print(" " * last_column + line)


def _show_one(name: str) -> None:
    """Print the spaces of one environment, and the returns of random actions."""
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
    """The mean and range of returns and lengths with uniformly random actions, as text."""
    import jax
    import numpy as np

    import rl_jax as rl

    trainer = rl.Trainer.create(env=env, agent=rl.agents.RandomRepeat(0.0), num_envs=1, rollout_length=1)

    @jax.jit
    def play(key: Any) -> Any:
        return rl.evaluate(trainer, trainer.init(key, 1), key, EPISODES, max_steps=STEPS)

    scores = jax.tree.map(np.asarray, play(jax.random.key(0)))
    lengths, returns = scores.lengths, scores.returns
    unfinished = int(EPISODES - scores.finished.sum())
    text = (
        f"return {returns.mean():.4g} ({returns.min():.4g} to {returns.max():.4g}), length {lengths.mean():.4g} "
        f"({lengths.min()} to {lengths.max()}), of {EPISODES} episodes"
    )
    return f"{text}, {unfinished} of them cut after {STEPS} steps" if unfinished else text
