"""Hints: who gets which beginning of the solution, and that it is not the policy's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import context, rollout_of

from rl_jax.curricula.prompts import Prompts
from rl_jax.envs.tokens import TokenWorld
from rl_jax.envs.tokens.chain import Chain
from rl_jax.errors import RLJaxError
from rl_jax.ideas.group_policy.ghpo import HintedPrompts
from rl_jax.spaces import Discrete
from rl_jax.types import Spec

TASK = Chain(operands=5, slip=0.0)
WORLD = TokenWorld(TASK)
SIZE, COUNT = 2, 3
SPEC = Spec(Discrete(4), Discrete(4), SIZE * COUNT, TASK.length, whole=True)


def solution(problem):
    """All four results."""
    tokens, own = TASK.demonstrate(jax.random.key(0), problem, TASK.default_params)
    return tokens[TASK.prompt_length :], jnp.sum(own) - 1


def hinted(**options):
    return HintedPrompts(Prompts(WORLD, SIZE, COUNT), solution, **options)


@jax.jit
def after(part, state, outcome):
    """The levels of a rollout, and the state after its outcomes ``[N]``."""
    level = jax.vmap(lambda i: part.start(state, jax.random.key(0), i).level)(jnp.arange(SPEC.num_envs))
    rollout = rollout_of(outcome[None]).replace(level=jax.tree.map(lambda x: x[None], level))
    return level, part.update(state, rollout, context().replace(collected=rollout))


def test_the_hint_grows_while_all_fail_and_shrinks_when_one_succeeds():
    part = hinted()
    state = part.init(jax.random.key(0), SPEC)
    seen = []
    for solved in (0, 0, 0, 0, 1, 1, 1, 1):
        level, (state, metrics) = after(part, state, jnp.asarray([0, solved] * COUNT))
        seen.append(int(level.hint[0]))
        assert (np.asarray(level.hint) == seen[-1]).all() and metrics["hints/share"] == float(seen[-1] > 0)
    assert seen == [0, 1, 2, 3, 3, 2, 1, 0]


def test_only_the_problem_that_failed_gets_a_hint():
    part = hinted()
    state = part.init(jax.random.key(0), SPEC)
    level, (state, _) = after(part, state, jnp.asarray([0, 1, 0, 0, 1, 1]))
    failed = int(level.problem[SIZE])
    np.testing.assert_array_equal(np.asarray(state.stage), np.arange(COUNT) == failed)


@pytest.mark.slow
def test_what_is_given_is_the_beginning_of_the_solution_and_not_the_policys():
    part = hinted(lowest=2)
    state = part.init(jax.random.key(0), SPEC)
    start = jax.jit(part.start)(state, jax.random.key(1), jnp.int32(0))
    expected, size = solution(start.env_state.problem)
    play = jax.jit(WORLD.step)
    tape, owned, written = start.env_state, [], []
    for _ in range(TASK.length):
        step = play(jax.random.key(0), tape, WORLD.task.next_token(tape.problem, tape.memo), WORLD.default_params)
        tape, owned, written = step.state, [*owned, bool(step.info["own"])], [*written, int(step.obs)]
    first = TASK.prompt_length - 1
    assert int(size) == 4 and owned[first : first + 3] == [False, False, True] and not any(owned[:first])
    assert written[first : first + 4] == np.asarray(expected)[:4].tolist()


def test_it_needs_a_set_of_problems():
    with pytest.raises(RLJaxError, match="give its prompts a count"):
        HintedPrompts(Prompts(WORLD, SIZE), solution).init(jax.random.key(0), SPEC)
    with pytest.raises(RLJaxError, match="lowest"):
        hinted(lowest=4).init(jax.random.key(0), SPEC)
