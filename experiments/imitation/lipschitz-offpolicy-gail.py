"""Must the learned reward of off-policy adversarial imitation be smooth?"""

from studies.adversarial_imitation import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="lipschitz-offpolicy-gail",
    title="Smooth rewards for off-policy imitation",
    paper="Blondé, Strasser & Kalousis 2020, Lipschitzness Is All You Need To Tame Off-policy Generative Adversarial Imitation "
    "Learning, arXiv:2006.16785, Machine Learning 2022",
    claim="Off-policy adversarial imitation needs a reward that is locally Lipschitz-continuous: a gradient penalty makes it so, and "
    "without one, or with spectral normalisation alone, it fails. Paying less where the reward is steep does no harm.",
    predictions=(
        Prediction("final", "one-sided", "no penalty", 0.2, "without a penalty imitation fails"),
        Prediction("final", "one-sided", "spectral norm", 0.1, "spectral normalisation is no substitute"),
        Prediction("smooth", "one-sided", "no penalty", 0.3, "the penalty keeps the reward's gradient small"),
        Prediction("final", "preconditioned", "one-sided", -0.05, "paying less where it is steep does no harm"),
    ),
    shown=("two-sided",),
    departures="SAC instead of TD3, single-step targets instead of 10 steps, no parameter noise, observations as they are; no label "
    "smoothing and no entropy bonus; the preconditioner is that of the reward's own gradient. Episodes end by time alone: no "
    "absorbing states.",
)
