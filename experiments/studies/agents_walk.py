"""The world of the study ``agents``, what is looked at in every train step, and how an arm is put together."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct

import rl_jax as rl
from rl_jax.curricula.prompts import Prompts
from rl_jax.envs.grid.walk import Walk, WalkParams
from rl_jax.envs.grid.walk_values import advantages_of, states_of
from rl_jax.experience import Transform
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.transform import present_policy
from rl_jax.experience.weights import own_weight
from rl_jax.losses import NegativeEntropy, SquaredValue
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.networks import actor_critic
from rl_jax.ops.arrays.correlation import correlation
from rl_jax.run.claims import Outcome, Trained, Work
from rl_jax.types import Context, Metrics, PyTree, Rollout

SIZE, GROUPS, HORIZON = 8, 16, 40
WORLD = Walk(later=0.75, horizon=HORIZON, slip=0.1)
#: Tasks: hardly a place seen twice; a verifier that errs.
UNSEEN, NOISY = replace(WORLD, distractor=True).default_params, replace(WORLD, flip=0.2).default_params
network = partial(actor_critic, hidden=(64, 64))


@struct.dataclass
class Diagnosis(Transform):
    """Metrics of the own steps of a rollout; nothing is changed.

    ``look/advantage``: correlation of the advantage with the exact one of the acting policy, over the first four groups;
    ``look/step_reward``: that of an implicit step reward; ``look/progress``: correlation of SPA's contributions with the true progress;
    ``look/grounded``: share of steps that did anything; ``look/judge``: the judge's mean score.
    """

    env: Walk = struct.field(pytree_node=False)
    groups: int = struct.field(pytree_node=False, default=4)

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        own = rollout.extras["own"].astype(jnp.float32)
        steps = jnp.sum(own)
        found = {
            "look/grounded": jnp.sum(own * rollout.info["valid"]) / steps,
            "look/judge": jnp.sum(own * rollout.info["judge"]) / steps,
        }
        columns = slice(0, self.groups * SIZE)
        exact, weight = self.exact(rollout, context, columns), own[:, columns]
        for name in ("advantage", "step_reward"):
            if name in rollout.extras:
                found[f"look/{name}"] = correlation(rollout.extras[name][:, columns], exact, weight)
        if "progress" in rollout.extras:
            found["look/progress"] = correlation(rollout.extras["progress"], rollout.info["progress"].astype(jnp.float32), own)
        return state, rollout, found

    def exact(self, rollout: Rollout, context: Context, columns: slice) -> jax.Array:
        """The exact advantages ``[T, columns]`` of what was done."""
        states = jax.tree.map(lambda x: x[:, columns], rollout.env_state)
        plans = jax.tree.map(lambda x: x[0, ::SIZE], states.plan)
        every = jax.vmap(partial(states_of, self.env))(plans)
        obs = jax.vmap(jax.vmap(self.env.see))(every)
        asked = rollout.replace(obs=obs, first=jnp.zeros(obs.shape[:2], bool))  # type: ignore[attr-defined]
        probabilities = jax.nn.softmax(present_policy(asked, context).logits)
        table = jax.vmap(lambda plan, p: advantages_of(self.env, plan, p, self.env.default_params))(plans, probabilities)
        place = jax.vmap(jax.vmap(self.env.place))(states.position, states.stage)
        group = jnp.arange(place.shape[1]) // SIZE
        return table[group[None], jnp.minimum(states.time, HORIZON - 1), place, rollout.action[:, columns]]


@struct.dataclass
class Standardized(Transform):
    """Advantages of own steps to mean 0 and standard deviation 1, over the rollout."""

    def update(self, state: PyTree, rollout: Rollout, context: Context) -> tuple[PyTree, Rollout, Metrics]:
        own, advantage = rollout.extras["own"].astype(jnp.float32), rollout.extras["advantage"]
        steps = jnp.maximum(jnp.sum(own), 1.0)
        centred = advantage - jnp.sum(advantage * own) / steps
        spread = jnp.sqrt(jnp.sum(centred**2 * own) / steps)
        return state, rollout.with_extras(advantage=centred / (spread + 1e-8)), {}


GRPO = (group_advantage(SIZE, "mean", "std"),)
RLOO = (group_advantage(SIZE, "leave-one-out", "none"),)


def critic(gamma: float = 0.99) -> tuple[Any, ...]:
    """The advantages of PPO."""
    return rl.experience.gae(gamma, 0.95), Standardized()


def trainer(
    quick: bool,
    advantage: Sequence[Any],
    task: WalkParams = WORLD.default_params,
    terms: dict[str, Any] | None = None,
    weights: dict[str, Any] | None = None,
    value: bool = False,
    rate: float = 1e-3,
    bonus: float = 0.0,
) -> rl.Trainer:
    """Groups of 8 episodes that begin alike, two passes over each rollout in four pieces.

    Args:
        quick: a small slice.
        advantage: transforms that make it.
        task: what is left to chance.
        terms, weights: more terms of the loss.
        value: whether a critic is learned.
        rate: Adam's.
        bonus: weight of the entropy bonus.
    """
    agent = rl.agents.PolicyGradient(
        terms={
            "policy": ClippedTokens(),
            "entropy": NegativeEntropy(),
            **({"value": SquaredValue()} if value else {}),
            **(terms or {}),
        },
        weights={"policy": 1.0, "entropy": bonus, **({"value": 0.5} if value else {}), **(weights or {})},
        learning_rate=rate,
        max_grad_norm=1.0,
        network=network,
        epochs=2,
        minibatches=4,
        anneal=False,
    )
    groups = 4 if quick else GROUPS
    return rl.Trainer.create(
        WORLD,
        agent,
        rl.chain(*advantage, own_weight("token"), Diagnosis(WORLD)),
        curriculum=Prompts(WORLD, SIZE, task=task),
        num_envs=groups * SIZE,
        rollout_length=HORIZON,
        whole=True,
        episode_info=("success",),
    )


#: What is kept of every arm's training, as a mean over the last tenth.
LAST = {
    "success": "episode/success",
    "length": "episode/length",
    "entropy": "policy/entropy",
    "grounded": "look/grounded",
    "judge": "look/judge",
}


@dataclass(frozen=True)
class Walked(Trained):
    """An arm, and what its training's curves say."""

    def __call__(self, work: Work) -> Outcome:
        found = super().__call__(work)
        curves = {name: np.nan_to_num(curve.y) for name, curve in found.curves.items()}
        rows = next(iter(curves.values())).shape[1]
        tenth, third = max(1, rows // 10), max(1, rows // 3)
        values = {name: curves[metric][:, -tenth:].mean(1) for name, metric in LAST.items()}
        values["area"] = curves["episode/success"].mean(1)
        values["steadiness"] = -np.abs(np.diff(curves["policy/entropy"][:, max(0, min(rows // 2, rows - 2)) :], axis=1)).mean(1)
        values["correlation"] = curves["look/advantage"].mean(1)
        for name in ("look/step_reward", "look/progress"):
            if name in curves:
                values[name.removeprefix("look/")] = curves[name].mean(1)
                values[name.removeprefix("look/") + " gain"] = curves[name][:, -third:].mean(1) - curves[name][:, :third].mean(
                    1
                )
        if "epo/outside" in curves:
            values["outside"] = curves["epo/outside"].mean(1)
        return replace(found, values=values)
