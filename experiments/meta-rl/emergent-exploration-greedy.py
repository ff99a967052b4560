"""Does a learner that is only ever paid for reward explore, and what does it need for that?"""

from functools import partial

import jax
import jax.numpy as jnp

import rl_jax as rl
from rl_jax.agents.configs import PQNConfig
from rl_jax.envs import Bandit, Trial
from rl_jax.run.claims import Axes, Outcome, Prediction, Recipe, Trained, Work, answered

PULLS, EARLY, SAFE, GOOD = 20, 5, 0.4, 0.9
COSTLY = Bandit(arms=5, safe=SAFE, good=GOOD)
EQUAL = Bandit(arms=4, good=GOOD)


def trainer(quick: bool, bandit: Bandit, redraw: float = 0.0, memory: bool = True, gamma_trial: float = 0.99) -> rl.Trainer:
    """Recurrent Q-learning on trials of a bandit."""
    env = Trial(bandit, episodes=PULLS, feedback=memory, redraw=redraw)
    config = PQNConfig(
        num_envs=8 if quick else 128,
        rollout_length=PULLS,
        minibatches=4,
        memory="gru" if memory else "none",
        memory_width=64,
        hidden=(64,),
        learning_rate=1e-3,
        epsilon_steps=200_000,
        epsilon_end=0.05,
    )
    made = config.trainer(env)
    return made.replace(experience=rl.chain(rl.experience.trial_gae(gamma_trial=gamma_trial, lam=0.5)))


def look(trainer: rl.Trainer, state: rl.TrainState, key: jax.Array) -> dict[str, jax.Array]:
    """What the greedy policy does in 512 trials."""
    played = rl.play(trainer, state, key, 512, PULLS)
    return measures(played.action, played.reward, trainer.env.inner)


def measures(action: jax.Array, reward: jax.Array, bandit: Bandit) -> dict[str, jax.Array]:
    """Of actions and rewards ``[PULLS, trials]``: which pulls could only pay by what they teach, and what was earned."""
    chosen = jax.nn.one_hot(action, bandit.arms, dtype=jnp.float32)
    before = jnp.cumsum(chosen, axis=0) - chosen
    untried = jnp.sum(chosen * (before == 0), axis=-1)
    if bandit.safe is not None:  # its payment is known: pulling it teaches nothing
        untried = untried * (action != 0)
    curve = jnp.mean(untried, axis=1)
    return {
        "exploration": jnp.mean(curve[:EARLY]),
        "return": jnp.mean(reward),
        "untried": curve,
        "reward": jnp.mean(reward, axis=1),
    }


def thompson(work: Work, bandit: Bandit) -> Outcome:
    """Thompson sampling with the right prior: draw which arm is the good one from the posterior, and pull it."""
    hidden = jnp.arange(bandit.arms) >= (0 if bandit.safe is None else 1)

    def pull(carry: tuple, key: jax.Array) -> tuple:
        evidence, means = carry
        key_draw, key_pay = jax.random.split(key)
        action = jax.random.categorical(key_draw, jnp.where(hidden, evidence, -jnp.inf))
        reward = bandit.step(key_pay, None, action, means).reward
        # A win speaks for this arm by good / (1 - good), a loss against it by as much.
        weight = jnp.log(bandit.good / (1 - bandit.good)) * (2 * reward - 1)
        return (evidence + weight * jax.nn.one_hot(action, bandit.arms), means), (action, reward)

    def trial(key: jax.Array) -> tuple:
        key_task, key_pulls = jax.random.split(key)
        start = (jnp.zeros((bandit.arms,)), bandit.sample_task(key_task))
        return jax.lax.scan(pull, start, jax.random.split(key_pulls, PULLS))[1]

    @jax.jit
    def run(seed: jax.Array) -> dict[str, jax.Array]:
        action, reward = jax.vmap(trial, out_axes=1)(jax.random.split(jax.random.key(seed), 512))
        return measures(action, reward, bandit)

    return answered(run, work.seeds)


def arm(bandit: Bandit = COSTLY, **options: object) -> Trained:
    """Trained on trials of ``bandit``, then looked at."""
    return Trained(partial(trainer, bandit=bandit, **options), steps=800_000, quick_steps=1024, question=look)


FULL, NO_CREDIT = "structure and memory", "no long-horizon credit"
RECIPE = Recipe(
    slug="emergent-exploration-greedy",
    title="Exploration emerges from reward alone",
    paper="Rentschler & Roberts 2025, Exploitation Is All You Need... for Exploration, arXiv:2508.01287",
    claim="An agent that is trained on reward alone, without any bonus, and acts greedily, explores if tasks recur and it "
    "remembers; it does not if either is missing.",
    environment=f"Bernoulli bandits, {PULLS} pulls of one hidden task: of four arms one, each with the same chance, pays with "
    f"probability {GOOD} and the others with {1 - GOOD:.1f}; a fifth, known arm always pays {SAFE}. So every pull of an untried arm "
    "costs 0.1 at once and pays only by what it teaches. Beside it the same without the known arm.",
    arms={
        FULL: arm(),
        "no structure": arm(redraw=1.0),
        "no memory": arm(memory=False),
        NO_CREDIT: arm(gamma_trial=0.0),
        "Thompson sampling": partial(thompson, bandit=COSTLY),
        "equal arms": arm(EQUAL),
        "equal arms, no credit": arm(EQUAL, gamma_trial=0.0),
        "equal arms, no memory": arm(EQUAL, memory=False),
        "equal arms, Thompson": partial(thompson, bandit=EQUAL),
    },
    measures={
        "exploration": f"share of the first {EARLY} pulls that go to an arm never tried before",
        "return": "reward per pull of the greedy policy",
    },
    predictions=(
        Prediction("exploration", FULL, "no structure", 0.1, "information is worthless if the task changes with every pull"),
        Prediction("exploration", FULL, "no memory", 0.1, "information is worthless if it is forgotten"),
        Prediction("exploration", 0.05, "no structure", 0.0, "without recurrence nothing is explored"),
        Prediction("exploration", 0.05, "no memory", 0.0, "without a memory nothing is explored"),
        Prediction("return", FULL, SAFE, 0.0, "exploration pays: more than the best that is known beforehand"),
    ),
    curves={
        "untried": Axes("pull of the trial", "share of pulls to an untried arm"),
        "reward": Axes("pull of the trial", "reward"),
    },
    departures="Q-learning (PQN) with a GRU where the paper trains a transformer by Q-learning; while training it acts "
    "at random at first, and in one step of twenty after the first quarter; what is measured acts greedily. The arm without "
    "long-horizon credit is reported as found and is not part of the verdict, as the paper finds that it need not matter: with "
    "equal arms trying an unknown one costs nothing, with a known arm it does.",
    minutes=10,
)
