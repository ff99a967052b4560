"""Is cloning of right answers enough, do reshaped wrong ones add to it, and does a model of outcomes find the tokens that matter?"""

from studies.answers import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="oreal",
    title="OREAL: right answers cloned, wrong ones reshaped, tokens weighed",
    paper="Lyu, Gao, Gu, Zhang, Gao, Liu, Wang, Li, Zhao, Huang, Cao, Liu, Liu, Liu, Zhang, Lin & Chen 2025, Exploring the "
    "Limit of Outcome Reward for Learning Mathematical Reasoning, arXiv:2502.06781",
    claim="With a verifier that says right or wrong, cloning one right answer of a group improves a policy; a reshaped push "
    "against one wrong answer adds to it; and a token reward model that is trained on outcomes alone finds the tokens that "
    "decide, so that on long answers learning with its weights is faster.",
    predictions=(
        Prediction("pass@1", "positives", "base", 0.05, "cloning of right answers is enough to improve"),
        Prediction("pass@1", "positives and negatives", "positives", 0.02, "wrong answers add to it"),
        Prediction("area", "long, with token weights", "long, without token weights", 0.0, "weights of tokens make it faster"),
        Prediction("importance", "long, with token weights", 0.5, 0.1, "the model finds the first wrong step"),
    ),
    gates=("the base is neither lost nor done", "the long base is neither lost nor done"),
    departures="A step of an answer is one token, so a token's own score weighs it, as in the paper; the published code takes "
    "the mean of the scores so far, of what stands before the token. Prompts are repeated by the pass rate of their group, "
    "where the published runs take that of the first policy. Each rollout is used once, in four pieces (published: one). The "
    "scorer begins with the base policy's transformer, takes eight steps on each rollout (published: one), at four times the "
    "policy's rate as published, and learns alone in the first 4 of 40 train steps (10 of 90).",
    minutes=9,
)
