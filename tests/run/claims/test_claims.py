"""Recipes of published claims: the rule of the verdict, what is written, that numbers come back, and that errors name the fix."""

import dataclasses
import json
import re
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest
from running import call, failed, trace_only
from toy import unchecked

import rl_jax as rl
from rl_jax.agents.configs import PPOConfig
from rl_jax.errors import NonFinite, RLJaxError
from rl_jax.run.claims import Axes, Outcome, Prediction, Recipe, Trained, Work, attempts, library
from rl_jax.run.claims.execute import run
from rl_jax.run.claims.judge import judge, judge_again
from rl_jax.run.claims.recipe import Curve
from rl_jax.run.claims.table import table
from rl_jax.run.report.stats import difference_interval, iqm, performance_profile

RECIPES = library.recipes()
#: One recipe of each study: the others run the same machinery.
RUN_SMALL = {entry.study or slug: slug for slug, entry in RECIPES.items()}.values()
#: Of these recipes and studies the programs are compiled and run: one of each kind of machinery. Those of the others are traced.
COMPILED = (
    "agents",
    "answers",
    "go-explore",
    "ta-lpg",
    "rl2",
    "mbtl",
    "stream-x",
    "adaptive-rr",
    "emergent-exploration-greedy",
)


def normal(work, mean=0.0, spread=1.0):
    values = np.asarray([np.random.default_rng(seed).normal(mean, spread) for seed in work.seeds])
    work.progress(1.0, "drawn")
    line = np.stack([values, values + 1], axis=1)
    return Outcome({"score": values}, {"line": Curve(np.asarray([1.0, 2.0]), line)}, steps=10)


def recipe(**changes):
    made = Recipe(
        slug="toy",
        title="A toy",
        paper="Nobody 2026",
        claim="Ten is more than zero.",
        environment="none",
        arms={"ten": partial(normal, mean=10.0), "zero": partial(normal, mean=0.0)},
        measures={"score": "a number"},
        predictions=(Prediction("score", "ten", "zero"),),
        curves={"line": Axes("x", "y")},
    )
    return dataclasses.replace(made, **changes)


def outcome(*values):
    return Outcome({"score": np.asarray(values, np.float64)})


@pytest.mark.parametrize(
    ("better", "worse", "margin", "verdict"),
    [
        ("ten", "zero", 0.0, "holds"),
        ("ten", "zero", 8.0, "holds"),
        ("ten", "zero", 12.0, "does not hold"),
        ("zero", "ten", 0.0, "does not hold"),
        ("zero", "ten", -12.0, "holds"),
        ("zero", "nought", 0.0, "undecided"),
        ("zero", "nought", -3.0, "holds"),
        ("ten", 9.0, 0.0, "holds"),
        (9.0, "ten", 0.0, "does not hold"),
    ],
)
def test_the_rule(better, worse, margin, verdict):
    rng = np.random.default_rng(0)
    outcomes = {name: outcome(*rng.normal(mean, 0.5, 10)) for name, mean in (("ten", 10), ("zero", 0), ("nought", 0))}
    asked = recipe(arms=dict.fromkeys(outcomes, normal), predictions=(Prediction("score", better, worse, margin),))
    found, (row,), _ = judge(asked, outcomes)
    assert found == row["verdict"] == verdict
    low, high = row["ci95"]
    assert low <= row["difference"] <= high


def test_a_claim_holds_only_if_all_of_it_does():
    outcomes = {"ten": outcome(*range(10, 20)), "zero": outcome(*range(10))}
    up, down, even = Prediction("score", "ten", "zero"), Prediction("score", "zero", "ten"), Prediction("score", "ten", 14.5)
    assert judge(recipe(predictions=(up,)), outcomes)[0] == "holds"
    assert judge(recipe(predictions=(up, even)), outcomes)[0] == "undecided"
    assert judge(recipe(predictions=(up, even, down)), outcomes)[0] == "does not hold"


def test_missing_values_are_never_dropped():
    with pytest.raises(RLJaxError, match="no finite 'score' for every run"):
        judge(recipe(), {"ten": outcome(*[np.nan, *range(9)]), "zero": outcome(*range(10))})
    with pytest.raises(RLJaxError, match="did not measure"):
        judge(recipe(), {"ten": Outcome({}), "zero": outcome(*range(10))})


def test_recipes_that_cannot_be_judged_are_refused_before_they_run():
    for changes, message in (
        ({"seeds": (100,)}, "at least 10 seeds"),
        ({"tuning_seeds": (100,)}, "chosen on reported seeds"),
        ({"predictions": ()}, "nothing is predicted"),
        ({"predictions": (Prediction("length", "ten", "zero"),)}, "is no measure"),
        ({"predictions": (Prediction("score", "ten", "eleven"),)}, "no arm 'eleven'"),
        ({"predictions": (Prediction("score", 1.0, 2.0),)}, "compares two numbers"),
    ):
        with pytest.raises(RLJaxError, match=message):
            recipe(**changes).check()


def test_difference_interval():
    x, y = np.random.default_rng(0).normal(3, 1, 40), np.random.default_rng(1).normal(0, 1, 40)
    low, high = difference_interval(x, y)
    assert low < iqm(x) - iqm(y) < high
    assert 0.5 < high - low < 1.6  # the standard error of a mean's difference is 0.22; a trimmed mean's is a little more
    assert difference_interval(x, [1.0]) == pytest.approx(difference_interval(x - 1.0, [0.0]))
    assert difference_interval([2.0], [0.5]) == (1.5, 1.5)
    flipped = difference_interval(y, x)
    assert flipped[0] < 0 > flipped[1]


def test_difference_intervals_cover():
    """Ninety-five in a hundred, a little less with few runs."""
    hits, rounds = 0, 200
    for i in range(rounds):
        rng = np.random.default_rng(i)
        low, high = difference_interval(rng.normal(1, 1, 12), rng.normal(0, 1, 12), samples=400)
        hits += low <= 1 <= high
    assert 0.86 <= hits / rounds <= 0.99


def test_performance_profile_by_definition():
    scores = np.asarray([[0.1, 0.9], [0.5, 0.5]])
    np.testing.assert_allclose(performance_profile(scores, [0.0, 0.1, 0.5, 0.7, 1.0]), [1.0, 0.75, 0.25, 0.25, 0.0])
    with pytest.raises(RLJaxError, match="list of scores"):
        performance_profile(scores, 0.5)


def test_a_run_writes_everything_and_the_same_seeds_give_the_same_numbers():
    first, again = run(recipe(), quiet=True), run(recipe(), quiet=True)
    assert first["verdict"] == "holds"
    assert first["seeds"] == list(range(100, 110))
    assert first["arms"]["ten"]["values"] == again["arms"]["ten"]["values"]
    assert first["arms"]["ten"]["steps"] == 10
    assert first["curves"]["line"]["arms"]["zero"]["x"] == [1.0, 2.0]
    json.dumps(first, allow_nan=False)
    text = table(first)
    assert "HOLDS" in text
    assert "P(improvement) 1.00" in text


def test_a_point_at_which_a_run_has_no_value_is_drawn_between_its_neighbours():
    def gaps(work):
        line = np.tile([np.nan, 1.0, np.nan, 3.0, np.nan], (len(work.seeds), 1))
        line[0, 2] = 2.0
        return Outcome({"score": np.zeros(len(work.seeds))}, {"line": Curve(np.arange(5.0), line)})

    drawn = run(recipe(arms={"ten": partial(normal, mean=10.0), "zero": gaps}), quiet=True)["curves"]["line"]["arms"]["zero"]
    assert drawn["iqm"] == drawn["low"] == drawn["high"] == [None, 1.0, 2.0, 3.0, None]


def test_a_quick_slice_judges_nothing_and_stays_off_the_reported_seeds():
    result = run(recipe(), quick=True, quiet=True)
    assert result["verdict"] == "not judged"
    assert result["seeds"] == [0, 1]
    assert not result["predictions"]


def toy_trainer(quick, gamma=0.9, learning_rate=1e-2):
    made = PPOConfig(num_envs=4, rollout_length=8, hidden=(8,), gamma=gamma, learning_rate=learning_rate)
    return made.trainer(rl.make("probe/observed-action"))


@pytest.mark.slow
def test_trained_runs_are_those_of_the_seeds_alone():
    # Small steps: two runs side by side are one alone up to the order of sums, and no action may turn on that.
    arm = Trained(partial(toy_trainer, learning_rate=1e-3), 512, 64, finals=("episode/return",), rows=4)
    words = []
    with unchecked():
        both = arm(Work((3, 5), False, lambda share, text: words.append((share, text))))
    one = arm(Work((5,), False, lambda share, text: None))
    assert both.steps == 512
    assert words[-1][0] == 1.0
    assert both.curves["episode/return"].y.shape == (2, 4)
    np.testing.assert_allclose(both.values["return"][1], one.values["return"][0], atol=1e-5)
    np.testing.assert_allclose(both.curves["episode/return"].y[1], one.curves["episode/return"].y[0], atol=1e-5)


@pytest.mark.slow
def test_questions_give_measures_and_curves():
    def question(trainer, state, key):
        return {"one": jax.numpy.float32(1.0), "ramp": jax.numpy.arange(3.0)}

    with unchecked():
        found = Trained(toy_trainer, 64, 64, question)(Work((0, 1), False, lambda share, text: None))
    np.testing.assert_array_equal(found.values["one"], [1.0, 1.0])
    np.testing.assert_array_equal(found.curves["ramp"].y, [[0, 1, 2]] * 2)
    np.testing.assert_array_equal(found.curves["ramp"].x, [1, 2, 3])


def test_broken_runs_are_not_reported():
    broken = Trained(partial(toy_trainer, learning_rate=1e30), 64, 64)
    with pytest.raises(NonFinite, match="seed 7"):
        broken(Work((7,), False, lambda share, text: None))


def test_where_divergence_is_a_finding_it_has_a_value():
    broken = Trained(partial(toy_trainer, learning_rate=1e30), 64, 64, diverged={"return": -1.0})
    found = broken(Work((7,), False, lambda share, text: None))
    assert found.values["return"].tolist() == [-1.0] and found.diverged == (True,)
    assert Outcome.from_json(json.loads(json.dumps(found.to_json()))).diverged == (True,)


FILE = """
import numpy as np
from rl_jax.run.claims import Outcome, Prediction, Recipe

def arm(work):
    return Outcome({"score": np.asarray(work.seeds, float)}, steps=1)

def more(work):
    return Outcome({"score": np.asarray(work.seeds, float) + 100}, steps=1)

RECIPE = Recipe(slug="mine", title="Mine", paper="Me", claim="More is more.", environment="none", arms={"arm": arm, "more": more},
                measures={"score": "a number"}, predictions=(Prediction("score", "more", "arm"),))
"""


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "experiments" / "family" / "mine.py"
    path.parent.mkdir(parents=True)
    path.write_text(FILE)
    done = call("reproduce", str(path), "--record")
    assert done.status == 0, done.err
    assert "MINE: HOLDS" in done.err.upper()
    assert done.result["verdict"] == "holds"
    result = json.loads((tmp_path / "experiments" / "results" / "mine.json").read_text())
    assert result["family"] == "family"
    assert (tmp_path / "docs" / "assets" / "claims" / "mine.png").stat().st_size > 1000
    assert (tmp_path / "runs" / "reproduce" / "mine" / "plot.png").exists()
    again = call("reproduce", str(path))
    assert "the numbers are exactly those of mine.json" in again.err
    for args, words in (
        (["streamx"], "did you mean stream-x"),
        ([], "name recipes, or give --study NAME or --all"),
        ([str(path), "--all"], "leave out the names, or --all"),
        ([str(path), "--list"], "give it alone"),
        ([str(path), "--quick", "--record"], "a quick slice is no result"),
        (["other.py"], "there is no file other.py"),
        ([str(path), "--verdict-only", "--quick"], "--verdict-only runs nothing"),
    ):
        refused = call("reproduce", *args)
        assert refused.status == 2
        assert words in refused.err


def test_attempts_are_kept_and_stand_beside_the_verdict(tmp_path, monkeypatch):
    """The same numbers are the same attempt; other ones, or another prediction, are the next, and the file before stays as it was."""
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "experiments" / "family" / "mine.py"
    path.parent.mkdir(parents=True)
    path.write_text(FILE.replace("+ 100", "* 1.001"))
    results = tmp_path / "experiments" / "results"
    first = call("reproduce", str(path), "--record")
    assert first.result["verdict"] == "undecided" and "attempt" not in first.err
    before = (results / "mine.json").read_text()
    call("reproduce", str(path), "--record")
    assert not (results / "attempts").exists()
    path.write_text(FILE)
    shown = call("reproduce", str(path))
    assert "HOLDS   (10 seeds" in shown.err  # not recorded: the same question, answered otherwise by another machine
    second = call("reproduce", str(path), "--record")
    assert "mine: HOLDS (second attempt; first: undecided)" in second.err
    kept = json.loads((results / "attempts" / "mine-1.json").read_text())
    assert {**kept, "date": 0, "seconds": 0} == {**json.loads(before), "date": 0, "seconds": 0}
    path.write_text(FILE.replace('"more", "arm")', '"more", "arm", 500.0)'))
    assert "third attempt; first: undecided, second: holds" in call("reproduce", str(path)).err
    call("reproduce", str(path), "--record")
    third = json.loads((results / "mine.json").read_text())
    assert (third["attempt"], third["verdict"]) == (3, "does not hold")
    assert [about["file"] for about in third["earlier"]] == ["attempts/mine-1.json", "attempts/mine-2.json"]
    other = tmp_path / "experiments" / "family" / "more.py"
    other.write_text(FILE.replace('"mine"', '"more"'))
    assert "more has no committed result to judge" in failed(call("reproduce", str(other), "--verdict-only"))
    again = call("reproduce", str(path), "--verdict-only")
    assert again.result == {"slug": "mine", "verdict": "does not hold", "committed": "does not hold"}
    path.write_text(FILE.replace("RECIPE = Recipe(", "RECIPE = Recipe(seeds=tuple(range(200, 210)), "))
    assert "not compared with mine.json" in call("reproduce", str(path)).err


def test_tables_say_what_an_interquartile_mean_hides():
    """Two of ten runs failed: the interquartile mean is 1 and its interval ends there."""

    def arm(work, failures):
        values = np.repeat([0.0, 1.0], [failures, 10 - failures])
        return Outcome({"score": values}, steps=1, diverged=tuple(values == 0) if failures else ())

    arms = {"ten": partial(arm, failures=2), "zero": partial(arm, failures=10)}
    text = table(run(recipe(arms=arms, curves={}), quiet=True))
    assert re.search(r"ten +1  \[0.\d+, 1\], mean 0.8, 2 of 10 failed", text)
    assert re.search(r"zero +0  \[no spread in 10 seeds\], mean 0, 10 of 10 failed", text)
    assert "(success rates, exact)" in text


def test_a_quick_slice_runs_the_first_prediction_and_every_other_kind_of_arm():
    def other(work):
        return normal(work)

    more = {"ten": partial(normal, mean=10.0), "five": partial(normal, mean=5.0), "zero": partial(normal), "other": other}
    assert list(run(recipe(arms=more), quick=True, quiet=True)["arms"]) == ["ten", "zero", "other"]
    assert list(run(recipe(arms=more), quiet=True)["arms"]) == list(more)


@pytest.mark.slow
@pytest.mark.parametrize("slug", RECIPES)
def test_every_recipe_can_be_judged(slug):
    made, path = library.load(slug)
    assert made.slug == slug and RECIPES[slug].title == made.title
    assert made.departures
    assert path.parents[1].name == "experiments"
    for arm in made.arms.values():
        if isinstance(arm, Trained) and not arm.batched:
            assert arm.make(True).steps_per_update <= arm.quick_steps


@pytest.mark.slow
@pytest.mark.parametrize("slug", RECIPES)
def test_a_committed_result_is_of_the_recipe_as_it_is(slug):
    made, path = library.load(slug)
    file = path.parents[1] / "results" / f"{slug}.json"
    if not file.exists():
        pytest.skip("not run yet")
    result = json.loads(file.read_text())
    assert result["seeds"] == list(made.seeds)
    assert list(result["arms"]) == list(made.arms)
    assert [row["prediction"] for row in result["predictions"]] == [prediction.text() for prediction in made.predictions]
    assert result["departures"] == made.departures
    assert (result.get("study", ""), result.get("paired", False)) == (made.study, made.paired)
    assert [row["gate"] for row in result.get("gates", ())] == [gate.text() for gate in made.gates]
    # The verdict is today's rule of the kept values, and every attempt before it has its file.
    again = judge_again(result)
    assert again["verdict"] == result["verdict"] and again["predictions"] == result["predictions"]
    assert [about["attempt"] for about in result["earlier"]] == list(range(1, result["attempt"]))
    for about in result["earlier"]:
        before = json.loads((file.parent / about["file"]).read_text())
        assert {name: before[name] for name in ("verdict", "seeds", "date")} == {
            n: about[n] for n in ("verdict", "seeds", "date")
        }
        # Another question or setting takes seeds that nothing was seen of; the same ones again are for the same question alone.
        same = attempts.asked(before) == attempts.asked(result) and before["departures"] == result["departures"]
        assert same or not set(before["seeds"]) & set(result["seeds"])


@pytest.mark.slow
@pytest.mark.parametrize("slug", RUN_SMALL)
def test_every_recipe_runs_small(slug, tmp_path, monkeypatch):
    if (RECIPES[slug].study or slug) not in COMPILED:
        trace_only(monkeypatch)
    done = call("reproduce", slug, "--quick", "--out", str(tmp_path))
    assert done.status == 0, done.err
    result = json.loads((tmp_path / slug / "result.json").read_text())
    made, _ = library.load(slug)
    for prediction in made.predictions:
        for side in (prediction.better, prediction.worse):
            if side in result["arms"]:
                assert np.isfinite(result["arms"][side]["values"][prediction.measure]).all()
    assert set(result["curves"]) == set(made.curves)
    assert all(result["curves"][name]["arms"] for name in made.curves)
    assert (tmp_path / slug / "plot.png").stat().st_size > 1000


OWN = """
import {module}
from rl_jax.run.claims import Axes, Outcome, Prediction, Recipe
RECIPE = Recipe(
    slug="mine", title="Mine", paper="Nobody 2026", claim="Ten is more.", environment="none",
    arms={{"ten": {module}.Arm("ten", 10.0), "zero": {module}.Arm("zero", 0.0)}},
    measures={{"score": "a number"}}, predictions=(Prediction("score", "ten", "zero"),), curves={{"line": Axes("x", "y")}},
)
"""
ARMS = """
import dataclasses, os, pathlib
import numpy as np
from rl_jax.run.claims import Outcome
from rl_jax.run.claims.recipe import Curve
from rl_jax.run.claims.table import table

@dataclasses.dataclass(frozen=True)
class Arm:
    name: str
    mean: float
    def __call__(self, work):
        with open("calls", "a") as file:
            file.write(self.name + " ")
        if self.name == "zero" and pathlib.Path("stop").exists():
            raise RuntimeError("a power cut")
        values = self.mean + np.random.default_rng(0).normal(size=len(work.seeds)) / 3
        line = np.stack([values, np.where(values > self.mean, np.nan, values)], axis=1)
        return Outcome({"score": values}, {"line": Curve(np.asarray([1.0, 2.0]), line)}, steps=10)
"""


def without_clock(path):
    result = json.loads(path.read_text())
    for part in (result, *result["arms"].values()):
        part.pop("seconds")
    return {**result, "arms": {name: {**arm, "seconds_compile": 0} for name, arm in result["arms"].items()}}


def test_reproduce_goes_on_where_it_was(tmp_path, monkeypatch):
    """An interrupted recipe ends with the file of one that was not; a changed one begins anew. A module beside it is found."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "arms_beside.py").write_text(ARMS)
    (tmp_path / "mine.py").write_text(OWN.format(module="arms_beside"))
    whole = call("reproduce", "mine.py", "--out", "whole")
    assert whole.status == 0, whole.err
    (tmp_path / "calls").unlink()
    (tmp_path / "stop").touch()
    with pytest.raises(RuntimeError, match="power cut"):
        call("reproduce", "mine.py", "--out", "cut")
    (tmp_path / "stop").unlink()
    assert call("reproduce", "mine.py", "--out", "cut").status == 0
    assert (tmp_path / "calls").read_text() == "ten zero zero "
    assert without_clock(tmp_path / "cut/mine/result.json") == without_clock(tmp_path / "whole/mine/result.json")
    again = call("reproduce", "mine.py", "--out", "cut")
    assert "done before" in again.err and (tmp_path / "calls").read_text() == "ten zero zero "
    call("reproduce", "mine.py", "--out", "cut", "--fresh")
    (tmp_path / "mine.py").write_text(OWN.format(module="arms_beside") + "# changed\n")
    call("reproduce", "mine.py", "--out", "cut")
    assert (tmp_path / "calls").read_text() == "ten zero zero " + "ten zero " * 2


def test_only_what_was_named_is_run(tmp_path, monkeypatch):
    """Files in the working directory or above it are not looked at; listing reads and runs nothing; a bad file is one line."""
    folder = tmp_path / "experiments" / "evil"
    folder.mkdir(parents=True)
    (folder / "stream-x.py").write_text("raise SystemExit('RUN')\nRECIPE = 1\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(library, "run_file", lambda path, *_: pytest.fail(f"{path} is run"))
    listed = call("reproduce", "--list")
    stream_x = next(line for line in listed.out.splitlines() if line.startswith("stream-x"))
    assert re.search(r"holds +second attempt; first: undecided +Streaming", stream_x)
    rows = [line.split()[0] for line in listed.out.splitlines() if not line.startswith("study ")]
    assert listed.status == 0 and "Streaming deep RL works" in listed.out and sorted(rows) == sorted(RECIPES)
    assert library.recipes()["stream-x"].path.is_relative_to(library.root())
    monkeypatch.undo()
    mistakes = {"x = (": "line 1: SyntaxError", "x = 1\ny = x / 0": "line 2: ZeroDivisionError", "x = 1": "defines no RECIPE"}
    for text, words in mistakes.items():
        (tmp_path / "bad.py").write_text(text)
        assert words in failed(call("reproduce", str(tmp_path / "bad.py")))


def test_the_recipe_of_the_page_is_whole(tmp_path):
    page = (Path(__file__).parents[3] / "docs" / "claims.md").read_text()
    (tmp_path / "my-idea.py").write_text(re.search(r'```python title="my-idea.py"\n(.*?)```', page, re.DOTALL)[1])
    made, _ = library.load(str(tmp_path / "my-idea.py"))
    assert list(made.arms) == ["with", "without"] and made.arms["with"].make(True).num_envs == 4
