"""Do earlier answers speed learning up at first, and does a fresh start midway keep what they cost from the end?"""

from studies.stale import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="remix",
    title="ReMix",
    paper="Liang, Tang, Ma, Liu, Zheng, Hu, Bai & Hao 2025, Squeeze the Soaked Sponge: Efficient Off-policy Reinforcement Finetuning "
    "for Large Language Model, arXiv:2507.06892",
    claim="Mixing answers of the last policies into the batch and learning from it twice, clipped around the present policy and "
    "held near base and last policy, is ahead early; renewing the base midway and going on with fresh answers alone is "
    "ahead at the end.",
    predictions=(
        Prediction("early", "Mix-PPG", "GRPO", 0.03, "earlier answers and more updates are faster at first"),
        Prediction("pass@1", "ReMix", "Mix-PPG", 0.01, "fresh answers converge better"),
        Prediction("pass@1", "ReMix", "GRPO", -0.02, "and nothing is lost"),
        Prediction("pass@1", "GRPO", "8 naive passes", 0.0, "unbounded reuse destroys"),
    ),
    shown=("naive replay",),
    departures="The weight of the constraint is not in what could be read of the paper. The divergences are exact sums over the "
    "vocabulary. Group advantages of earlier answers stay those of their own group.",
)
