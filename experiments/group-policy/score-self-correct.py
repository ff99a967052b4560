"""Does a policy learn to improve on its own first answer, if the first is held in place at first and progress is paid for?"""

from studies.revision import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="score-self-correct",
    title="SCoRe: a second answer that is better than the first",
    paper="Kumar, Zhuang, Agarwal, Su, Co-Reyes, Singh, Baumli, Iqbal, Bishop, Roelofs, Zhang, McKinney, Shrivastava, Paduraru, "
    "Tucker, Precup, Behbahani & Faust 2024, Training Language Models to Self-Correct via Reinforcement Learning, arXiv:2409.12917",
    claim="Plain learning from two answers, and cloning of corrections, lead to a second answer that is hardly better than the "
    "first. Training the second with the first held in place, then both with a bonus for progress, leads to one that is.",
    predictions=(
        Prediction("delta", "SCoRe", "naive", 0.03, "the second answer gains more on the first"),
        Prediction("delta", "SCoRe", "cloning of corrections", 0.03, "and more than cloning teaches"),
        Prediction("last", "SCoRe", "naive", 0.0, "the second answer itself is better"),
        Prediction("delta", "SCoRe", "without bonus", 0.0, "the bonus is needed"),
        Prediction("delta", "SCoRe", "without stage I", 0.0, "the first stage is needed"),
    ),
    shown=("SCoRe, bonus shared",),
    gates=("the base has room", "two attempts are learned from"),
    departures="The first attempt does not answer for the bonus, see the part's docstring; an arm in which it does is shown. Stage I "
    "is half of the training, and all arms generate the same number of tokens. Learning rates were chosen on tuning seeds 0 to 3 by "
    "the last answer: for SCoRe and the naive form 3e-4 of 1e-4, 3e-4 and 6e-4; for cloning of corrections, which is done with those "
    "of the present policy, 1e-4 of 1e-4, 3e-4 and 1e-3 (the last on two seeds).",
    minutes=7,
)
