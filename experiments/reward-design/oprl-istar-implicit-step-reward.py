"""Can preferences between whole episodes say what each step was worth?"""

from studies.agents import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="oprl-istar-implicit-step-reward",
    title="Implicit step rewards",
    paper="Liu, Wang, Wu, Huang, Li, Zhang & Jiao 2025, Agentic Reinforcement Learning with Implicit Step Rewards, "
    "arXiv:2509.19199, ICLR 2026",
    claim="A second policy network, fitted in turn with the policy to which episodes of a group ended better, gives step rewards "
    "that make learning faster than outcomes alone, also where outcomes are noisy.",
    predictions=(
        Prediction("area", "iStar", "RLOO", 0.03, "faster than outcomes alone"),
        Prediction("area", "iStar", "iStar, frozen", 0.0, "the model must keep learning with the policy"),
        Prediction("step_reward gain", "iStar", 0.0, 0.0, "step rewards come nearer to exact advantages"),
        Prediction("area", "iStar, noisy", "RLOO, noisy", 0.0, "also with outcomes that are wrong in one of five"),
    ),
    shown=("true progress", "GiGPO"),
    gates=("GRPO learns",),
    minutes=2,
)
