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
    departures="Leave-one-out baselines over groups in place of PPO's critic, and no divergence from a reference. The end of an answer "
    "is no step. Clip's threshold is the mean over the steps of a group. The weight of step rewards and the rate were "
    "chosen on tuning seeds 0 to 3. Sampled accuracy of Clip-Delta with weights of 1, 0.3 and 0.1: 0.20, 0.50 and 0.51; of "
    "raw step rewards 0.00, 0.00 and 0.26; of success alone 0.51 (rate 0.0001: 0.48; 0.0006: 0.46). With 1, Clip-Delta too "
    "writes steps that do no harm in place of results that may be wrong. A judge fitted with false labels from the "
    "beginning hardly told right from wrong (0.68 and 0.41 on one seed), and is fitted to true ones first.",
    minutes=8,
)
