"""OpenAI-ES against its equation and on a quadratic, and the meta-gradient against finite differences."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from toy import leaves_equal, rollout_of, unchecked

import rl_jax as rl
from rl_jax.envs.grid import Objects
from rl_jax.errors import RLJaxError
from rl_jax.ideas.meta_rl.ta_lpg import LPG, LPGRule
from rl_jax.meta import Evolution, MetaGradient, in_task, later_objective, lifetime, pair_ranks, policy_objective, with_rule

FORM = LPGRule(width=4, bins=3, embedding=4)
WORLD = Objects(size=3, objects=1, time_limit=6)


# The evolution strategy.


def test_ranks_of_pairs():
    scores = jnp.array([[1.0, 2.0], [5.0, -5.0], [3.0, 3.0], [jnp.nan, -9.0], [jnp.nan, jnp.nan]])
    assert pair_ranks(scores).tolist() == [[0, 1], [1, 0], [0.5, 0.5], [0, 1], [0.5, 0.5]]


def test_scores_that_differ_by_the_order_of_their_sums_are_equal():
    """32 episodes of up to 1,000 steps at -0.01 and one reward of 1 at another time: float64 says which means are equal."""
    rng = np.random.default_rng(0)

    def mean(ways, dtype):
        rewards = np.zeros((len(ways), 1000), dtype)
        for row, (length, at) in zip(rewards, ways, strict=True):
            row[:length] = -0.01
            row[at] += dtype(1.0)
        return np.cumsum(rewards, axis=1, dtype=dtype)[:, -1].mean(dtype=dtype)

    pairs, exact = [], []
    for trial in range(60):
        lengths = rng.integers(700, 1000, 32)
        other = rng.permutation(lengths)
        other[0] += trial % 3 - 1  # the second is one step longer, as long, or one step shorter
        sides = [[(n, rng.integers(0, 700)) for n in side] for side in (lengths, other)]
        pairs.append([mean(side, np.float32) for side in sides])
        exact.append([round(mean(side, np.float64) * 3200) for side in sides])
    exact = np.asarray(exact)
    expected = np.where(exact == exact[:, ::-1], 0.5, exact > exact[:, ::-1])
    assert sum(a != b for a, b in pairs[1::3]) > 10, "float32 tells equal ones apart"
    np.testing.assert_array_equal(pair_ranks(jnp.asarray(pairs)), expected)


def test_candidates_are_opposite_and_of_the_asked_width():
    evolution = Evolution(sigma=0.3, pairs=2000)
    mean = {"a": jnp.array([1.0, -2.0]), "b": jnp.float32(4.0)}
    noise, candidates = jax.jit(evolution.ask)(evolution.init(mean), jax.random.key(0))
    for name, middle in mean.items():
        both = np.asarray(candidates[name])
        assert both.shape == (2000, 2, *middle.shape) and both.dtype == np.float32
        np.testing.assert_allclose(both.mean(axis=1), np.broadcast_to(middle, (2000, *middle.shape)), atol=1e-6)
        np.testing.assert_allclose(both[:, 0] - middle, 0.3 * np.asarray(noise[name]), atol=1e-6)
        assert abs(noise[name].std() - 1) < 0.05
    assert abs(np.corrcoef(noise["a"][:, 0], noise["b"])[0, 1]) < 0.1, "every leaf has noise of its own"


def test_a_step_by_hand():
    """Two pairs, of which the first is better on the + side and the second on the - side."""
    evolution = Evolution(learning_rate=0.5, learning_rate_decay=0.1, learning_rate_limit=0.2, sigma=0.1, pairs=2)
    state = evolution.init(jnp.array([1.0, 1.0]))
    noise = jnp.array([[1.0, 2.0], [3.0, -1.0]])
    gradient = -(noise[0] - noise[1]) / (2 * 2 * 0.1)
    adam = optax.adam(lambda count: jnp.maximum(0.5 * 0.1**count, 0.2))
    expected, opt_state = state.mean, adam.init(state.mean)
    for generation in range(3):
        state = evolution.tell(state, noise, jnp.array([[9.0, 8.0], [0.0, 0.001]]))
        updates, opt_state = adam.update(gradient, opt_state)
        expected = optax.apply_updates(expected, updates)
        np.testing.assert_allclose(state.mean, expected, rtol=1e-5)
        assert int(state.generation) == generation + 1
    np.testing.assert_allclose(evolution.tell(evolution.init(jnp.zeros(2)), noise, jnp.ones((2, 2))).mean, 0.0)


def test_sigma_falls_to_its_limit():
    evolution = Evolution(sigma=0.4, sigma_decay=0.5, sigma_limit=0.15, pairs=4)
    state, spreads = evolution.init(jnp.zeros(3)), []
    for generation in range(4):
        noise, candidates = evolution.ask(state._replace(generation=jnp.int32(generation)), jax.random.key(1))
        spreads.append(float(jnp.mean(candidates[:, 0] / noise)))
    np.testing.assert_allclose(spreads, [0.4, 0.2, 0.15, 0.15], rtol=1e-5)


@pytest.mark.slow
def test_both_sides_of_a_pair_meet_the_same_task_and_pairs_differ():
    def fitness(candidate, key):
        return jax.random.uniform(key) + 0.0 * candidate

    evolution = Evolution(pairs=64)
    state = evolution.init(jnp.float32(0.0))
    after, metrics = evolution.step(state, fitness, jax.random.key(0))
    assert float(metrics["evolution/spread"]) == 0 and float(metrics["evolution/best"]) > float(metrics["evolution/fitness"])
    assert float(after.mean) == 0, "luck that both sides share moves nothing"


def test_a_quadratic_with_noise_far_above_the_differences():
    """The noise is shared within a pair; without that, ranks would be those of the noise."""
    goal = {"a": jnp.array([0.5, -0.3]), "b": jnp.array([[0.2]])}

    def fitness(candidate, key):
        apart = jax.tree.map(lambda x, y: jnp.sum((x - y) ** 2), candidate, goal)
        return 100.0 * jax.random.normal(key) - sum(jax.tree.leaves(apart))

    evolution = Evolution(learning_rate=0.03, learning_rate_decay=0.98, pairs=32)
    keys = jax.random.split(jax.random.key(0), 200)
    step = partial(evolution.step, fitness=fitness)
    start = evolution.init(jax.tree.map(jnp.zeros_like, goal))
    after, metrics = jax.jit(lambda s: jax.lax.scan(lambda s, key: step(s, key=key), s, keys))(start)
    for name, there in goal.items():
        np.testing.assert_allclose(after.mean[name], there, atol=0.05)
    assert float(metrics["evolution/failed"].max()) == 0


@pytest.mark.slow
def test_a_candidate_that_fails_is_counted_and_worst():
    evolution = Evolution(pairs=16)
    after, metrics = evolution.step(
        evolution.init(jnp.float32(0.0)), lambda x, key: jnp.where(x < 0, jnp.nan, 1.0), jax.random.key(0)
    )
    assert float(metrics["evolution/failed"]) == 0.5 and float(after.mean) > 0 and float(metrics["evolution/fitness"]) == 1


# Lives under a rule.


def trainer_of(critic=False, form=FORM, **options):
    agent = LPG(form.weights(jax.random.key(7)), form=form, critic=critic, **options)
    experience = rl.experience.gae() if critic else None
    return rl.Trainer.create(env=WORLD, agent=agent, experience=experience, num_envs=2, rollout_length=5)


@pytest.mark.slow
def test_a_life_is_as_long_as_planned_for_any_traced_number():
    trainer = trainer_of()
    state, score = jax.jit(lambda n: lifetime(trainer, jax.random.key(0), n, 4))(jnp.int32(3))
    assert float(state.horizon) == 3 and state.updates.to_int() == 3 and np.isfinite(score)
    again, _ = trainer.advance(trainer.init(jax.random.split(jax.random.key(0))[0], 3 * trainer.steps_per_update), 3)
    np.testing.assert_allclose(state.agent.params["policy"]["params"]["table"], again.agent.params["policy"]["params"]["table"])
    other = with_rule(trainer, jax.tree.map(lambda x: -x, trainer.agent.rule))
    assert not leaves_equal(lifetime(other, jax.random.key(0), 3, 4)[0].agent, state.agent)


@pytest.mark.slow
def test_evolution_finds_a_rule_that_learns():
    """One object next to the start pays: after evolution a fresh agent earns more than under the first rule, in tasks not seen."""
    trainer = trainer_of(policy_rate=20.0)

    def fitness(rule, key):
        key_task, key_life = jax.random.split(key)
        task = WORLD.sample_task(key_task).replace(reward=jnp.ones((1,), jnp.float32))
        return lifetime(in_task(with_rule(trainer, rule), task), key_life, 6, 8)[1]

    evolution = Evolution(pairs=16, learning_rate=0.05)
    start = evolution.init(trainer.agent.rule)
    keys = jax.random.split(jax.random.key(1), 30)
    with unchecked():
        after, _ = jax.jit(lambda s: jax.lax.scan(lambda s, key: evolution.step(s, fitness, key), s, keys))(start)
        score = jax.jit(lambda rule: jnp.mean(jax.vmap(fitness, (None, 0))(rule, jax.random.split(jax.random.key(2), 64))))
        assert float(score(after.mean)) > float(score(start.mean)) + 0.1


# The meta-gradient.


def test_the_objective_by_hand():
    log_prob = jnp.log(jnp.array([[0.5, 0.25]]))
    rollout = rollout_of([[0.0, 0.0]], advantage=jnp.array([[3.0, 1.0]]), log_prob=log_prob)
    assert float(policy_objective(rollout)) == pytest.approx(-(np.log(0.5) - np.log(0.25)) / 2)
    with pytest.raises(RLJaxError, match="gae"):
        policy_objective(rollout_of([[0.0]]))


@pytest.mark.slow
@pytest.mark.parametrize("updates", [1, 3])
def test_meta_gradient_against_finite_differences(updates):
    """Small steps leave every sampled action as it is, so the objective is smooth along a line."""
    trainer = trainer_of(critic=True, policy_rate=5.0)
    penalties = {
        "lpg/policy_entropy": -0.3,
        "lpg/pi_hat_squared": 0.2,
        "lpg/y_hat_squared": 0.1,
        "lpg/prediction_entropy": -0.1,
    }
    state = trainer.advance(trainer.init(jax.random.key(0), 1000), 2)[0]
    direction = FORM.weights(jax.random.key(11))

    @jax.jit
    def along(size):
        rule = jax.tree.map(lambda w, d: w + size * d, trainer.agent.rule, direction)
        return later_objective(with_rule(trainer, rule), state, jax.random.key(3), updates, penalties)[0]

    with unchecked():
        slope = float(jax.jit(jax.grad(along))(0.0))
        size = 2e-3
        measured = float((along(size) - along(-size)) / (2 * size))
    assert abs(slope) > 1e-3
    assert slope == pytest.approx(measured, rel=0.02, abs=2e-4)


@pytest.mark.slow
def test_rematerialised_train_steps_keep_only_states():
    """More updates add their states, and not what is computed within them, to what the backward pass keeps."""
    trainer = trainer_of(critic=True, form=LPGRule(width=64, bins=3))
    state = trainer.init(jax.random.key(0), 1000)

    def kept(updates):
        def objective(rule):
            return later_objective(with_rule(trainer, rule), state, jax.random.key(3), updates)[0]

        program = jax.jit(jax.grad(objective)).lower(trainer.agent.rule).compile()
        return program.memory_analysis().temp_size_in_bytes

    with unchecked():
        few, many = kept(2), kept(10)
    size = sum(x.nbytes for x in jax.tree.leaves((state.agent, state.collector.episode_return)))
    assert (many - few) / 8 < 4 * size + 2000, (few, many, size)


@pytest.mark.slow
def test_agents_live_their_lives_and_are_followed():
    trainer = trainer_of(critic=True)
    meta = MetaGradient(learning_rate=1e-2, agents=3, updates=2)
    lengths = jnp.array([2, 3, 5])

    def make(weights, task):
        return in_task(with_rule(trainer, weights), task)

    def draw(key):
        key_task, key_length = jax.random.split(key)
        return WORLD.sample_task(key_task), lengths[jax.random.randint(key_length, (), 0, 3)]

    with unchecked():
        state = jax.jit(lambda key: meta.init(trainer.agent.rule, make, draw, key))(jax.random.key(0))
        step = jax.jit(lambda state, key: meta.step(state, make, draw, key))
        for i in range(4):
            before = state
            state, metrics = step(state, jax.random.key(i))
            assert np.isfinite(float(metrics["meta/objective"])) and float(metrics["meta/grad_norm"]) > 0
            done, planned = np.asarray(before.lives.updates.low) + 2, np.asarray(before.lives.horizon)
            over = done >= planned
            np.testing.assert_array_equal(state.lives.updates.low, np.where(over, 0, done))
            assert float(metrics["meta/born"]) == pytest.approx(over.mean())
            same = np.asarray((state.tasks.place == before.tasks.place)[:, 0])
            assert same[~over].all()
    assert not leaves_equal(state.weights, trainer.agent.rule)
