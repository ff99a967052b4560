"""Do failed groups learn from one past success of their problem?"""

from studies.buffers import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="arpo-replay",
    title="ARPO: replay of successes",
    paper="Lu, Zhong, Liu, Fu & Jia 2025, ARPO: End-to-End Policy Optimization for GUI Agents with Experience Replay, arXiv:2505.16282",
    claim="When all answers to a problem fail, putting one stored success of that problem into the group gives it an advantage "
    "again, and more of the problems trained on are solved; leaving out problems that the base cannot solve helps further.",
    predictions=(
        Prediction("set", "success replay", "drop", 0.02, "past successes are worth more than leaving failed groups out"),
        Prediction("set", "drop", "GRPO", -0.01, "leaving failed groups out costs nothing"),
        Prediction("share", "success replay", "GRPO", 0.05, "more groups carry a signal"),
        Prediction("set", "success replay, solvable", "success replay", 0.0, "problems beyond reach waste answers"),
    ),
    departures="The paper's filter asks the base sixteen times before training; here a problem is left out once the first "
    "sixteen answers of training have all failed, and accuracy is that of the whole set, those left out included. In "
    "the published code old log-probabilities are computed after the exchange, so a stored answer's ratio starts at "
    "1; so they are here.",
)
