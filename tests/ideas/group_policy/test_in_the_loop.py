"""All of it at once, in a token world: every part keeps its state, and reads what the loop has."""

from functools import partial

import jax
import jax.numpy as jnp
import pytest
from test_ghpo import SIZE, TASK, WORLD, solution

import rl_jax as rl
from rl_jax.agents import PolicyGradient
from rl_jax.curricula.prompts import Prompts
from rl_jax.experience.advantage.group import group_advantage
from rl_jax.experience.selection.max_variance import max_variance
from rl_jax.experience.selection.subsets import count_used, drop_uniform, random_subset
from rl_jax.experience.selection.success_replay import success_replay
from rl_jax.experience.weights import own_weight
from rl_jax.ideas.group_policy.d3s_dual_level_downsampling import d3s
from rl_jax.ideas.group_policy.ghpo import HintedPrompts
from rl_jax.ideas.group_policy.remix import Anchors, ConvexKL, UpdatesUntil
from rl_jax.ideas.group_policy.skywork_r1v2_ssb import fill_idle
from rl_jax.ideas.group_policy.vl_rethinker_ssr import selective_replay
from rl_jax.loop.check_trainer import check_trainer
from rl_jax.losses.clipped import ClippedTokens
from rl_jax.losses.proximal import ProximalMix
from rl_jax.networks.sequence import sequence_actor_critic
from rl_jax.replay.rollouts.recent_rollouts import RecentRollouts

COUNT = 4


def trainer(terms, *experience, **parts):
    agent = PolicyGradient(
        terms=terms,
        weights=dict.fromkeys(terms, 1.0),
        learning_rate=1e-3,
        max_grad_norm=1.0,
        network=partial(sequence_actor_critic, memory_width=8, layers=1),
        epochs=1,
        minibatches=2,
        anneal=False,
    )
    sizes = {"num_envs": 2 * SIZE, "rollout_length": TASK.length}
    return rl.Trainer.create(WORLD, agent, rl.chain(*experience), whole=True, **sizes, **parts)


@pytest.mark.slow
def test_every_part_fits_into_the_loop():
    before = success_replay(COUNT, SIZE), own_weight(), group_advantage(SIZE)
    after = drop_uniform(SIZE), max_variance(group=SIZE, renormalize=True), random_subset(), d3s(), fill_idle(8), count_used()
    hints = HintedPrompts(Prompts(WORLD, SIZE, COUNT), solution)
    check_trainer(trainer({"turn": ClippedTokens(level="turn")}, *before, *after, curriculum=hints))


@pytest.mark.slow
def test_replays_fit_into_the_loop():
    experience, terms = (own_weight(), group_advantage(SIZE), selective_replay()), {"mix": ProximalMix(), "near": ConvexKL()}
    plain = trainer(terms, *experience)
    params = jax.eval_shape(lambda key: plain.agent.init(key, plain.base).params, jax.random.key(0))
    params = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), params)
    check_trainer(trainer(terms, *experience, replay=RecentRollouts(Anchors(params, 0.5)), updates=UpdatesUntil(2, 0.5)))
