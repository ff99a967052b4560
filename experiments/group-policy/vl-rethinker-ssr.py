"""Does redrawing answers by the size of their advantage keep a group method learning when most groups agree?"""

from studies.buffers import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="vl-rethinker-ssr",
    title="VL-Rethinker: selective sample replay",
    paper="Wang, Qu, Huang, Chu, Lin & Chen 2025, VL-Rethinker: Incentivizing Self-Reflection of Vision-Language Models with "
    "Reinforcement Learning, NeurIPS, arXiv:2504.08837",
    claim="Keeping answers with an advantage and drawing them again in proportion to it keeps batches full of signal when more "
    "and more groups are all right or all wrong, and more is learned.",
    predictions=(
        Prediction("share", "SSR", "drop", 0.05, "late batches are still full"),
        Prediction("set", "SSR", "GRPO", 0.02, "and it pays"),
    ),
    departures="Half of what the paper claims: forced rethinking is not tested here. As in the published code, half as many "
    "answers are learned from as are generated. (In that code the replay is never reached: its caller leaves a flag "
    "at false.)",
)
