"""Should an agent imitate its own successes, later more than at first, and by how much better they are than what is usual now?"""

from studies.agents import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="spear-curriculum-self-imitation",
    title="A curriculum of self-imitation",
    paper="Qin et al. 2025, Learn the Ropes, Then Trust the Wins: Self-imitation with Progressive Exploration for Agentic "
    "Reinforcement Learning, arXiv:2509.22601",
    claim="Imitating recent successes, more and more as training goes on and with advantages calculated anew, raises success "
    "over GRPO without the collapse of entropy that imitation from the start brings.",
    predictions=(
        Prediction("success", "SPEAR", "GRPO", 0.05, "successes are worth more than one update"),
        Prediction("entropy", "SPEAR", "imitation from the start", 0.0, "imitation that comes later leaves more entropy"),
        Prediction("success", "SPEAR", "SPEAR, advantages as stored", 0.0, "old advantages mislead"),
        Prediction("length", "length reward", "GRPO", 0.0, "the reward for length alone lengthens episodes"),
    ),
    gates=("GRPO learns",),
    departures="GRPO with standard deviations instead of the paper's Dr.BoT, so that imitation alone is compared; no Clip-Cov, "
    "which has nothing to drop where replayed advantages are all equal; 128 of at most 256 stored episodes are replayed "
    "in every train step, where the released code waits until its buffer is full. The reward for length saturates after "
    "ten steps, as in the released code.",
    minutes=2,
)
