"""Does it help to divide the outcome among the steps, by a model whose sum is fitted to it?"""

from studies.agents import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="spa",
    title="Stepwise progress attribution",
    paper="Wang, Leong, Wang, Wang & Li 2025, SPA-RL: Reinforcing LLM Agents via Stepwise Progress Attribution, arXiv:2505.20732",
    claim="Rewards for steps whose sum is fitted to the outcome, with a little for every step that does anything, make PPO learn "
    "faster than the outcome alone or its division into equal parts, and follow the true progress.",
    predictions=(
        Prediction("area", "SPA", "equal parts", 0.03, "steps differ in what they contribute"),
        Prediction("area", "SPA", "PPO", 0.05, "faster than the reward at the end"),
        Prediction("grounded", "SPA", "SPA, not grounded", 0.0, "fewer steps that do nothing"),
        Prediction("progress", "SPA", 0.3, 0.0, "contributions follow the true progress"),
    ),
    shown=("return decomposition",),
    gates=("GRPO learns",),
    minutes=2,
)
