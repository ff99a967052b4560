"""Can several updates be made from one batch without a critic, and ratios of which size bear it?"""

from studies.ratios import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="loop-leave-one-out-ppo",
    title="LOOP",
    paper="Chen, Cusumano-Towner, Huval, Petrenko, Hamburger, Koltun & Krahenbuhl 2025, Reinforcement Learning for Long-Horizon "
    "Interactive LLM Agents, arXiv:2502.01600",
    claim="PPO with a leave-one-out baseline and no critic learns long tasks of several turns; ratios clipped per token are "
    "better than ratios per turn and per episode, and advantages are better left undivided.",
    predictions=(
        Prediction("return", "LOOP, token", "LOOP, episode", 0.05, "the product over an episode is clipped too soon"),
        Prediction("return", "LOOP, token", "LOOP, turn", -0.02, "a token is no worse than a turn"),
        Prediction("return", "LOOP, token", "LOOP, divided by the deviation", -0.01, "advantages need no scale"),
        Prediction("return", "LOOP, token", "PPO", 0.0, "a critic learns too slowly"),
    ),
    shown=("RLOO", "GRPO"),
    departures="That one pass makes it RLOO is a unit test: gradients are equal bit for bit.",
)
