"""Should a discriminator compare the expert with a mixture of all policies so far, weighted by their age?"""

from studies.adversarial_imitation import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="ailboost",
    title="Imitation by boosting",
    paper="Chang, Sreenivas, Huang, Brantley & Sun 2024, Adversarial Imitation Learning via Boosting, arXiv:2404.08513, ICLR 2024",
    claim="A discriminator on a mixture of all policies, in which older ones count ever less, gives an off-policy learner a better "
    "reward than one on an unweighted replay buffer (DAC) or on the newest policy alone, also with one expert episode.",
    predictions=(
        Prediction("final", "AILBoost", "DAC", 0.0, "the mixture's weights are those of boosting"),
        Prediction("final", "AILBoost", "AILBoost, eta 1", 0.0, "the newest policy alone is forgotten too fast"),
        Prediction("final", "AILBoost", "BC", 0.1, "one episode is too little to clone"),
    ),
    shown=("AILBoost, uniform",),
    departures="Rounds of one episode of 200 steps and 50 + 200 learning steps instead of 1000 steps and 100 + 1000; no second "
    "environment beside the rounds' own; batches of 64; the newest policy is evaluated and not the ensemble.",
)
