"""Do earlier answers with an advantage, in the place of those without, help?"""

from studies.buffers import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="skywork-r1v2-ssb",
    title="Skywork R1V2: selective sample buffer",
    paper="Chris, Wei, Peng, Wang, Qiu, Shen, Xie, Pei, Zhang, Hao, Song, Liu & Zhou 2025, Skywork R1V2: Multimodal Hybrid "
    "Reinforcement Learning for Reasoning, arXiv:2504.16656",
    claim="Putting earlier answers with an advantage in the place of those without keeps the share of useful answers up, and learns as "
    "fast per generated token as generating anew until groups differ.",
    predictions=(
        Prediction("share", "SSB", "GRPO", 0.05, "batches stay useful"),
        Prediction("area", "SSB", "refill", -0.01, "no slower than generating more"),
        Prediction("area", "SSB", "GRPO", 0.0, "and faster than not to"),
    ),
    departures="Its mixed preference stage is not tested. Size and age of the buffer are not in the paper: here as many answers as a "
    "rollout has. Refill: twice as many problems per train step, half as many train steps, groups that agree left out.",
)
