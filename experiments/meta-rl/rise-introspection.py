"""Does cloning the best of several further attempts, after own failed ones, make a policy better from attempt to attempt?"""

from studies.revision import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="rise-introspection",
    title="RISE: the best of several further attempts, cloned",
    paper="Qu, Zhang, Garg & Kumar 2024, Recursive Introspection: Teaching Language Model Agents How to Self-Improve, "
    "arXiv:2407.18219",
    claim="A policy that clones, weighted by reward, its own attempts and the best of several that follow them gets better from "
    "attempt to attempt: the majority of five in turn beats that of five independent answers of a policy that clones the best "
    "first answers. A second round of it gains more, failures belong into the data, and the first attempt does not suffer.",
    predictions=(
        Prediction("voted", "RISE", "single-turn, independent", 0.02, "attempts in turn beat as many at once"),
        Prediction("delta", "RISE", 0.0, 0.0, "attempts get better"),
        Prediction("delta", "RISE", "successes alone", 0.0, "failures belong into the data"),
        Prediction("voted", "RISE", "RISE, one round", 0.0, "a second round gains more"),
        Prediction("t1", "RISE", "base of five", -0.02, "the first attempt does not suffer"),
    ),
    gates=("the base of five has room", "cloning of the best works"),
    departures="Without a teacher. Eight further attempts instead of 16. A round is half of the training, with data of the policy as "
    "it is at each train step; the arm of one round is as long. At the end all earlier attempts are seen, not the last two alone.",
    minutes=8,
)
