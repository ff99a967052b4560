"""Does a band around the entropy's own history help, beyond an entropy bonus?"""

from studies.agents import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="epo-entropy-smoothed-policy-optimisation",
    title="Entropy held near its history",
    paper="Xu et al. 2025, EPO: Entropy-regularized Policy Optimization for LLM Agents Reinforcement Learning, arXiv:2509.22576",
    claim="A penalty on entropies that leave a band around their own history at each turn keeps the entropy steady and raises "
    "success, beyond what an entropy bonus does.",
    predictions=(
        Prediction("success", "bonus, hinge", "bonus", 0.02, "more success than with a bonus alone"),
        Prediction("steadiness", "bonus, hinge", "bonus", 0.0, "and a steadier entropy"),
    ),
    shown=("bonus, constant", "GRPO"),
    departures="The penalty of the released code is a constant outside of the band; its gradient is zero, and a unit test finds "
    "the parameters of 'bonus, constant' equal to those of 'bonus' bit for bit. So the claim is tested with the "
    "distance to the band. Weights of bonus and penalty are 0.01, where the released code has 0.001 and 0.0001, the "
    "band is 0.8 to 1.2; nothing else was tried.",
    minutes=2,
)
