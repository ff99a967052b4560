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
    departures="RLOO's advantages are not scaled to deviation 1. Models of steps have 4096 answers, of which each step of Adam, at "
    "0.001, takes 128; labels by continuations are the outcomes of four from each result, which count as answers. Chosen on "
    "tuning seeds 0 to 3. Steps of Adam, by the area under the curve, of 128, 512 and 1024: log-ratios 0.51, 0.57, 0.57; "
    "prefix scorer 0.52, 0.54, 0.50; continuations 0.58, 0.56, 0.56; with ten times the answers 0.60 with 128 and 0.58 with "
    "512. Weight of the dense reward, by the mean sampled accuracy of training: 0.42 with 0.03, 0.41 with 0.1, 0.39 to 0.37 "
    "with 0.3, whatever the model's rate of 0.0001, 0.0003 and 0.001; so 0.03 and 0.0003. Without it 0.42 with the rate of "
    "0.0003 and two epochs, the best of 0.0001, 0.0003 and 0.0006 with one, two and four (0.29 to 0.41). "
    "With a weight of 1, as released, answers at the end were right in 0.13 of the cases at best, and in 0.51 without it.",
    minutes=14,
)
