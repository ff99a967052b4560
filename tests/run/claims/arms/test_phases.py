"""Phases: each seed has its own data, shared phases run once, and arms that differ in numbers alone share their programs."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from toy import Clock

from rl_jax.agents import RandomRepeat
from rl_jax.errors import RLJaxError
from rl_jax.loop import Trainer
from rl_jax.run.claims import Phase, Phased, Trained, Work
from rl_jax.run.claims.execute import few
from rl_jax.run.devices.compiled_runs import CompiledRuns

SEEDS = (3, 5)


@struct.dataclass
class Counting(RandomRepeat):
    """Counts its learning steps by ``by``."""

    by: float = 1.0

    def init(self, key, spec):
        return {"count": jnp.zeros(()), "drawn": jax.random.uniform(key)}

    def learn(self, state, sample, context):
        return {**state, "count": state["count"] + self.by}, {}, None

    def params(self, state):
        return state


def trainer(by=1.0, task=1.0, repeat=0.5):
    return Trainer.create(Clock(5), Counting(repeat, by=by), params=jnp.float32(task), num_envs=2, rollout_length=5)


def keep(trainer, state, key):
    return {"number": jax.random.uniform(key), "agent": state.agent, "whole": jnp.int32(7), "key": key}


def look(trainer, state, key):
    agent = state.agent
    return {"task": trainer.curriculum.task, "count": agent["count"], "drawn": agent["drawn"]}


made = []


def first(quick, kept):
    assert kept == {}
    made.append("first")
    return trainer()


def second(quick, kept):
    assert kept["first"]["whole"].dtype == np.int32 and kept["first"]["whole"].shape == ()
    assert jax.dtypes.issubdtype(kept["first"]["key"].dtype, jax.dtypes.prng_key)
    return trainer(task=kept["first"]["number"])


FIRST = Phase(first, 30, 10, name="first", keep=keep, question=look, metrics=(), data=100)
SECOND = Phase(second, 50, 10, name="second", question=look, metrics=("episode/return",))


@pytest.fixture(autouse=True)
def unchecked():
    with jax.debug_key_reuse(False):  # the check knows no vmapped branches
        yield


def work(shared=None, seeds=SEEDS, quick=False):
    return Work(seeds, quick, lambda share, text: None, {} if shared is None else shared)


@pytest.mark.slow
def test_the_second_phase_sees_what_the_first_kept_of_its_own_seed():
    shares = []
    found = Phased((FIRST, SECOND))(dataclasses.replace(work(), progress=lambda share, text: shares.append(share)))
    # Drawn by hand: the seed's key, and the stream that keeping has.
    numbers = [float(jax.random.uniform(jax.random.fold_in(jax.random.key(seed), 2**31 - 3))) for seed in SEEDS]
    np.testing.assert_allclose(found.values["task"], numbers, rtol=1e-6)
    # An episode of the clock is worth its task times (start + time), summed over five steps.
    assert np.all(found.curves["episode/return"].y[:, -1] / numbers >= 0 + 1 + 2 + 3 + 4)
    assert found.budget == {"steps": 30 + 50, "updates": 3 + 5, "data": 100, "calls": None}
    assert found.values["count"].tolist() == [5.0, 5.0] and found.values["first/count"].tolist() == [3.0, 3.0]
    assert not set(found.values["drawn"]) & set(found.values["first/drawn"])  # each phase draws its own
    assert shares == sorted(shares) and shares[-1] == 1.0 and 0.5 in shares  # 0.5: the first phase is done


@pytest.mark.slow
def test_shared_phases_run_once_and_give_what_they_give_alone():
    shared, arms = (
        {},
        [Phased((FIRST, SECOND), share="start"), Phased((FIRST, dataclasses.replace(SECOND, steps=20)), share="start")],
    )
    made.clear()
    both = [arm(work(shared)) for arm in arms]
    assert made == ["first"] * len(SEEDS)
    assert [one.steps for one in both] == [80, 50]
    alone = Phased(arms[1].phases)(work())
    for name, x in alone.values.items():
        np.testing.assert_array_equal(both[1].values[name], x)
    arms[0](work(shared, quick=True))  # other steps: not what was kept
    arms[0](work(shared, seeds=(3, 6)))
    assert made == ["first"] * 4 * len(SEEDS)
    other = dataclasses.replace(FIRST, steps=10)
    with pytest.raises(RLJaxError, match="share 'start' have different phases 'first' and 'first': define a phase once"):
        Phased((other, SECOND), share="start")(work(shared))


@pytest.mark.slow
def test_a_phase_goes_on_with_a_trained_agent():
    start = dataclasses.replace(SECOND, start=lambda state, kept: state.replace(agent=kept["first"]["agent"]))
    found = Phased((FIRST, start))(work())
    assert found.values["count"].tolist() == [8.0, 8.0]
    assert found.values["drawn"].tolist() == found.values["first/drawn"].tolist()
    wrong = dataclasses.replace(SECOND, start=lambda state, kept: state.replace(agent={"count": kept["first"]["number"]}))
    with pytest.raises(RLJaxError, match="start of the phase 'second' returns a state of another structure"):
        Phased((FIRST, wrong))(work())


def test_phases_that_cannot_follow_one_another_are_refused():
    for phases in ((), (FIRST, FIRST), (FIRST, dataclasses.replace(SECOND, name=""))):
        with pytest.raises(RLJaxError, match="need names, all different"):
            Phased(phases).check()

    def each_its_own(quick, kept):
        return trainer().replace(episode_info=(str(float(kept["first"]["number"])),))

    odd = dataclasses.replace(SECOND, make=each_its_own)
    with pytest.raises(RLJaxError, match="'second' differ from seed to seed in fields that are no leaves"):
        Phased((FIRST, odd))(work())


@pytest.fixture
def compiled(monkeypatch):
    """Names of the programs that are compiled."""
    names, start = [], CompiledRuns._start

    def count(self, *specs):
        names.extend(spec.name.split(" <")[0] for spec in specs if spec.name not in self._programs)
        return start(self, *specs)

    monkeypatch.setattr(CompiledRuns, "_start", count)
    return names


@pytest.mark.slow
def test_arms_that_differ_in_numbers_are_compiled_once_and_are_those_alone(compiled):
    arms = {by: Trained(lambda quick, by=by: trainer(by, repeat=by / 10), 50, 10, look) for by in (1.0, 2.0, 3.0)}
    shared = {}
    together = {by: arm(work(shared)) for by, arm in arms.items()}
    assert sorted(compiled) == ["advance", "ask", "init"]
    assert max(one.seconds_compile for one in list(together.values())[1:]) < together[1.0].seconds_compile / 5
    assert [one.values["count"].tolist() for one in together.values()] == [[5.0, 5.0], [10.0, 10.0], [15.0, 15.0]]
    for by, arm in arms.items():
        alone = arm(work())
        assert {name: x.tolist() for name, x in alone.values.items()} == {n: x.tolist() for n, x in together[by].values.items()}
        np.testing.assert_array_equal(alone.curves["episode/return"].y, together[by].curves["episode/return"].y)
    assert len(compiled) == 3 + 3 * 3
    # Another question is another program; more steps are not; another static field, type or number of seeds is all of them.
    compiled.clear()
    Trained(lambda quick: trainer(), 70, 10, lambda *_: {"one": jnp.ones(())})(work(shared))
    assert compiled == ["ask"]
    compiled.clear()
    Trained(lambda quick: trainer(by=jnp.float32(1.0)), 50, 10, look)(work(shared))
    assert len(compiled) == 3
    compiled.clear()
    arms[1.0](work(shared, seeds=(1, 2, 3)))
    assert len(compiled) == 3


def test_last_phases_that_differ_in_numbers_are_compiled_once(compiled):
    def learner(quick, kept, by):
        return trainer(by, task=kept["first"]["number"])

    def arm(by):
        last = Phase(lambda quick, kept: learner(quick, kept, by), 20, 10, name="last", question=look)
        return Phased((FIRST, last), share="start")

    shared = {}
    found = [arm(by)(work(shared)).values["count"].tolist() for by in (1.0, 4.0)]
    assert found == [[2.0, 2.0], [8.0, 8.0]]
    # Both phases' trainers have the same structure here: one advance and one init for all three.
    assert compiled.count("advance") == compiled.count("init") == 1


def test_a_quick_slice_takes_one_arm_of_each_kind_of_phases():
    class Named:
        def __init__(self, arms):
            self.arms, self.predictions = arms, [type("P", (), {"better": "a", "worse": "b"})]

    arms = {"a": Phased((FIRST, SECOND)), "b": Phased((FIRST, SECOND)), "c": Phased((FIRST,)), "d": Phased((FIRST, SECOND))}
    assert list(few(Named(arms))) == ["a", "b", "c"]
