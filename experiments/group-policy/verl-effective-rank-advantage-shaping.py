"""Do bonuses by the effective rank of hidden states help, and more than random bonuses of the same size?"""

from studies.answers import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="verl-effective-rank-advantage-shaping",
    title="VERL: advantages shaped by effective rank",
    paper="Huang, Huang, Fan, He, Liang, Chen, Jiang, Khan, Jiang & Wang 2025, Beyond the Exploration-Exploitation Trade-off: "
    "A Hidden State Approach for LLM Reasoning in RLVR, arXiv:2509.23808",
    claim="The effective rank of hidden states along an answer and its velocity are nearly uncorrelated, and a bounded bonus "
    "that mixes both improves on GRPO.",
    predictions=(
        Prediction("pass@1", "VERL", "VERL, shuffled", 0.0, "the ranks mean something: random bonuses do less"),
        Prediction("pass@1", "VERL", "long GRPO", -0.02, "no worse than GRPO"),
        Prediction("rank/decoupled", "VERL", 0.7, 0.0, "rank and velocity are nearly uncorrelated"),
    ),
    gates=("the long base is neither lost nor done", "GRPO learns long answers"),
    departures="Answers have six tokens where the paper's have thousands, so that prefixes grow by one token (40 in the paper) "
    "and ranks are at most five.",
    minutes=5,
)
