"""The walk: its rules, distances and exact values against slow ones in plain Python."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax.envs.check import check_env
from rl_jax.envs.grid.walk import ACTIONS, MOVES, OPEN, PICK, STAGES, TOGGLE, Walk, WalkParams
from rl_jax.envs.grid.walk_values import advantages_of, states_of


class Rules:
    """One plan of the walk, in plain Python."""

    def __init__(self, env, plan):
        self.side, self.width = env.side, env.width
        self.gaps, self.key, self.goal = [tuple(map(int, gap)) for gap in plan.gaps], tuple(plan.key), tuple(plan.goal)

    def free(self, cell, stage):
        row, column = cell
        if not (0 <= row < self.width and 0 <= column < self.width):
            return False
        if self.side not in cell:
            return True
        return cell in self.gaps[:2] or (cell == self.gaps[2] and stage == 2)

    def act(self, cell, stage, action):
        """Cell, stage and success after an action."""
        target = (cell[0] + int(MOVES[action][0]), cell[1] + int(MOVES[action][1]))
        door = self.gaps[2]
        if action < PICK:
            cell = target if self.free(target, stage) else cell
        elif action == PICK and stage == 0 and cell == self.key:
            stage = 1
        elif action == TOGGLE and stage == 1 and abs(cell[0] - door[0]) + abs(cell[1] - door[1]) == 1:
            stage = 2
        return cell, stage, stage == 2 and cell == self.goal

    def cells(self):
        return [(row, column) for row in range(self.width) for column in range(self.width) if self.free((row, column), 2)]

    def remaining(self):
        """Steps to the end from every place, by repeated relaxation."""
        places = [(cell, stage) for cell in self.cells() for stage in range(3)]
        left = {place: 0 if place == (self.goal, 2) else 10**6 for place in places}
        after = {place: [self.act(*place, action) for action in range(ACTIONS)] for place in places}
        while True:
            before = dict(left)
            for place in places:
                ways = (0 if success else left[cell, stage] for cell, stage, success in after[place])
                left[place] = min(left[place], 1 + min(ways))
            if left == before:
                return left


def plans(env, count):
    return jax.vmap(lambda key: env.reset(key, env.default_params)[0])(jax.random.split(jax.random.key(3), count))


@pytest.mark.slow
@pytest.mark.parametrize("spread", [0, 2])
def test_distances_and_rules_are_those_of_a_search(spread):
    env = Walk(side=2, spread=spread, later=0.5)
    states = plans(env, 8)
    assert set(np.asarray(states.stage).tolist()) > {0}
    ask = jax.jit(
        jax.vmap(
            lambda s: (
                env.remaining(s.plan, s.position, s.stage),
                env._free(s.plan, s.position, s.stage),
                env.rank(s.plan, s.position),
            )
        )
    )
    act = jax.jit(jax.vmap(jax.vmap(env.act, (None, None, None, 0)), (0, 0, 0, None)))
    for i in range(8):
        plan = jax.tree.map(lambda x: x[i], states.plan)  # noqa: B023
        rules, every = Rules(env, jax.device_get(plan)), states_of(env, plan)
        start = tuple(np.asarray(states.position[i]).tolist())
        assert rules.free(start, 2) and (int(states.stage[i]) == OPEN or start not in (rules.goal, rules.gaps[2]))
        assert len({start, rules.key}) == 2 or spread == 0 or start == rules.key
        left, free, rank = jax.device_get(ask(every))
        moved, stages, success = jax.device_get(act(every.plan, every.position, every.stage, jnp.arange(ACTIONS)))
        expected = rules.remaining()
        for (cell, stage), steps in expected.items():
            index = (cell[0] * env.width + cell[1]) * STAGES + stage
            if rules.free(cell, stage):  # nobody stands in a closed door, nor behind one without having opened it
                assert bool(free[index])
            reachable = stage == OPEN or (rules.free(cell, stage) and rank[index] < 3)
            if reachable and (cell, stage) != (rules.goal, 2):
                assert int(left[index]) == steps, (cell, stage)
            for action in range(ACTIONS):
                after = (tuple(moved[index, action].tolist()), int(stages[index, action]), bool(success[index, action]))
                assert after == rules.act(cell, stage, action)


@pytest.mark.slow
def test_exact_advantages_are_those_of_slow_dynamic_programming():
    env, slip = Walk(side=2, horizon=7), 0.3
    plan = jax.tree.map(lambda x: x[0], plans(env, 1).plan)
    random = np.random.default_rng(0)
    probabilities = random.dirichlet(np.ones(ACTIONS), env.num_places).astype(np.float32)
    found = np.asarray(advantages_of(env, plan, jnp.asarray(probabilities), WalkParams(jnp.float32(slip), jnp.float32(0.9))))
    rules = Rules(env, jax.device_get(plan))
    value = dict.fromkeys(((cell, stage) for cell in rules.cells() for stage in range(3)), 0.0)
    for time in reversed(range(7)):
        new = {}
        for cell, stage in value:
            index = (cell[0] * 5 + cell[1]) * 3 + stage
            sure = []
            for action in range(ACTIONS):
                *after, success = rules.act(cell, stage, action)
                sure.append(1.0 if success else value[tuple(after)])
            q = (1 - slip) * np.array(sure) + slip * np.mean(sure)
            new[cell, stage] = float(probabilities[index] @ q)
            np.testing.assert_allclose(found[time, index], q - new[cell, stage], atol=1e-6)
        value = new
    assert np.abs(found[0]).max() > 0.05


@pytest.mark.slow
def test_what_a_step_reports():
    env = Walk(side=3, horizon=4, distractor=True, flip=1.0)
    check_env(env)
    state, obs = env.reset(jax.random.key(0), env.default_params)
    assert obs.shape == (25,)
    position, step = state.position, jax.jit(env.step)
    places, paid, params = [], [], env.default_params
    for key in jax.random.split(jax.random.key(1), 4):
        out = step(key, state, jnp.int32(TOGGLE), params)
        assert not out.info["valid"] and out.info["progress"] == 0 and out.info["judge"] == 0.75  # it only looks busy
        places.append(int(out.info["place"]))
        paid.append((float(out.reward), bool(out.terminated)))
        state = out.state
    assert paid == [(0.0, False)] * 3 + [(1.0, True)]  # a failure, and a verifier that always errs
    assert len(set(places)) == 4 and len({place % env.num_places for place in places}) == 1
    assert places[0] == int(env.place(position, jnp.int32(0)))
    moves = [step(jax.random.key(2), state, jnp.int32(action), params) for action in range(4)]
    for out in moves:
        before, after = (int(env.remaining(s.plan, s.position, s.stage)) for s in (state, out.state))
        assert out.info["progress"] == before - after and out.info["judge"] == (1 + before - after) / 2
    slips = [step(key, state, jnp.int32(0), WalkParams(1.0)).state for key in jax.random.split(jax.random.key(5), 30)]
    assert len({tuple(s.position.tolist()) for s in slips}) > 2
