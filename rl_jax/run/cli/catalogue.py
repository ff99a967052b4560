"""The catalogue of agents and environments. Its facts are declared, so that ``rl-jax list`` need not create any of them.

The environments are in ``environments.tsv``; ``scripts/list_environments.py`` writes it from what :func:`rl_jax.envs.make` returns,
and the tests compare.
"""

import functools
from dataclasses import dataclass
from pathlib import Path

#: A table with tabs between columns. The first line has the names of the fields of :class:`Environment`.
FILE = Path(__file__).with_name("environments.tsv")


@dataclass(frozen=True)
class Agent:
    """An agent of the command line, or of the library alone.

    Attributes:
        choose_for: when to choose it.
        actions: the kinds of action spaces that it supports.
        python_name: its name in Python, if the command line does not have it.
    """

    choose_for: str
    actions: str
    python_name: str = ""


AGENTS = {
    "ppo": Agent("first choice; many parallel environments, images, memory", "any"),
    "a2c": Agent("the simplest policy gradient, a baseline for PPO", "any"),
    "mdpo": Agent("PPO with a KL penalty in place of clipping", "any"),
    "grpo": Agent("episodes in groups that began alike, no values; token worlds", "any"),
    "dr-grpo": Agent("GRPO that divides by nothing", "any"),
    "rloo": Agent("REINFORCE with the mean of the others as baseline", "any"),
    "rft": Agent("clones the episodes that went well, a baseline for GRPO", "any"),
    "pqn": Agent("Q-learning without a replay buffer; fast where environments are many", "discrete"),
    "dqn": Agent("few environments, experience used again; each improvement a switch", "discrete"),
    "rainbow": Agent("DQN with all of them: most from few steps, slower", "discrete"),
    "r2d2": Agent("Q-learning with a memory, where an observation does not tell all", "discrete"),
    "sac": Agent("first choice for control where steps are dear", "continuous, discrete"),
    "td3": Agent("deterministic control; steadier than DDPG, simpler than SAC", "continuous"),
    "ddpg": Agent("the ancestor of TD3, a baseline", "continuous"),
    "mdpo-off-policy": Agent("SAC whose policy is held to an older self", "continuous, discrete"),
    "bc": Agent("clones recorded actions, a baseline for all that learn from data", "continuous, discrete"),
    "td3-bc": Agent("from data alone: TD3 held to the data's actions", "continuous"),
    "rebrac": Agent("the same with penalties of its own for policy and critics", "continuous"),
    "iql": Agent("first choice from data alone; never values an action that is not in them", "continuous, discrete"),
    "cql": Agent("from data alone: SAC whose critics think little of what is not in them", "continuous, discrete"),
    "diffusion-bc": Agent("clones several ways of doing one thing, by noise that becomes an action", "continuous"),
    "fql": Agent("the same with values: a policy of one step between a flow and Q", "continuous"),
    "rlpd": Agent("SAC on half recorded, half collected steps: a head start from data", "continuous, discrete"),
    "gail": Agent("imitates an expert's data, by PPO paid by a discriminator", "any"),
    "dac": Agent("the same by TD3 from replay: fewer steps", "continuous"),
    "stream-q": Agent("one stream, one step at a time, no buffer", "discrete"),
    "stream-ac": Agent("the same as an actor-critic", "any"),
}
"""The agents of ``rl-jax train``."""

LIBRARY = {
    "stream-td": Agent("the value of a fixed policy, from one stream", "any", "rl_jax.agents.StreamTD"),
    "relic": Agent("a transformer over whole trials: learning within its context", "any", "rl_jax.ideas.relic.relic(...)"),
    "lpg": Agent("a learned update rule, for meta-learning", "discrete", "rl_jax.ideas.ta_lpg.LPG"),
    "adaptive-rr": Agent(
        "around a watched agent: learn seldom at first, then often",
        "the agent's",
        "rl_jax.ideas.adaptive_rr.AdaptiveReplayRatio",
    ),
    "random-repeat": Agent("acts at random and learns nothing", "any", "rl_jax.agents.RandomRepeat"),
}
"""The agents that only Python has."""


@dataclass(frozen=True)
class Environment:
    """The spaces and time limit of one environment as text.

    Attributes:
        observation: such as ``4 numbers`` or ``image 10x10x4``.
        action: such as ``2 choices`` or ``8 numbers``.
        limit: most steps of an episode, or ``-``.
    """

    name: str
    observation: str
    action: str
    limit: str


@functools.cache
def environments() -> dict[str, Environment]:
    """All environments by name, also those of extras that are not installed."""
    _, *rows = FILE.read_text(encoding="utf-8").splitlines()
    entries = (Environment(*row.split("\t")) for row in rows)
    return {env.name: env for env in entries}
