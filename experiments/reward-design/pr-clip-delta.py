"""Do step rewards of a learned judge wreck training, and do bounds on what a trajectory can collect restore it?"""

from studies.steps import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="pr-clip-delta",
    title="Step rewards, clipped and differenced",
    paper="Gao, Xu, Ye, Liu, He, Fu, Mei, Wang & Wu 2024, On Designing Effective RL Reward at Training Time for LLM Reasoning, "
    "arXiv:2410.15115",
    claim="Rewards of a learned judge for every step make a policy repeat harmless steps and forget the answer; clipped so that no "
    "step pays, and differenced so that their sum does not grow with their number, they do no harm or help.",
    predictions=(
        Prediction("steps", "raw", "success only", 1.0, "steps are repeated for their reward"),
        Prediction("pass@1", "Clip-Delta", "raw", 0.1, "bounds restore what raw step rewards wreck"),
        Prediction("pass@1", "Clip-Delta", "success only", -0.01, "and cost nothing beside success alone"),
        Prediction("slope", "raw", 0.3, 0.0, "an idle step more pays"),
        Prediction("slope", 0.01, "Clip-Delta", 0.0, "clipped and differenced it does not"),
    ),
    shown=("Clip", "Delta"),
    gates=("the base has room", "success alone teaches"),
    departures="",
    minutes=10,
)
