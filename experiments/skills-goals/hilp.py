"""Are straight lines in a learned space as long as ways in a maze, and does one policy of directions reach goals along them?"""

from studies.offline_goals import STUDY

from rl_jax.run.claims import Prediction

RECIPE = STUDY.recipe(
    slug="hilp",
    title="Straight lines for ways",
    paper="Park et al. 2024, Foundation Policies with Hilbert Representations, ICML, arXiv:2402.15567",
    claim="Distances in a Hilbert representation are those of the maze, and a policy that moves in any of its directions reaches any "
    "goal without further training, farther with midpoints.",
    predictions=(
        Prediction("correlation", "giant, HILP", "giant, GC-BC", 0.1, "ways, and not straight lines of the map"),
        Prediction("success", "giant, HILP", "giant, GC-BC", 0.1, "directions of the space lead to goals"),
        Prediction("far success", "giant, HILP, midpoints", "giant, HILP", 0.0, "midpoints help where the space is bent"),
    ),
    gates=("the straight line is no way", "cloning reaches goals, and not all"),
    departures="Goals alone, no rewards: FB, Laplacian and ICM features are not here. The embedding is of places, which are all that "
    "is observed. Midpoints are searched among 1000 places of the data instead of 50 000.",
)
