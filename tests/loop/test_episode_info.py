"""Numbers of an environment's info reach the metrics where they are asked for, and cost nothing where they are not."""

from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import SMALL, compiled
from jax.interpreters import partial_eval as pe
from running import TINY, call, failed
from toy import Clock

from rl_jax.errors import RLJaxError
from rl_jax.run.options import RunOptions
from rl_jax.run.storage.config import make_trainer

PLAIN = replace(SMALL, normalize_obs=False, normalize_reward=False, epochs=1, minibatches=1)


@dataclass(frozen=True)
class Telling(Clock):
    """Its info says much; what it says of an episode that began late is NaN."""

    tells: bool = True

    def step(self, key, state, action, params):
        out = super().step(key, state, action, params)
        info = {
            "success": state.start > 0.5,
            "place": {"x": state.time + 1, "late": jnp.where(state.start > 0.7, jnp.nan, state.start)},
            "vector": jnp.zeros(3),
            "key": key,
        }
        return out._replace(info=info if self.tells else {})


NAMES = ("success", "place/x", "place/late")


@pytest.mark.slow
def test_means_are_over_the_last_steps_of_finished_episodes():
    """Two train steps as one row, beside what their rollouts hold; what is not finite is left out."""
    run = compiled(PLAIN.trainer(Telling(5), time_limit=4, episode_info=NAMES))
    state = start = run.init(run.trainer, jax.random.key(3), 1000)
    collect = jax.jit(run.trainer.collect)
    ends = {name: [] for name in NAMES}
    for _ in range(2):
        _, rollout, _ = collect(state)
        done = np.asarray(rollout.terminated | rollout.truncated)
        flat = {"success": rollout.info["success"], **{f"place/{name}": x for name, x in rollout.info["place"].items()}}
        for name in NAMES:
            ends[name].extend(np.asarray(flat[name], float)[done])
        state, one = run.advance(run.trainer, state, 1)
    assert len(ends["success"]) == 16  # four environments, 16 steps, four of each episode
    assert np.isnan(ends["place/late"]).any()
    _, metrics = run.advance(run.trainer, start, 2)
    for name in NAMES:
        np.testing.assert_allclose(metrics[f"episode/{name}"], np.nanmean(ends[name]), rtol=1e-6)
    assert float(metrics["episode/place/x"]) == 4.0
    assert int(metrics["nonfinite_update"]) == -1
    assert "episode/vector" not in one


def text(**options):
    """The program of a train step, without what nobody reads."""
    trainer = PLAIN.trainer(Telling(5, **options.pop("env", {})), **options)
    state = jax.eval_shape(trainer.init, jax.random.key(0), 1000)
    closed = jax.make_jaxpr(trainer.train_step)(state)
    return str(pe.dce_jaxpr(closed.jaxpr, [True] * len(closed.out_avals))[0])


def test_what_is_not_asked_for_costs_nothing():
    """The program is that of the environment that tells nothing."""
    plain = text()
    assert plain == text(episode_info=()) == text(env={"tells": False})
    assert plain != text(episode_info=("success",))


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("succes",),
            r"--episode-info succes: the info of clock has no .*it has place/late, place/x, success; did you mean success",
        ),
        (("vector",), r"--episode-info vector: the info of clock has no number of that name; it has place/late"),
        (("key",), r"--episode-info key: the info of clock has no number"),
        (("return",), r"rows have episode/return already"),
        (("success", "success"), r"has success twice"),
    ],
)
def test_other_names_are_refused_when_the_run_is_put_together(names, message):
    with pytest.raises(RLJaxError, match=message):
        make_trainer(PLAIN, RunOptions(env="clock", episode_info=names), Telling(5))


def test_the_command_line_refuses_before_it_compiles(tmp_path):
    refused = call("train", "ppo", *TINY, "--episode-info", "success", "--out", tmp_path / "run")
    failed(refused, "--episode-info success", "the info of CartPole-v1 has no number of that name", "it has none")
    assert not (tmp_path / "run").exists()
