"""Can a judge of steps that can be pleased without success be used, if its scores are shifted by the outcome?"""

from studies.agents import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="ppr-renorm-hybrid-reward",
    title="A judge's scores, shifted by the outcome",
    paper="Xu, Li, Xing, Zhang, Li & Shi 2025, Hybrid Reward Normalization for Process-supervised Non-verifiable Agentic Tasks, "
    "arXiv:2509.25598",
    claim="Process and outcome rewards, both shifted by one half and summed at each step, learn at least as well as outcomes "
    "alone, where the judge's scores by themselves are hacked: high scores, little success.",
    predictions=(
        Prediction("success", "ReNorm", "judge alone", 0.1, "the outcome keeps the judge honest"),
        Prediction("success", "ReNorm", "PPO", -0.02, "at least as good as the outcome alone"),
        Prediction("judge", "judge alone", "ReNorm", 0.0, "the judge alone is hacked"),
    ),
    shown=("judge + outcome",),
    gates=("GRPO learns",),
    minutes=2,
)
