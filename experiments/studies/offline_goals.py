"""Reaching goals from undirected data, in mazes whose distances are known exactly."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

import rl_jax as rl
from rl_jax.agents import AgentBase
from rl_jax.agents.configs.goal_reaching import GCBCConfig, GCIVLConfig, HIQLConfig
from rl_jax.envs.point import PointMaze, PointState
from rl_jax.ideas.skills_goals.hilp import HILPConfig
from rl_jax.ideas.skills_goals.ota import OTAConfig
from rl_jax.ops.arrays.correlation import correlation
from rl_jax.ops.arrays.shortest import distance_at
from rl_jax.run.claims import Axes, Gate, Outcome, Phase, Phased, Study, Work
from rl_jax.types import Context, Key, Metrics, PyTree, Sample, Spec

GIANT, MEDIUM = rl.make("point/giant"), rl.make("point/medium")
#: Recorded steps of each environment, and environments.
STEPS, ENVS = 1000, 50
#: Learning steps.
UPDATES = 10_000
#: Steps to a subgoal; a way is far from so many cells on.
SUBGOAL, FAR = 20, 20.0
#: Triples and episodes that are asked at the end.
TRIPLES, EPISODES = 4096, 128


@struct.dataclass
class Wanderer(AgentBase):
    """Goes to the goal by the oracle's way, disturbed, as a data collector would; it learns nothing.

    Attributes:
        env: the maze, without velocities.
        noise: standard deviation of the noise on its actions, in units of full speed.
    """

    env: PointMaze = struct.field(pytree_node=False)
    noise: float = 1.0

    def bind(self, spec: Spec) -> "Wanderer":
        return self

    def init(self, key: Key, spec: Spec) -> PyTree:
        return ()

    def params(self, state: PyTree) -> PyTree:
        return ()

    def act(self, state: PyTree, carry: PyTree, obs: Any, first: jax.Array, key: Key, greedy: bool = False) -> Any:
        """The oracle's actions ``[N, 2]`` with noise."""
        position, goal = (self.env.sight.place(obs[part]) for part in ("observation", "goal"))
        zero, params = jnp.zeros(2), self.env.default_params

        def one(position: jax.Array, goal: jax.Array) -> jax.Array:
            place = PointState(position, zero, jnp.floor(goal).astype(jnp.int32), zero[0], jnp.int32(0))
            return self.env.oracle(place, params)

        action = jax.vmap(one)(position, goal)
        return carry, jnp.clip(action + self.noise * jax.random.normal(key, action.shape), -1.0, 1.0), {}

    def value(self, state: PyTree, carry: PyTree, obs: Any, first: jax.Array) -> jax.Array:
        return jnp.zeros(first.shape)

    def learn(self, state: PyTree, sample: Sample, context: Context) -> tuple[PyTree, Metrics, None]:
        return state, {}, None


def wandering(quick: bool, kept: Any, env: PointMaze) -> rl.Trainer:
    return rl.Trainer.create(env, Wanderer(env), num_envs=2, rollout_length=2)


def recorded(trainer: rl.Trainer, state: rl.TrainState, key: Key) -> Any:
    """The data of one seed."""
    return rl.loop.record(trainer, state, key, ENVS, STEPS, episodes=ENVS * STEPS // 10)


def learner(quick: bool, kept: Any, env: PointMaze, config: Any) -> rl.Trainer:
    return config.trainer(env, data=kept["data"])


def distances(env: PointMaze, place: jax.Array, goal: jax.Array) -> jax.Array:
    """Exact distances ``[B]`` in cells, of places as they are shown."""
    field = jnp.asarray(env.default_params.distances)
    cell = jnp.floor(env.sight.place(goal)).astype(jnp.int32)
    return jax.vmap(partial(distance_at, field))(env.sight.place(place), cell)


def signs(trainer: rl.Trainer, state: rl.TrainState, key: Key) -> dict[str, jax.Array]:
    """Whether the value that judges subgoals rises where the way becomes shorter, and how values go with exact distances."""
    env: Any = trainer.env
    zero = jnp.float32(0)
    context = Context(key, trainer.agent, state.agent, jnp.int32(0), zero, zero, zero)
    anywhere = rl.replay.GoalShares(0.0, 0.0, 1.0)
    replay: Any = trainer.replay.replace(batch_size=TRIPLES, policy_shares=anywhere, subgoal=SUBGOAL)
    batch = jax.tree.map(lambda x: x[0], replay.sample(state.replay, context).batch)
    later, goal = batch.extras["subgoal_obs"], batch.extras["policy_goal"]
    now = {**batch.obs, "goal": goal}
    before, after = (distances(env, obs["observation"], goal) for obs in (now, later))
    clear = jnp.abs(before - after) > 1.0
    params = trainer.agent.params(state.agent)
    if "value" in params:
        judge = params.get("option_value", params["value"])
        value, later_value = (jnp.mean(trainer.agent.values(judge, obs), axis=0) for obs in (now, later))
    else:  # cloning knows no values: the straight line
        places = (env.sight.place(x) for x in (now["observation"], later["observation"]))
        value, later_value = (-jnp.linalg.norm(place - env.sight.place(goal), axis=-1) for place in places)
    right = ((later_value > value) == (after < before)).astype(jnp.float32)
    edges = jnp.arange(0.0, 56.0, 8.0)[:, None]
    within = clear & (before >= edges) & (before < edges + 8.0)
    return {
        "sign": jnp.mean(right, where=clear & (before > FAR)),
        "correlation": correlation(before, -value),
        "right signs": jnp.sum(right * within, axis=1) / jnp.maximum(jnp.sum(within, axis=1), 1),
        "values": jnp.sum(value * within, axis=1) / jnp.maximum(jnp.sum(within, axis=1), 1),
    }


def successes(trainer: rl.Trainer, state: rl.TrainState, key: Key, name: str = "") -> dict[str, jax.Array]:
    """Shares of episodes that reach their goal, of all and of those whose goal is far."""
    env: Any = trainer.env
    rollout = rl.play(trainer, state, key, EPISODES, env.time_limit)
    own = jnp.cumsum(rollout.done, axis=0) - rollout.done == 0
    reached = jnp.any(rollout.terminated & own, axis=0).astype(jnp.float32)
    way = distances(env, rollout.obs["observation"][0], rollout.obs["goal"][0])
    return {f"{name}success": jnp.mean(reached), f"{name}far success": jnp.mean(reached, where=way > FAR)}


def answers(trainer: rl.Trainer, state: rl.TrainState, key: Key) -> dict[str, jax.Array]:
    """Signs and successes."""
    keys = jax.random.split(key)
    return signs(trainer, state, keys[0]) | successes(trainer, state, keys[1])


def both_ways(trainer: rl.Trainer, state: rl.TrainState, key: Key) -> dict[str, jax.Array]:
    """:func:`answers` of HILP straight to the goal, and its successes by midpoints."""
    keys = jax.random.split(key)
    straight = trainer.replace(agent=trainer.agent.replace(recursions=0))  # type: ignore[attr-defined]
    return answers(straight, state, keys[0]) | successes(trainer, state, keys[1], "planned ")


DATA = {env.name: Phase(partial(wandering, env=env), 4, 4, name="data", keep=recorded) for env in (GIANT, MEDIUM)}
#: Of all arms; of agents with a value; of those with subgoals.
USUAL: dict[str, Any] = {"batch_size": 128, "learning_rate": 1e-3, "updates": 20}
VALUES = USUAL | {"tau": 0.05, "beta": 0.3}
SUBGOALS = VALUES | {"subgoal_steps": SUBGOAL, "high_beta": 0.3}


def arm(env: PointMaze, config: Any, question: Any = answers) -> Phased:
    """Learns from the data of its seed, which all arms of a maze have."""
    learned = Phase(partial(learner, env=env, config=config), UPDATES, 100, question, (), name="learned", data=STEPS * ENVS)
    return Phased((DATA[env.name], learned), share=env.name)


HILP = arm(GIANT, HILPConfig(**VALUES, recursions=2), both_ways)


def once(work: Work, arm: Callable[[Work], Outcome], prefix: str = "") -> Outcome:
    """What an arm finds, run once for all arms of a process that look at it; of measures with ``prefix``, these."""
    key = ("once", arm, tuple(work.seeds), work.quick)
    if key not in work.shared:
        work.shared[key] = arm(work)
    outcome: Outcome = work.shared[key]
    values = {name: value for name, value in outcome.values.items() if not name.startswith("planned ")}
    planned = {name.removeprefix(prefix): value for name, value in outcome.values.items() if prefix and name.startswith(prefix)}
    return replace(outcome, values=values | planned)


STUDY = Study(
    name="offline_goals",
    environment="The mazes point/giant (16 by 12 cells, ways of up to 56 cells, a quarter of a cell a step) and point/medium. Data: "
    f"{STEPS * ENVS:,} steps of episodes that go to random goals by shortest ways, with Gaussian noise of deviation 1 on actions of at "
    "most 1. Positions and goals are shown with Fourier features. Exact distances are those of the map.",
    arms={
        "giant, GC-BC": arm(GIANT, GCBCConfig(**USUAL)),
        "giant, GCIVL": arm(GIANT, GCIVLConfig(**VALUES)),
        "giant, HIQL": arm(GIANT, HIQLConfig(**SUBGOALS)),
        "giant, OTA": arm(GIANT, OTAConfig(**SUBGOALS)),
        "giant, OTA, 20 steps": arm(GIANT, OTAConfig(**SUBGOALS, option_steps=20)),
        "giant, targets of 5 steps": arm(GIANT, OTAConfig(**SUBGOALS, per_step=True)),
        "medium, HIQL": arm(MEDIUM, HIQLConfig(**SUBGOALS)),
        "medium, OTA": arm(MEDIUM, OTAConfig(**SUBGOALS)),
        "giant, HILP": partial(once, arm=HILP),
        "giant, HILP, midpoints": partial(once, arm=HILP, prefix="planned "),
    },
    measures={
        "sign": f"share of triples (place, place {SUBGOAL} steps later in the data, random goal more than {FAR:g} cells away) where "
        "the value that judges subgoals rises exactly if the way became shorter, by more than a cell",
        "success": f"share of {EPISODES} greedy episodes that reach their goal, from anywhere to anywhere",
        "far success": f"the same, of goals more than {FAR:g} cells away",
        "correlation": "of minus the value and the exact distance, over random pairs of places; of cloning, which has no value, of the "
        "straight line",
    },
    curves={
        "right signs": Axes("distance to the goal, in eights of cells", "share of right signs"),
        "values": Axes("distance to the goal, in eights of cells", "value"),
    },
    gates=(
        Gate("the straight line is no way", "correlation", "giant, GC-BC", high=0.9),
        Gate("HIQL judges small mazes", "correlation", "medium, HIQL", low=0.9),
        Gate("cloning reaches goals, and not all", "success", "giant, GC-BC", 0.2, 0.9),
    ),
    seeds=tuple(range(100, 110)),
    tuning_seeds=tuple(range(4)),
    paired=True,
    departures="Networks of 64 units and thousands of learning steps in place of 512 and a million. Slow values move by 0.05, ten "
    "times faster, so that values reach the longest ways in so few steps. Temperatures of cloning are 0.3 for all arms; published "
    "are 3 (HIQL, OTA) and 10 (GCIVL, HILP): values of small networks are rough from step to step.",
    minutes=20,
)
