"""Is it better to look for what is new in this episode, or for what has never been seen at all?"""

from functools import partial
from typing import Any

import rl_jax as rl
from rl_jax.agents.configs import PPOConfig
from rl_jax.envs.grid import multi_room
from rl_jax.experience import EpisodicCount, LifetimeCount, Product, gae, intrinsic
from rl_jax.experience.bonus.counts import observed, reported
from rl_jax.run.claims import Axes, Prediction, Recipe, Trained

SIZE, SEA_STEPS, ROOM_STEPS = 16, 150_000, 300_000
WORLDS = {"sea": (rl.make("DeepSea-bsuite", size=SIZE), observed), "rooms": (multi_room(5, 5, view=5), reported("cell"))}
WEIGHTS = {
    "sea": {"global": 0.1, "episodic": 0.02, "product": 0.1},
    "rooms": {"global": 0.1, "episodic": 0.02, "product": 1.0},
}


def trainer(quick: bool, world: str, bonus: str) -> rl.Trainer:
    """PPO that is paid for coming to places."""
    env, place = WORLDS[world]
    parts: dict[str, Any] = {"global": LifetimeCount(place), "episodic": EpisodicCount(place)}
    parts["product"] = Product((parts["episodic"], parts["global"]))
    paid = [] if bonus == "none" else [intrinsic(parts[bonus], WEIGHTS[world][bonus], scale=False)]
    config = PPOConfig(num_envs=8 if quick else 64, rollout_length=64, normalize_obs=False, normalize_reward=False)
    return config.trainer(env).replace(experience=rl.chain(*paid, gae(0.99, 0.95)))


def arm(world: str, bonus: str) -> Trained:
    """One bonus in one world."""
    steps = SEA_STEPS if world == "sea" else ROOM_STEPS
    success = ("episode/return",)
    return Trained(partial(trainer, world=world, bonus=bonus), steps, 1024, None, success, success)


RECIPE = Recipe(
    slug="global-episodic-bonus",
    title="Global and episodic bonuses",
    paper="Henaff, Jiang & Raileanu 2023, A Study of Global and Episodic Bonuses for Exploration in Contextual MDPs, arXiv:2306.03236, "
    "ICML 2023",
    claim="Where all episodes share one map, a bonus that counts visits over the whole run finds what one that counts them within the "
    "episode does not; where every episode has a map of its own it is the other way round; the product of both works in both.",
    environment=f"One map: bsuite's deep sea of {SIZE} x {SIZE}, where one of 2^{SIZE} ways down leads to the reward. New maps: five "
    "rooms of 3 x 3 tiles behind closed doors, drawn anew for every episode, the goal in the last, reward 1 there; the "
    "agent sees 5 x 5 tiles. Visits are counted by position. PPO without a memory.",
    arms={f"{world}, {bonus}": arm(world, bonus) for world in WORLDS for bonus in ("global", "episodic", "product", "none")},
    measures={
        "episode/return": "return of an episode, which is the share that reaches the goal (deep sea: less 0.01 for moves)"
    },
    predictions=(
        Prediction("episode/return", "sea, global", "sea, episodic", 0.3, "one map: other episodes tell where to go"),
        Prediction("episode/return", "rooms, episodic", "rooms, global", 0.3, "new maps: other episodes mislead"),
        Prediction("episode/return", "sea, product", "sea, episodic", 0.3, "the product works where the episodic bonus fails"),
        Prediction("episode/return", "rooms, product", "rooms, global", 0.3, "and where the global one fails"),
    ),
    curves={"episode/return": Axes("environment steps", "return")},
    departures="The paper's tasks are MiniHack's: rooms with new maps, where counting visits over the run fails, and corridors with "
    "one map, where counting them within the episode fails. Deep sea is in place of the corridors: every way down it "
    "visits as many new places as any other, so that the episodic bonus says nothing of where to go. In worlds of one map"
    " where good ways can be stumbled upon (rooms, corridors with dead ends, open rooms, all on tuning seeds) small "
    "episodic bonuses found the goal too, as in the paper's rooms. Weights are the best of those tried on the tuning "
    "seeds, for each bonus and world, as in the paper (rooms: 0.02 and 0.1 for the episodic bonus, 0.02, 0.1 and 1 for "
    "the global one, 0.1 and 1 for the product; deep sea: 0.1 and 0.5 for the global bonus, 0.1 for the product, 0.02 for"
    " the episodic one and, after the run, 1, which found no more); no standardisation of bonuses. PPO with two layers of"
    " 64 in place of IMPALA with a recurrent network; 64 environments. The paper's second half, learned bonuses (E3B "
    "times NovelD), is not in the recipe; its parts are in the library.",
    minutes=10,
)
