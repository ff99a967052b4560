"""Credit over many steps: one reward at the end of a walk, and seven ways to say which steps it is owed to."""

from functools import partial
from typing import Any

from studies.agents_walk import GRPO, HORIZON, LAST, NOISY, RLOO, SIZE, UNSEEN, TrueProgress, Walked, critic, network, trainer

from rl_jax.envs.grid.walk import ACTIONS
from rl_jax.ideas.group_policy.epo_entropy_smoothed_policy_optimisation import EntropyBand, entropy_history
from rl_jax.ideas.group_policy.gigpo import gigpo
from rl_jax.ideas.replay.spear_curriculum_self_imitation import LengthReward, SelfImitation, self_imitation_buffer
from rl_jax.ideas.reward_design.oprl_istar_implicit_step_reward import implicit_step_reward, step_advantage
from rl_jax.ideas.reward_design.ppr_renorm_hybrid_reward import HybridReward
from rl_jax.ideas.reward_design.spa import stepwise_progress, uniform_progress
from rl_jax.run.claims import Axes, Gate, Study

UPDATES = 80
STEPS = UPDATES * 16 * SIZE * HORIZON
RATE = 1e-3
LOOKED = (*LAST.values(), "look/advantage")


def arm(*advantage: Any, more: tuple[str, ...] = (), rate: float = RATE, **options: Any) -> Walked:
    """One way to make advantages."""
    made = partial(trainer, advantage=advantage, rate=rate, **options)
    return Walked(made, STEPS, 2 * 4 * SIZE * HORIZON, lambda *_: {}, (*LOOKED, *more), rows=40)


def banded(hinge: bool, weight: float) -> Walked:
    """GRPO with an entropy bonus and a band."""
    options: dict[str, Any] = {"terms": {"band": EntropyBand(LOW, HIGH, ALPHA, hinge)}, "weights": {"band": weight}}
    return arm(*GRPO, entropy_history(), more=("epo/outside",), bonus=BONUS, **options)


def imitating(*before: Any, **options: Any) -> Walked:
    """GRPO with replayed successes."""
    buffer = self_imitation_buffer(SIZE, capacity=256, **options)
    return arm(*before, *GRPO, buffer, terms={"imitation": SelfImitation()}, weights={"imitation": 1.0})


def implicit(until: float = float("inf"), **options: Any) -> Walked:
    """RLOO with implicit step rewards."""
    rewards = implicit_step_reward(network, SIZE, learning_rate=2 * RATE, passes=2, until=until)
    return arm(*RLOO, rewards, step_advantage(SIZE, STEP_WEIGHT), more=("look/step_reward",), **options)


def attributed(**options: Any) -> Walked:
    """PPO on attributed progress."""
    return arm(stepwise_progress(ACTIONS, **options), *critic(1.0), value=True, more=("look/progress",))


def judged(reward: HybridReward) -> Walked:
    """PPO on a judge's scores."""
    return arm(reward, *critic(), value=True)


BONUS, LOW, HIGH, ALPHA = 0.01, 0.8, 1.2, 1.0
STEP_WEIGHT = 1.0
#: Of the judge's scores: returns of 40 steps are then of the size of the outcome's.
UNIT = 1 / HORIZON

GIGPO = (*GRPO, gigpo(SIZE, scale="std"))
ARMS = {
    "GRPO": arm(*GRPO),
    "RLOO": arm(*RLOO),
    "PPO": judged(HybridReward(0.0, 0.0, 0.0, 1.0)),
    "GiGPO": arm(*GIGPO),
    "GiGPO, steps alone": arm(*GRPO, gigpo(SIZE, episode=0.0, scale="std")),
    "GiGPO, no place twice": arm(*GIGPO, task=UNSEEN),
    "bonus": banded(False, 0.0),
    "bonus, constant": banded(False, BONUS),
    "bonus, hinge": banded(True, BONUS),
    "imitation from the start": imitating(LengthReward(rate=0.0), up=0.0),
    "SPEAR": imitating(LengthReward()),
    "SPEAR, advantages as stored": imitating(LengthReward(), recalibrate=False),
    "length reward": imitating(LengthReward(down=0.0), coefficient=0.0),
    "iStar": implicit(),
    "iStar, frozen": implicit(until=UPDATES // 8),
    "true progress": arm(*RLOO, TrueProgress(), step_advantage(SIZE, STEP_WEIGHT), more=("look/step_reward",)),
    "RLOO, noisy": arm(*RLOO, task=NOISY),
    "iStar, noisy": implicit(task=NOISY),
    "SPA": attributed(),
    "SPA, not grounded": attributed(beta=0.0),
    "equal parts": arm(uniform_progress(), *critic(1.0), value=True),
    "return decomposition": attributed(beta=0.0, share=0.25),
    "judge alone": judged(HybridReward(UNIT, 0.0, 0.0)),
    "judge + outcome": judged(HybridReward(UNIT, 0.0, 0.0, 1.0)),
    "ReNorm": judged(HybridReward(UNIT, UNIT, -UNIT)),
}

STUDY = Study(
    name="agents",
    environment="grid/walk: four rooms of 5 x 5, new for every group of 8 episodes; a key, a locked door, a goal behind it; 40 "
    "steps; reward 1 at the goal. Three quarters of the episodes begin with the key or with the door open. One action in ten is "
    "replaced by a random one. 16 groups in each of 80 train steps, two layers of 64.",
    arms=ARMS,
    measures={
        "success": "share of episodes that reach the goal, sampled, last tenth of training",
        "area": "the same, mean over training",
        "correlation": "of the advantage with the exact one of the acting policy, mean over training",
        "step_reward": "correlation of the implicit step reward with the exact advantage, mean over training",
        "step_reward gain": "the same, last third of training minus first third",
        "progress": "correlation of the attributed contribution with the true progress, mean over training",
        "entropy": "of the policy, nats, last tenth",
        "steadiness": "minus the mean change of the entropy from row to row, second half of training",
        "outside": "share of steps whose entropy is outside of the band",
        "grounded": "share of steps that did anything, last tenth",
        "judge": "the judge's mean score of a step, last tenth",
        "length": "steps of an episode, last tenth",
    },
    curves={"episode/success": Axes("environment steps", "share of episodes that reach the goal")},
    gates=(
        Gate("GRPO learns", "success", "GRPO", 0.3, 0.97),
        Gate("the entropy leaves the band", "outside", "bonus", 0.02),
    ),
    seeds=tuple(range(100, 112)),
    tuning_seeds=tuple(range(12)),
    paired=True,
    minutes=8,
)
