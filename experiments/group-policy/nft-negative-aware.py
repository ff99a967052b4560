"""Does fitting wrong answers by likelihood keep up with GRPO, and is it ahead of cloning right ones?"""

from studies.answers import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="nft-negative-aware",
    title="NFT: learning from wrong answers by likelihood",
    paper="Chen, Zheng, Zhang, Cui, Yuan, Cui, Ye, Lin, Liu, Zhu & Wang 2025, Bridging Supervised Learning and Reinforcement Learning "
    "in Math Reasoning, arXiv:2505.18116",
    claim="Maximum likelihood of right and, through the same policy, of wrong answers keeps up with GRPO; it is ahead of cloning right "
    "answers alone, keeps the policy broader, and is stable for many updates of a batch because the likelihood ratio is clipped.",
    predictions=(
        Prediction("pass@1", "NFT", "RFT", 0.02, "wrong answers teach too"),
        Prediction("policy/entropy", "NFT", "RFT", 0.0, "and keep the policy broad"),
        Prediction("pass@1", "NFT", "GRPO", -0.03, "no worse than GRPO"),
        Prediction("pass@1", "NFT", "NFT, no bound", 0.05, "the clipped value keeps it stable"),
    ),
    gates=("the base is neither lost nor done", "GRPO learns", "and greedily does not get worse"),
    departures="RFT is as in the paper's runs: the same loss without wrong answers, prompts that all or no answers solve left "
    "out, all others alike. Without a bound: 1e-6, for the logarithm of a negative number would end the run. On the policy "
    "that acted the gradient is that of Dr. GRPO (or GRPO, by the prompt's weight), which is tested to a cosine of 0.9999.",
    minutes=9,
)
