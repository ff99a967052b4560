"""Does training with "try again" after wrong answers teach more than asking a policy of single answers several times?"""

from studies.again import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="ufo-try-again",
    title="UFO: try again, the only feedback",
    paper="Liu, Wang, Li, Xu, Lu, Liu, Sil & Li 2025, A Simple 'Try Again' Can Elicit Multi-Turn LLM Reasoning, arXiv:2507.14295",
    claim="A policy that is trained on single answers repeats wrong ones. Trained on episodes of several attempts with 'try again' "
    "as the only feedback it solves more problems in five attempts than five independent answers of the single-turn policy do, and "
    "no fewer at the first. Paying late successes less saves attempts; charging for repeated answers makes them more diverse.",
    predictions=(
        Prediction("succ@5", "UFO", "single-turn, independent", 0.02, "five attempts in turn solve more than five at once"),
        Prediction("succ@5", "single-turn, independent", "single-turn", 0.0, "single-turn training forgets how to try again"),
        Prediction("succ@1", "UFO", "single-turn", -0.03, "the first attempt is as good"),
        Prediction("turns", "UFO, decay", "UFO, binary", 0.0, "early successes that pay more save attempts"),
        Prediction("distinct", "UFO", "UFO, decay", 0.0, "repetitions that cost become fewer"),
    ),
)
