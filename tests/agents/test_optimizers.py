"""Optimisers and step sizes that are given from Python: optax's own steps, and schedules over environment steps."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from running import call, failed
from single_steps import BOX, batch, begun, learn
from toy import Clock, context, leaves_equal

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.agents.optimizers import Schedule, rate_now, step_size
from rl_jax.agents.streaming.update import TraceStep
from rl_jax.errors import RLJaxError
from rl_jax.losses.soft_values import choose, soft_value

WARM_UP = optax.linear_schedule(0.0, 0.03, 3)


def close(a, b):
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-5, atol=1e-6), a, b)


@pytest.mark.slow
def test_sac_steps_as_optax_does():
    """Four learning steps by optax alone, on the gradients of the agent's losses: bounds, weight decay and schedule are optax's."""
    chain = optax.chain(optax.clip_by_global_norm(0.5), optax.adamw(WARM_UP, weight_decay=0.1))
    agent, state = begun(rl.agents.sac(hidden=(8,), optimizer=chain))
    got, sample = learn(agent, state, batch(), times=4)[0], batch()
    steps, params, target = jax.tree.map(lambda x: x[0], sample.batch), dict(state.params), state.target

    def policy_of(params):
        return {name: params[name] for name in ("actor", "log_alpha")}

    @jax.jit
    def step(params, target, critic_opt, policy_opt, key):
        alpha, noise = jnp.exp(params["log_alpha"]), jax.random.normal(key, (2, *steps.action.shape))
        choice = choose(agent.actor.apply(params["actor"], steps.next_obs), noise[0])
        q = jnp.min(agent.critics.apply(target, steps.next_obs, choice.action), axis=0)
        value = steps.reward + steps.extras["discount"] * jnp.where(steps.terminated, 0.0, soft_value(q, choice, alpha))
        grads = jax.grad(agent.critic_loss, has_aux=True)(params["critics"], steps, value, 1.0)[0]
        updates, critic_opt = chain.update(grads, critic_opt, params["critics"])
        params = {**params, "critics": optax.apply_updates(params["critics"], updates)}
        of_actor, entropy = jax.grad(agent.actor_loss, has_aux=True)(
            params["actor"], state.replace(params=params), steps.obs, noise[1], alpha
        )
        grads = {"actor": of_actor, "log_alpha": alpha * (entropy + 2.0)}  # the target: minus two elements of an action
        updates, policy_opt = chain.update(grads, policy_opt, policy_of(params))
        params |= optax.apply_updates(policy_of(params), updates)
        return params, optax.incremental_update(params["critics"], target, 0.005), critic_opt, policy_opt

    opts = chain.init(params["critics"]), chain.init(policy_of(params))
    for i in range(4):
        params, target, *opts = step(params, target, *opts, jax.random.key(i))
    close(got.params, params)
    close(got.target, target)
    far = [float(jnp.max(jnp.abs(x - y))) for x, y in zip(*map(jax.tree.leaves, (got.params, state.params)), strict=True)]
    assert min(far) > 0.01


@pytest.mark.slow
def test_td3_and_its_policy_step_as_optax_does():
    """Stochastic gradient descent on the first two critics' steps and the first of the policy."""
    agent, state = begun(rl.agents.td3(hidden=(8,), target_noise=0.0, optimizer=optax.sgd(0.1)))
    steps = jax.tree.map(lambda x: x[0], batch().batch)
    params = dict(state.params)
    for _ in range(2):
        action = agent.actor.apply(state.target["actor"], steps.next_obs)
        q = jnp.min(agent.critics.apply(state.target["critics"], steps.next_obs, action), axis=0)
        value = steps.reward + steps.extras["discount"] * jnp.where(steps.terminated, 0.0, q)
        grads = jax.grad(agent.critic_loss, has_aux=True)(params["critics"], steps, value, 1.0)[0]
        params["critics"] = jax.tree.map(lambda w, g: w - 0.1 * g, params["critics"], grads)
    grads = jax.grad(agent.actor_loss)(params["actor"], params["critics"], steps)
    params["actor"] = jax.tree.map(lambda w, g: w - 0.1 * g, params["actor"], grads)
    close(learn(agent, state, batch(), times=2)[0].params, params)


#: Adds one to every parameter at every step.
COUNT = optax.GradientTransformation(
    lambda params: optax.EmptyState(), lambda grads, state, params: (jax.tree.map(jnp.ones_like, params), state)
)
RUNS = {
    "dqn": dict(
        replay=rl.replay.Buffer(transforms=rl.replay.n_step(1, 0.9), capacity=64, batch_size=4), num_envs=4, rollout_length=1
    ),
    "pqn": dict(experience=rl.experience.gae(), num_envs=4, rollout_length=2),
    "stream-q": dict(num_envs=1, rollout_length=1),
    "stream-ac": dict(num_envs=1, rollout_length=1),
}
MORE = {"pqn": dict(epochs=2, minibatches=2), "stream-q": dict(step_rule="sgd"), "stream-ac": dict(step_rule="sgd")}


@pytest.mark.slow
@pytest.mark.parametrize("name", RUNS)
def test_every_agent_learns_with_what_it_is_given(name):
    """Each parameter, of all networks, by what optax says and nothing else: not the learning rate, not another scale."""
    agent = getattr(rl.agents, name.replace("-", "_"))(hidden=(4,), optimizer=COUNT, **MORE.get(name, {}))
    trainer = rl.Trainer.create(env=Clock(5), agent=agent, **RUNS[name])
    state = trainer.init(jax.random.key(0), 100)
    after = jax.jit(trainer.train_step)(state)[0]
    times = 4.0 if name == "pqn" else 1.0
    close(trainer.params(after), jax.tree.map(lambda x: x + times, trainer.params(state)))


@pytest.mark.parametrize("make", [rl.agents.sac, rl.agents.td3], ids=["sac", "td3"])
def test_a_schedule_is_of_environment_steps(make):
    """Within one train step it is one number: the schedule's at the environment steps before it."""
    names = ["learning_rate", *(["actor_learning_rate"] if make is rl.agents.td3 else [])]
    both, fixed = dict.fromkeys(names, lambda steps: jnp.where(steps < 500.0, 0.0, 0.01)), dict.fromkeys(names, 0.01)
    agent, state = begun(make(hidden=(8,), **both))
    constant = begun(make(hidden=(8,), **fixed))[0]
    assert isinstance(agent.learning_rate, Schedule) and agent.bind(BOX) == agent

    @jax.jit
    def run(agent, steps):
        return agent.learn(state, batch(), context().replace(steps=steps))[0].params

    assert leaves_equal(run(agent, jnp.float32(499.0)), state.params)
    assert leaves_equal(run(agent, jnp.float32(500.0)), run(constant, jnp.float32(0.0)))


def test_a_schedule_is_not_annealed_and_a_number_is_if_asked():
    late = context().replace(steps=jnp.float32(2.0), progress=jnp.float32(0.75))
    assert float(rate_now(Schedule(WARM_UP), late, anneal=True)) == pytest.approx(0.02)
    assert float(rate_now(0.4, late, anneal=True)) == pytest.approx(0.1) and rate_now(0.4, late) == 0.4
    assert step_size("adam", 0.4, late) == 0.4 and step_size(optax.sgd(1.0), 0.4, late, True) == -1.0


RMS = optax.chain(optax.scale_by_rms(0.99), optax.scale(-0.01))


@pytest.mark.parametrize(
    ("ours", "optaxes"), [(("sgd", None), optax.sgd(0.01)), (("adam", None), optax.adam(0.01)), (("sgd", "rmsprop"), RMS)]
)
def test_steps_along_traces(ours, optaxes):
    """Two steps of each rule with a name, and of what optax calls so: both climb the trace times the error."""
    ascent = [(jnp.asarray([1.0, -2.0]), jnp.float32(0.5)), (jnp.asarray([0.3, 0.1]), jnp.float32(-2.0))]
    rules = [
        TraceStep(0.01, 2.0, *ours),
        TraceStep(7.0, 2.0, "sgd", optaxes or optax.chain(optax.scale_by_rms(0.99), optax.scale(-0.01))),
    ]
    moved = []
    for rule in rules:
        w = jnp.asarray([0.2, 0.4])
        state = rule.init(w)
        for grads, delta in ascent:
            w, state, _ = rule.step(w, state, grads, delta, 0.9, jnp.bool_(False))
        moved.append(w)
    np.testing.assert_allclose(*moved, rtol=1e-5)
    assert float(jnp.max(jnp.abs(moved[0] - jnp.asarray([0.2, 0.4])))) > 1e-3


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rl.agents.sac(optimizer=optax.adam(1e-3), learning_rate=1e-3), "learning_rate is of optimizers with a name"),
        (lambda: rl.agents.dqn(optimizer=optax.adam(1e-3), max_grad_norm=1.0), "max_grad_norm is of optimizers with a name"),
        (
            lambda: rl.agents.stream_q(optimizer=optax.adam(1e-3), learning_rate=1.0),
            "learning_rate is of optimizers with a name",
        ),
        (lambda: rl.agents.ppo(learning_rate=WARM_UP, anneal=True), "leave out anneal=True"),
        (lambda: rl.agents.stream_ac(optimizer=optax.sgd(0.1)).bind(stream()), "obgd makes steps of its own.*step_rule='sgd'"),
        (lambda: rl.agents.StreamTD(optimizer="adam").bind(stream()), "obgd makes steps of its own.*step_rule='sgd'"),
        (lambda: rl.agents.stream_ac(optimizer="adam", step_rule="adam").bind(stream()), "adam makes steps of its own"),
        (lambda: rl.agents.sac(optimizer="sgdd").bind(BOX), r"there is no optimizer .*'sgdd': use adam, radam, rmsprop"),
        (lambda: rl.agents.sac(optimizer=optax.adam).bind(BOX), r"such as optax.adam\(3e-4\)"),
        (lambda: rl.agents.td3(learning_rate="1e-3").bind(BOX), "TD3's learning_rate must be a number from 0"),
        (lambda: rl.agents.td3(learning_rate=optax.sgd(0.1)).bind(BOX), "transformations are an optimizer="),
        (lambda: rl.agents.sac(learning_rate=lambda a, b: a).bind(BOX), "cannot be asked for one number of environment steps"),
        (lambda: rl.agents.sac(learning_rate=lambda steps: jnp.ones(3)).bind(BOX), r"returns an array of shape \[3\]"),
    ],
)
def test_what_cannot_step_is_refused_in_one_line(make, words):
    with pytest.raises(RLJaxError, match=words) as refused:
        make()
    assert "\n" not in str(refused.value)


def stream():
    return rl.Spec(BOX.obs_space, BOX.action_space, 1, 1)


@pytest.mark.parametrize("name", [name for name in CONFIGS if not name.startswith("stream") and name != "dac"])
def test_the_command_line_takes_names(name):
    kind = CONFIGS[name]
    assert kind(optimizer="rmsprop").agent().optimizer == "rmsprop"
    assert "adam" in failed(call("train", name, "--optimizer", "sgdd"), "--optimizer")
