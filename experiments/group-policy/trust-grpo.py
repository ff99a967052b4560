"""How far is a judge of the reasoning to be trusted that is wrong about some problems?"""

from studies.trust import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="trust-grpo",
    title="Trust-GRPO: a judge's score, as far as it ranks answers",
    paper="Fan, Feng, Lyu, Zhou & Yue 2025, SophiaVL-R1: Reinforcing MLLMs Reasoning with Thinking Reward, arXiv:2505.17018",
    claim="Paid beside the outcome, a score of the reasoning gives right answers better reasons; weighed by how far it ranks right "
    "answers of a group above wrong ones, it does less harm where the judge is wrong; and faded out it harms least.",
    predictions=(
        Prediction("marked", "trust", "no trust", 0.02, "where the judge is wrong it is trusted less"),
        Prediction("marked", "trust, annealed", "trust", -0.01, "fading costs nothing there"),
        Prediction("valid", "trust, annealed", "outcome only", 0.05, "outcomes alone teach right answers for wrong reasons"),
        Prediction("pass@1", "perfect judge, trust", "perfect judge, no trust", -0.02, "a perfect judge is trusted anyway"),
        Prediction("pass@1", "perfect judge, no trust", "perfect judge, trust", -0.02, "and trust changes nothing"),
    ),
    departures="All answers are scored, as in the paper's equations; the released code scores wrong answers 0 without asking, so "
    "that it always trusts. No divergence from a reference. Scores fade with a time of a third of training, as published. "
    "Rate on tuning seeds 0 and 1, by sampled accuracy of outcomes alone and of the annealed score: 0.63 and 0.63 with "
    "0.0001, 0.70 and 0.73 with 0.0003, 0.77 and 0.78 with 0.0006, which is used. A first world, sums and products of "
    "four digits, was left because its right answers hardly ever had wrong reasons after training (0.96 valid on four "
    "tuning seeds).",
    minutes=8,
)
