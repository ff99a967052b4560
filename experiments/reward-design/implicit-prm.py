"""Can rewards for steps be read off a model that has seen outcomes alone?"""

from studies.steps import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="implicit-prm",
    title="Process rewards without process labels",
    paper="Yuan, Li, Chen, Cui, Ding, Zhang, Zhou, Liu & Peng 2024, Free Process Rewards without Process Labels, arXiv:2412.01981, "
    "ICML 2025; Cui et al. 2025, Process Reinforcement through Implicit Rewards, arXiv:2502.01456",
    claim="A policy network fitted to outcomes by cross-entropy, its log-ratio to the base as the reward, finds the first wrong step "
    "better than a scorer of whole answers read at prefixes, and than labels by continuations at the same or ten times the "
    "cost; as a dense reward, kept up to date, it makes RLOO learn faster.",
    predictions=(
        Prediction(
            "ROC", "implicit model", "prefix scorer", 0.03, "log-ratios tell steps apart, a score of the whole does not"
        ),
        Prediction("ROC", "implicit model", "Monte Carlo", 0.0, "better than labels by continuations at equal cost"),
        Prediction("ROC", "implicit model", "Monte Carlo x 10", -0.03, "and as good as with ten times the answers"),
        Prediction("area", "implicit", "RLOO", 0.0, "a dense reward makes learning faster"),
    ),
    gates=("the plain base has room", "RLOO learns"),
    departures="RLOO's advantages are not scaled to deviation 1. Models of steps have 4096 answers, and 128 steps of Adam on 128 of "
    "them each, at 0.001; labels by continuations are the outcomes of four from each result, which count as answers. A "
    "first look on tuning seeds 0 to 3: areas under the curve of 0.51 for log-ratios, 0.52 for the prefix scorer, 0.58 "
    "and 0.60 for continuations at the same and at ten times the cost; sampled accuracy with the dense reward 0.10 (rate "
    "0.001) and 0.13 (0.0003), without it 0.51. The dense reward's weight and the models' steps were not tuned yet.",
    minutes=10,
)
