"""LPG: the update against its equation, what the rule is told and when, and the world that its tasks are drawn from."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from toy import border, context, rollout_of

import rl_jax as rl
from rl_jax.envs.grid import Objects, ObjectsParams
from rl_jax.errors import RLJaxError, UnsupportedSpace
from rl_jax.ideas.meta_rl._lpg_networks import Experienced, LPGRule, Readout
from rl_jax.ideas.meta_rl.ta_lpg import LPG
from rl_jax.meta.meta_gradient import PENALTIES
from rl_jax.spaces import Box, Discrete
from rl_jax.types import Sample, Spec

FORM = LPGRule(width=6, bins=3, embedding=4)
WIDE = LPGRule(width=32, bins=3)  # wide enough that some unit always passes a difference on
SPEC = Spec(Discrete(4), Discrete(3), 2, 5)


def constant(form, pi_hat, logits):
    """Weights of a rule that says the same whatever it sees."""
    weights = jax.tree.map(jnp.zeros_like, form.weights(jax.random.key(0)))
    params = dict(weights["params"])
    params["pi_hat"] = {**params["pi_hat"], "bias": jnp.array([pi_hat], jnp.float32)}
    params["y_hat"] = {**params["y_hat"], "bias": jnp.asarray(logits, jnp.float32)}
    return {"params": params}


def steps(seed=0, terminated=None, truncated=None, reward=None, spec=SPEC):
    """A rollout ``[5, 2]`` in a world of four observations and three actions."""
    keys = jax.random.split(jax.random.key(seed), 4)
    shape = (spec.rollout_length, spec.num_envs)
    reward = jax.random.normal(keys[0], shape) if reward is None else reward
    obs, following = (jax.random.randint(k, shape, 0, 4, jnp.int32) for k in keys[1:3])
    made = rollout_of(reward, terminated, truncated, obs=obs, next_obs=following, last=border(following[-1]))
    return made.replace(action=jax.random.randint(keys[3], shape, 0, 3, jnp.int32))


def moment(progress=0.25, horizon=40.0):
    return context(progress=progress).replace(horizon=jnp.float32(horizon))


def agent_of(rule=None, form=FORM, spec=SPEC, **options):
    return LPG(form.weights(jax.random.key(1)) if rule is None else rule, form=form, **options).bind(spec)


def moved(state, seed=5, scale=1.0):
    """The agent somewhere in its life: tables that are not zero."""
    leaves, treedef = jax.tree.flatten(state)
    keys = jax.random.split(jax.random.key(seed), len(leaves))
    return jax.tree.unflatten(treedef, [x + scale * jax.random.normal(keys[i], x.shape) for i, x in enumerate(leaves)])


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


# The update.


@pytest.mark.slow
def test_the_update_under_a_constant_rule_is_minus_the_gradient_of_the_loss():
    """``d log softmax = onehot - p``; ``d KL(y || q) = y (log(y/q) - KL)`` in the logits of ``y``. All by hand."""
    pi_hat, logits = 0.7, np.array([0.5, -1.0, 0.2])
    options = {"policy_rate": 2.0, "prediction_rate": 3.0, "target_weight": 0.4, "max_grad_norm": 1e6}
    agent = agent_of(constant(FORM, pi_hat, logits), **options)
    state, batch = moved(agent.init(jax.random.key(0), SPEC)), steps()
    after, metrics, priorities = jax.jit(agent.learn)(state, Sample(batch, None, None), moment())
    assert priorities is None

    tables = {name: np.asarray(state.params[name]["params"]["table"], np.float64) for name in ("policy", "prediction")}
    gradients = {name: np.zeros_like(table) for name, table in tables.items()}
    target, count, entropy = softmax(logits), batch.reward.size, 0.0
    for s, a in zip(np.asarray(batch.obs).ravel(), np.asarray(batch.action).ravel(), strict=True):
        p, y = softmax(tables["policy"][s]), softmax(tables["prediction"][s])
        entropy -= np.sum(p * np.log(p)) / count
        gradients["policy"][s] -= pi_hat * (np.eye(3)[a] - p) / count
        ratio = np.log(y / target)
        gradients["prediction"][s] += 0.4 * y * (ratio - np.sum(y * ratio)) / count
    for name, rate in (("policy", 2.0), ("prediction", 3.0)):
        change = np.asarray(after.params[name]["params"]["table"]) - tables[name]
        np.testing.assert_allclose(change, -rate * gradients[name], atol=1e-5)
    assert float(metrics["policy/entropy"]) == pytest.approx(entropy, rel=1e-4)
    # What a meta-gradient is penalised for: the entropies of the updated tables, which depend on the rule, on the same observations.
    for part, name in (("policy", "lpg/policy_entropy"), ("prediction", "lpg/prediction_entropy")):
        chance = softmax(np.asarray(after.params[part]["params"]["table"], np.float64)[np.asarray(batch.obs)])
        assert float(metrics[name]) == pytest.approx(-np.mean(np.sum(chance * np.log(chance), axis=-1)), rel=1e-4)
        assert name in PENALTIES
    assert float(metrics["lpg/pi_hat_squared"]) == pytest.approx(pi_hat**2, rel=1e-5)
    assert float(metrics["lpg/y_hat_squared"]) == pytest.approx(np.sum(target**2), rel=1e-5)


def test_each_gradient_is_bounded_by_itself():
    agent = agent_of(constant(FORM, 50.0, np.array([9.0, 0.0, 0.0])), policy_rate=1.0, prediction_rate=1.0, max_grad_norm=0.01)
    state = moved(agent.init(jax.random.key(0), SPEC))
    after, metrics, _ = jax.jit(agent.learn)(state, Sample(steps(), None, None), moment())
    for name in state.params:
        change = after.params[name]["params"]["table"] - state.params[name]["params"]["table"]
        assert float(jnp.linalg.norm(change)) == pytest.approx(0.01, rel=1e-3)
    assert float(metrics["policy/kl"]) > 0


@pytest.mark.slow
def test_the_rule_is_a_leaf_that_can_be_vmapped_over():
    agent = agent_of()
    state, batch = agent.init(jax.random.key(0), SPEC), steps()
    rules = jax.vmap(FORM.weights)(jax.random.split(jax.random.key(3), 4))

    @jax.jit
    def learned(rule):
        return agent.replace(rule=rule).learn(state, Sample(batch, None, None), moment())[0].params["policy"]

    tables = jax.jit(jax.vmap(learned))(rules)["params"]["table"]
    for i in range(4):
        alone = learned(jax.tree.map(lambda x, i=i: x[i], rules))["params"]["table"]
        np.testing.assert_allclose(tables[i], alone, atol=1e-5)
    assert float(jnp.abs(tables[0] - tables[1]).max()) > 1e-3


@pytest.mark.slow
def test_the_critic_moves_towards_its_target_and_nothing_else_does():
    form = FORM
    agent = agent_of(constant(form, 0.0, np.zeros(3)), form=form, critic=True, critic_rate=1.0, max_grad_norm=1e6)
    state, batch = agent.init(jax.random.key(0), SPEC), steps()
    with pytest.raises(RLJaxError, match="gae"):
        agent.learn(state, Sample(batch, None, None), moment())
    target = batch.reward * 2
    after, _, _ = jax.jit(agent.learn)(state, Sample(batch.with_extras(value_target=target), None, None), moment())
    expected = np.zeros(4)
    np.add.at(expected, np.asarray(batch.obs).ravel(), np.asarray(target).ravel() / target.size)
    np.testing.assert_allclose(after.params["critic"]["params"]["table"][:, 0], expected, atol=1e-5)
    np.testing.assert_allclose(after.params["policy"]["params"]["table"], 0.0, atol=1e-6)
    values = agent.value(after, (), jnp.arange(4), jnp.zeros(4, bool))
    np.testing.assert_allclose(values, expected, atol=1e-5)
    _, _, extras = agent.act(after, (), jnp.arange(4), jnp.zeros(4, bool), jax.random.key(0))
    np.testing.assert_allclose(extras["value"], expected, atol=1e-5)


# What the rule sees.


def said(batch, form=WIDE, seed=1, **when):
    agent = agent_of(moved(form.weights(jax.random.key(seed)), scale=0.2), form=form)
    state = moved(agent.init(jax.random.key(0), SPEC))
    return jax.jit(agent.advice)(state.params, batch, moment(**when))


def differs(one, other):
    """Where ``[T, N]`` anything that the rule said differs."""
    pi, y = (np.abs(np.asarray(a - b)) > 1e-6 for a, b in zip(one, other, strict=True))
    return pi | y.any(-1)


@pytest.mark.slow
def test_the_rule_reads_backwards():
    batch = steps()
    other = batch.replace(reward=batch.reward.at[3, 0].add(1.0))
    changed = differs(said(batch), said(other))
    assert changed[:4, 0].all() and not changed[4].any() and not changed[:, 1].any()


@pytest.mark.parametrize("end", ["terminated", "truncated"])
def test_nothing_leaks_from_one_episode_into_the_one_before(end):
    flags = jnp.zeros((5, 2), bool).at[1, 0].set(True)
    batch = steps(**{end: flags})
    other = batch.replace(
        reward=batch.reward.at[2:, 0].add(1.0), obs=batch.obs.at[2:, 0].set(3), action=batch.action.at[2:, 0].set(2)
    )
    changed = differs(said(batch), said(other))
    assert changed[2:, 0].any() and not changed[:2, 0].any() and not changed[:, 1].any()


@pytest.mark.slow
def test_what_follows_a_termination_is_erased_and_what_a_time_limit_cut_off_is_not():
    flags = jnp.zeros((5, 2), bool).at[1, 0].set(True)
    for end, seen in (("terminated", False), ("truncated", True)):
        batch = steps(**{end: flags})
        other = batch.replace(next_obs=batch.next_obs.at[1, 0].set((batch.next_obs[1, 0] + 1) % 4))
        assert differs(said(batch), said(other))[:2, 0].all() == seen
        assert not differs(said(batch), said(other))[2:].any()
    ended, cut = said(steps(terminated=flags)), said(steps(truncated=flags))
    assert differs(ended, cut)[:2, 0].all(), "the rule is told which end it was"


@pytest.mark.slow
@pytest.mark.parametrize("aware", [True, False])
def test_time_is_told_only_if_asked_for(aware):
    form = LPGRule(width=32, bins=3, time_aware=aware)
    batch = steps()
    first = said(batch, form, progress=0.1, horizon=10.0)
    assert differs(first, said(batch, form, progress=0.9, horizon=10.0)).all() == aware
    assert differs(first, said(batch, form, progress=0.1, horizon=100.0)).all() == aware
    if not aware:
        assert not differs(first, said(batch, form, progress=0.9, horizon=99.0)).any()
    kernel = form.weights(jax.random.key(0))["params"]["memory"]["input"]["kernel"]
    assert len(kernel) == (7 if aware else 5)
    assert (jnp.abs(kernel).sum(axis=1) > 0).tolist() == [True] * 5 + [False, False] * int(aware), "time means nothing yet"


@pytest.mark.slow
def test_the_rule_against_its_equations_in_numpy():
    weights = FORM.weights(jax.random.key(2))
    weights = jax.tree.map(lambda x: x + 0.1 * jax.random.normal(jax.random.key(9), x.shape), weights)
    rng = np.random.default_rng(0)
    T, N = 4, 2
    y = softmax(rng.normal(size=(2, T, N, 3))).astype(np.float32)
    terminated, truncated = np.zeros((T, N), bool), np.zeros((T, N), bool)
    terminated[1, 0] = truncated[2, 1] = True
    reward, chance = rng.normal(size=(T, N)).astype(np.float32), rng.uniform(size=(T, N)).astype(np.float32)
    seen = Experienced(reward, terminated, terminated | truncated, chance, y[0], y[1], jnp.float32(0.25), jnp.float32(100.0))
    pi_hat, logits = FORM.apply(weights, seen)

    p = jax.tree.map(np.asarray, weights["params"])

    def dense(layer, x):
        return x @ layer["kernel"] + layer["bias"]

    def phi(y):
        return dense(p["phi"], np.maximum(dense(p["phi_hidden"]["Dense_0"], y), 0))[0]

    def sigmoid(x):
        return 1 / (1 + np.exp(-x))

    gru = p["memory"]
    for n in range(N):
        h = np.zeros(6)
        for t in reversed(range(T)):
            if terminated[t, n] or truncated[t, n]:
                h = np.zeros(6)
            after = 0.0 if terminated[t, n] else phi(y[1, t, n])
            x = np.array([reward[t, n], terminated[t, n], chance[t, n], phi(y[0, t, n]), after, 0.25, 2.0])
            r, u, c = np.split(dense(gru["input"], x), 3)
            hr, hu, hc = np.split(h @ gru["recurrent"], 3)
            r, u = sigmoid(r + hr), sigmoid(u + hu)
            h = (1 - u) * np.tanh(c + r * (hc + gru["candidate_bias"])) + u * h
            out = np.maximum(h, 0)
            np.testing.assert_allclose(pi_hat[t, n], dense(p["pi_hat"], out)[0], atol=1e-5)
            np.testing.assert_allclose(logits[t, n], dense(p["y_hat"], out), atol=1e-5)


# In the loop.


@pytest.mark.slow
def test_progress_and_horizon_reach_the_rule_in_a_run():
    """The same run planned longer learns otherwise if the rule is told, and the same if not."""
    for aware in (True, False):
        form = LPGRule(width=4, bins=3, time_aware=aware)
        agent = LPG(moved(form.weights(jax.random.key(0))), form=form)
        trainer = rl.Trainer.create(env=Objects(3, 1, 6), agent=agent, num_envs=2, rollout_length=4)
        tables = [
            trainer.advance(trainer.init(jax.random.key(1), 8 * n), 2)[0].agent.params["policy"]["params"]["table"]
            for n in (2, 50)
        ]
        assert bool(jnp.array_equal(*tables)) != aware


@pytest.mark.slow
def test_vectors_hidden_layers_and_other_actions():
    form = LPGRule(width=4, bins=3)
    agent = LPG(form.weights(jax.random.key(0)), form=form, hidden=(8,), policy_rate=0.1)
    trainer = rl.Trainer.create(env=rl.make("CartPole-v1"), agent=agent, num_envs=2, rollout_length=4)
    _, rows = trainer.train(jax.random.key(0), 24, 2)
    assert np.isfinite(rows["policy/entropy"]).all()
    with pytest.raises(UnsupportedSpace):
        rl.Trainer.create(env=rl.make("Pendulum-v1"), agent=agent)
    sample = Sample(steps(), None, jnp.zeros(10, jnp.int32))
    with pytest.raises(RLJaxError, match="leave out replay"):
        agent_of().learn(agent_of().init(jax.random.key(0), SPEC), sample, moment())


def test_a_table_is_looked_up_or_summed():
    table = {"params": {"table": jax.random.normal(jax.random.key(0), (4, 2))}}
    numbers = Readout(Discrete(4), 2).apply(table, jnp.array([[3, 1]]))
    vectors = Readout(Box.of(0, 1, (4,)), 2).apply(table, jax.nn.one_hot(jnp.array([[3, 1]]), 4))
    np.testing.assert_allclose(numbers, table["params"]["table"][jnp.array([[3, 1]])])
    np.testing.assert_allclose(vectors, numbers, atol=1e-6)
    assert float(jnp.abs(Readout(Discrete(4), 2, (8,)).init_with_output(jax.random.key(1), jnp.array([2]))[0]).max()) == 0


# The world.

UP, RIGHT, DOWN, LEFT = 1, 2, 3, 4


def walk(env, task, actions, seed=0):
    state, obs = env.reset(jax.random.key(seed), task)
    out = []
    for i, action in enumerate(actions):
        step = env.step(jax.random.key(seed + 1 + i), state, jnp.int32(action), task)
        state = step.state
        out.append(step)
    return obs, out


def test_objects_pay_once_and_are_seen():
    env = Objects(size=3, objects=2)
    never, always = jnp.zeros(2, jnp.float32), jnp.array([0.0, 1.0], jnp.float32)
    task = ObjectsParams(jnp.int32(0), jnp.array([1, 4]), jnp.array([0.5, -1.0]), always, never)
    obs, out = walk(env, task, [RIGHT, LEFT, RIGHT, 0, UP, DOWN])
    assert int(obs) == 0 + 9 * 3
    assert [int(s.obs) for s in out] == [1 + 9 * 2, 0 + 9 * 2, 1 + 9 * 2, 1 + 9 * 2, 1 + 9 * 2, 4 + 0]
    assert [float(s.reward) for s in out] == [0.5, 0, 0, 0, 0, -1.0]
    assert [bool(s.terminated) for s in out] == [False] * 5 + [True]
    assert [bool(s.info["success"]) for s in out] == [True] + [False] * 5


@pytest.mark.slow
def test_objects_come_back_at_their_rate():
    env = Objects(size=2, objects=1)
    task = ObjectsParams(jnp.int32(0), jnp.array([1]), jnp.ones(1), jnp.full(1, 0.3), jnp.full(1, 0.2))

    def one(key):
        keys = jax.random.split(key, 3)
        state, _ = env.reset(keys[2], task)
        taken = env.step(keys[0], state, jnp.int32(RIGHT), task)
        after = env.step(keys[1], taken.state, jnp.int32(0), task)
        return taken.terminated, taken.state.there[0], after.state.there[0], after.reward

    ended, there, back, reward = jax.vmap(one)(jax.random.split(jax.random.key(0), 4000))
    assert abs(ended.mean() - 0.3) < 0.03 and not there.any() and abs(back.mean() - 0.2) < 0.03 and not reward.any()


@pytest.mark.slow
def test_tasks_are_drawn_from_the_family():
    env = Objects(size=4, objects=3)
    tasks = jax.vmap(env.sample_task)(jax.random.split(jax.random.key(0), 2000))
    cells = np.concatenate([np.asarray(tasks.start)[:, None], np.asarray(tasks.place)], axis=1)
    assert all(len(set(row)) == 4 for row in cells) and cells.min() == 0 and cells.max() == 15
    assert np.bincount(cells[:, 1]).min() > 80
    assert float(tasks.reward[:, 0].min()) >= 0 and float(tasks.reward[:, 1:].min()) < -0.9 and float(tasks.reward.max()) > 0.9
    for values, low, high in ((tasks.ends, 0.01, 1.0), (tasks.returns, 0.001, 0.1)):
        assert low <= float(values.min()) and float(values.max()) <= high
        assert abs(float(jnp.mean(jnp.log10(values))) - np.log10(low * high) / 2) < 0.03
    with pytest.raises(RLJaxError, match="holds from 1 to 3"):
        Objects(size=2, objects=4)


def test_an_untrained_agent_is_uniform():
    agent = agent_of()
    state = agent.init(jax.random.key(0), SPEC)
    obs = jnp.zeros(3000, jnp.int32)
    _, action, extras = agent.act(state, (), obs, jnp.zeros(3000, bool), jax.random.key(0))
    assert np.bincount(np.asarray(action), minlength=3).min() > 900
    np.testing.assert_allclose(extras["log_prob"], np.log(1 / 3), atol=1e-5)
