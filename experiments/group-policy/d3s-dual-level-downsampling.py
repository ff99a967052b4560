"""Is it enough to learn from the answers whose advantages differ most, and in them from the tokens that matter, few at first?"""

from studies.samples import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="d3s-dual-level-downsampling",
    title="D3S",
    paper="Wang, Yang, Tian, Shi, Ma, Liu, Yao & Ding 2026, Learning More with Less: A Dynamic Dual-Level Down-Sampling Framework for "
    "Efficient Policy Optimization, ICLR, arXiv:2509.22115",
    claim="Learning from the answers of a batch whose advantages have the largest variance, and in them from the tokens with the "
    "largest |advantage| x entropy, few at first and more later, gains more per token learned from than learning from all, "
    "and in the end more than the same selection without a schedule.",
    predictions=(
        Prediction("area per token", "D3S", "GRPO", 0.03, "more is learned per token"),
        Prediction("area per token", "D3S", "random subset", 0.03, "which tokens they are matters"),
        Prediction("pass@1", "D3S", "D2S", 0.0, "without a schedule it overfits late"),
        Prediction("early", "D2S", "GRPO", 0.0, "few at first learn faster"),
    ),
    shown=("PODS",),
    seeds=tuple(range(200, 212)),
    departures="The shares at the start are not in what could be read of the paper; "
    "it speaks of fewer than a fifth of the tokens. Entropies are those of the policy that answered, one pass per train "
    "step. A first attempt had base policies of which most had not learned the task, and its gate failed; cloning is longer "
    "since then, and without slips at first. Seeds are new.",
)
