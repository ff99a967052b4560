"""Studies: shared arms run once, claims apart; gates name themselves; and everything is found that a claim's file imports."""

import json
import re
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from running import call, failed

from rl_jax.errors import RLJaxError
from rl_jax.run.claims import Gate, Outcome, Prediction, Study, command, library
from rl_jax.run.claims.judge import judge, judge_again
from rl_jax.run.claims.table import table

STUDY = """
import pathlib
import numpy as np
from studies.helper import LIFT
from rl_jax.run.claims import Gate, Outcome, Study

class Arm:
    def __init__(self, name, mean):
        self.name, self.mean = name, mean
    def __call__(self, work):
        with open("calls", "a") as file:
            file.write(self.name + " ")
        if self.name == "c" and pathlib.Path("stop").exists():
            raise RuntimeError("a power cut")
        seeds = np.asarray(work.seeds, float)
        return Outcome({"score": self.mean + LIFT + seeds / 1000}, steps=10, updates=5, data=20_000, calls=0)

STUDY = Study(name="toy", environment="none", arms={name: Arm(name, mean) for name, mean in (("a", 3.0), ("b", 2.0), ("c", 1.0))},
              measures={"score": "a number"}, gates=(Gate("b learns", "score", "b", low=1.0),), departures="Shared.", minutes=4)
"""
CLAIM = """
from studies.toy import STUDY
from rl_jax.run.claims import Prediction
RECIPE = STUDY.recipe(slug="{slug}", title="Claim {slug}", paper="p", claim="c", predictions=(Prediction("score", {sides}),),
                      departures="Own.")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder of experiments with one study and two claims, of which the second needs an arm more."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(command, "_draw", lambda *_: None)  # which takes long
    for name, text in (
        ("studies/toy.py", STUDY),
        ("studies/helper.py", "LIFT = 0.0\n"),
        ("family/one.py", CLAIM.format(slug="one", sides='"a", "b"')),
        ("other/two.py", CLAIM.format(slug="two", sides='"b", "c"')),
    ):
        path = tmp_path / "experiments" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "experiments"


def calls():
    """Which arms have been run since the last time this was asked."""
    path = Path("calls")
    found = path.read_text().split() if path.exists() else []
    path.unlink(missing_ok=True)
    return found


def results(out):
    return {slug: json.loads(Path(out, slug, "result.json").read_text()) for slug in ("one", "two")}


def test_a_study_runs_each_arm_once_and_writes_a_result_for_each_claim(folder):
    done = call("reproduce", "--study", folder / "studies" / "toy.py", "--out", "out")
    assert done.status == 0, done.err
    assert calls() == ["a", "b", "c"]
    found = results("out")
    assert [list(result["arms"]) for result in found.values()] == [["a", "b"], ["b", "c"]]
    assert {(result["study"], result["verdict"], result["departures"]) for result in found.values()} == {
        ("toy", "holds", "Shared. Own.")
    }
    assert {name: found["one"]["arms"]["a"][name] for name in ("steps", "updates", "data", "calls")} == {
        "steps": 10,
        "updates": 5,
        "data": 20_000,
        "calls": 0,
    }
    assert "10 steps, 5 updates, 20k transitions given, " in done.err
    assert [json.loads(line)["slug"] for line in done.out.splitlines()] == ["one", "two"]


def test_a_claim_by_itself_runs_its_own_arms_and_several_share_them(folder):
    one, two = folder / "family" / "one.py", folder / "other" / "two.py"
    call("reproduce", one, "--out", "alone")
    assert calls() == ["a", "b"]
    call("reproduce", one, two, "--out", "both")
    assert calls() == ["a", "b", "c"]
    call("reproduce", one, two, "--out", "both", "--fresh")
    assert calls() == ["a", "b", "c"]
    # Quick and whole runs do not overwrite one another.
    call("reproduce", one, "--out", "both", "--quick")
    assert calls() == ["a", "b"]
    call("reproduce", one, "--out", "both")
    assert calls() == []


def test_an_interrupted_study_goes_on_and_changes_begin_it_anew(folder):
    study, two = folder / "studies" / "toy.py", folder / "other" / "two.py"
    Path("stop").touch()
    with pytest.raises(RuntimeError, match="a power cut"):
        call("reproduce", "--study", study, "--out", "cut")
    Path("stop").unlink()
    assert calls() == ["a", "b", "c"]
    call("reproduce", "--study", study, "--out", "cut")
    assert calls() == ["c"]
    call("reproduce", "--study", study, "--out", "whole")
    clock = {"seconds": 0, "arms": 0}
    for slug, result in results("cut").items():
        assert {**result, **clock} == {**results("whole")[slug], **clock}
    calls()
    two.write_text(two.read_text().replace('"c")', '"c", 0.5)'))  # another margin: the same arms
    call("reproduce", "--study", study, "--out", "cut")
    assert calls() == []
    (folder / "studies" / "helper.py").write_text("from .lift import LIFT\n")
    for lift in (0.5, 1.0):
        (folder / "studies" / "lift.py").write_text(f"LIFT = {lift}\n")
        calls()
        call("reproduce", "--study", study, "--out", "cut")
    assert calls() == ["a", "b", "c"]
    assert results("cut")["one"]["arms"]["a"]["values"]["score"][0] == pytest.approx(4.1)


def test_arms_of_one_claim_alone_are_kept_with_its_file(folder):
    one = folder / "family" / "one.py"
    text = one.read_text().replace("from rl_jax", "from studies.toy import Arm\nfrom rl_jax")
    one.write_text(text.replace("departures", 'arms={"mine": Arm("mine", 9.0)}, shown=("c",), departures'))
    call("reproduce", "--study", folder / "studies" / "toy.py", "--out", "out")
    assert calls() == ["a", "b", "c", "mine"]
    one.write_text(one.read_text() + "# changed\n")
    call("reproduce", one, "--out", "out")
    assert calls() == ["mine"]


def test_each_folder_has_its_own_studies(folder, tmp_path):
    """Two folders may call a study by the same name."""
    other = tmp_path / "elsewhere"
    for path in [*folder.rglob("*.py")]:
        copy = other / path.relative_to(folder)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text().replace("LIFT = 0.0", "LIFT = 5.0").replace('"none"', '"other"'))
    first, second, third = (library.load(str(root / "family" / "one.py"))[0] for root in (folder, other, folder))
    assert (first.environment, second.environment) == ("none", "other")
    assert third.arms["a"] is first.arms["a"] is library.load(str(folder / "family" / "one.py"))[0].arms["a"]
    assert first.arms["b"] is library.load(str(folder / "other" / "two.py"))[0].arms["b"]  # one study, imported once


def test_a_claim_beside_the_folder_of_studies(folder):
    (folder / "three.py").write_text(CLAIM.format(slug="three", sides='"a", "c"'))
    assert library.load(str(folder / "three.py"))[0].study == "toy"
    assert len(library.claims_of(str(folder / "studies" / "toy.py"))) == 3


@pytest.mark.parametrize(
    ("imports", "made"),
    [
        ("from studies.toy import STUDY", "RECIPE: Recipe = STUDY.recipe("),
        ("from studies.toy import STUDY as shared", "RECIPE = shared.recipe("),
        ("from studies import toy", "RECIPE = toy.STUDY.recipe("),
        ("import studies.toy", "RECIPE = studies.toy.STUDY.recipe("),
        ("import studies.toy as t", "s = t.STUDY\nRECIPE = s.recipe("),
    ],
)
def test_a_claim_is_found_however_its_study_is_imported(folder, imports, made):
    one, study = folder / "family" / "one.py", str(folder / "studies" / "toy.py")
    text = one.read_text().replace("import Prediction", "import Prediction, Recipe")
    one.write_text(text.replace("from studies.toy import STUDY", imports).replace("RECIPE = STUDY.recipe(", made))
    assert library.claims_of(study) == [str(one), str(folder / "other" / "two.py")]
    assert library.load(str(one))[0].study == "toy"


def test_two_files_of_one_name_are_refused(folder):
    """Each would overwrite the other's result."""
    one, twin = folder / "family" / "one.py", folder / "other" / "one.py"
    twin.write_text(one.read_text())
    for args in ((one, twin), ("--study", folder / "studies" / "toy.py")):
        failed(call("reproduce", *args), f"{one} and {twin} would both write the result 'one'")
    assert calls() == []
    assert call("reproduce", one, one).status == 0 and calls() == ["a", "b"]


def test_a_claim_that_fails_does_not_stop_the_others(folder):
    (folder / "family" / "zero.py").write_text(CLAIM.format(slug="zero", sides='"b", "c"'))
    (folder / "family" / "last.py").write_text(CLAIM.format(slug="last", sides='"a", "c"'))
    study = folder / "studies" / "toy.py"
    study.write_text(STUDY.replace("seeds = np", 'seeds = (np.nan if self.name == "a" else 1.0) * np'))
    done = call("reproduce", "--study", study, "--quiet")
    assert done.status == 2
    assert [json.loads(line)["slug"] for line in done.out.splitlines()] == ["zero", "two"]
    errors = done.err.splitlines()
    for line, slug in zip(errors, ("last", "one"), strict=False):
        assert line.startswith(f"rl-jax: error: {slug}: arm 'a' has")
    assert errors[2:] == ["rl-jax: error: 2 of 4 recipes failed, as said above: last, one"]
    judged = call("reproduce", folder / "family" / "zero.py", folder / "other" / "two.py", "--verdict-only")
    assert judged.status == 2 and judged.err.count("no committed result") == 2


def test_a_quick_slice_says_which_arms_it_leaves_out(folder):
    one, study = folder / "family" / "one.py", folder / "studies" / "toy.py"
    one.write_text(one.read_text().replace("departures", 'shown=("c",), departures'))
    study.write_text(
        "from functools import partial\n"
        + STUDY.replace("name: Arm(", "name: partial(Arm.__call__, Arm(").replace("mean) for", "mean)) for")
    )
    done = call("reproduce", one, "--quick")
    assert done.result["left_out"] == ["c"]
    assert "one: NOT JUDGED because of --quick" in done.err
    assert done.err.splitlines()[-1] == "  2 of 3 arms were run; --quick leaves out c"
    assert "left_out" not in call("reproduce", one).result


def test_the_list_shows_studies_with_their_claims(folder, monkeypatch):
    (folder / "family" / "alone.py").write_text("RECIPE = Recipe(title='By itself')\n")
    monkeypatch.setattr(library, "root", lambda: folder)
    monkeypatch.setattr(library, "run_file", lambda path, *_: pytest.fail(f"{path} is run"))
    lines = call("reproduce", "--list").out.splitlines()
    assert [line.split()[0] for line in lines] == ["alone", "study", "one", "two"]
    assert lines[1] == "study toy, about 4 minutes" and lines[2].startswith("  one") and "Claim two" in lines[3]
    assert library.claims_of("toy") == ["one", "two"]


def test_what_cannot_be_run_is_one_line(folder):
    (folder / "studies" / "lonely.py").write_text("STUDY = 1\n")
    one, study = folder / "family" / "one.py", folder / "studies" / "toy.py"
    for args, words in (
        (["--study", "zzz"], "there is no study 'zzz'; 'rl-jax reproduce --list' shows all"),
        (["--study", folder / "studies" / "no.py"], "name a study by its file, studies/NAME.py"),
        (["--study", one], "name a study by its file, studies/NAME.py"),
        (["--study", folder / "studies" / "lonely.py"], "let one say RECIPE = STUDY.recipe(...)"),
        (["--study", study, one], "leave out the names and --all, or --study"),
        (["--study", study, "--all"], "leave out the names and --all, or --study"),
        (["--study", study, "--list"], "give it alone"),
    ):
        failed(call("reproduce", *args), words)
    good = one.read_text()
    for old, new, words in (
        ('"a", "b"', '"a", "z"', "line 4: one: there is no arm 'z': a, b, c"),
        ("departures", 'shown=("z",), departures', "the study toy has no arm 'z': a, b, c"),
        ("departures", 'gates=("z",), departures', "line 4: the study toy has no gate 'z': b learns"),
        ("departures", 'arms={"a": print}, departures', "line 4: the study toy has an arm 'a' too"),
        ("studies.toy", "studies.toy_missing", "ModuleNotFoundError"),
    ):
        one.write_text(good.replace(old, new))
        failed(call("reproduce", one), words)
    one.write_text(good)
    study.write_text(STUDY.replace("import pathlib", "import pathlib\nx = [][0]"))
    failed(call("reproduce", one), "one.py, line 2 (toy.py, line 3): IndexError")
    study.write_text(STUDY.replace('name="toy"', 'name="tox"'))
    failed(call("reproduce", one), "there is no file studies/tox.py: name the study as its file")
    assert calls() == []


def test_the_study_of_the_page_is_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    page = (Path(__file__).parents[3] / "docs" / "claims.md").read_text()
    for name, text in re.findall(r'```python title="(\w+/[\w.-]+)"\n(.*?)```', page, re.DOTALL):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    (path,) = library.claims_of(str(tmp_path / "studies" / "fine_tuning.py"))
    made, _ = library.load(path)
    assert (
        list(made.arms) == ["from scratch", "tuned, 1e-3", "tuned, 1e-5"] and made.paired and made.gates[0].arm == "tuned, 1e-5"
    )
    first, second = (made.arms[name].phases for name in ("tuned, 1e-3", "tuned, 1e-5"))
    assert first[0] is second[0] and made.arms["tuned, 1e-3"].share == "pretrained"
    one, other = (phases[1].make(True, {}) for phases in (first, second))
    assert jax.tree.structure(one) == jax.tree.structure(other)  # numbers alone: compiled once


def outcomes(**means):
    return {name: Outcome({"score": mean + np.linspace(0, 0.1, 12), "won": np.ones(12)}) for name, mean in means.items()}


def study(*gates, **changes):
    arms = dict.fromkeys(("base", "method"), lambda work: None)
    measures = {"score": "a number", "won": "1 or 0"}
    made = Study("toy", "none", arms, measures, gates=gates, seeds=tuple(range(100, 112)), **changes)
    predictions = (Prediction("score", "method", "base"),)
    return made.recipe(slug="toy", title="Toy", paper="p", claim="c", predictions=predictions)


def test_a_failed_gate_leaves_a_claim_undecided_and_names_itself():
    learns, band = (
        Gate("method learns", "score", "method", 0.5, baseline="base"),
        Gate("base in band", "score", "base", 0.1, 0.4),
    )
    won = Gate("all won", "won", "base", low=1.0)
    for gates, means, verdict, failing in (
        ((learns, band, won), {"base": 0.2, "method": 1.0}, "holds", []),
        ((learns, band), {"base": 0.2, "method": 0.6}, "undecided", ["method learns"]),
        ((learns, band), {"base": 0.6, "method": 1.7}, "undecided", ["base in band"]),
        ((band,), {"base": 0.2, "method": 0.0}, "does not hold", []),
        ((band,), {"base": 0.0, "method": -1.0}, "undecided", ["base in band"]),
    ):
        recipe = study(*gates)
        recipe.check()
        found = judge(recipe, outcomes(**means))
        assert found.verdict == verdict
        assert [row["name"] for row in found.gates if not row["passed"]] == failing
    # Interquartile means of 12 values from x to x + 0.1 lie at x + 0.05.
    assert found.gates[0]["value"] == pytest.approx(0.05)
    assert found.gates[0]["gate"] == "base in band: score of base at least 0.1 and at most 0.4"
    result = {"slug": "toy", "title": "Toy", "paper": "p", "seeds": list(range(12)), "measures": {"score": "a number"}}
    arms = {
        name: {"values": {"score": list(one.values["score"])}, "steps": 1, "seconds": 1, "failed": []}
        for name, one in outcomes(**means).items()
    }
    result |= {
        "verdict": "holds",
        "predictions": found.predictions,
        "gates": found.gates,
        "arms": arms,
        "seconds": 1,
        "paired": False,
    }
    again = judge_again(json.loads(json.dumps(result, allow_nan=False)))
    assert (again["verdict"], again["gates"]) == ("undecided", found.gates)
    text = table(again)
    assert "toy: UNDECIDED (gate 'base in band' failed)" in text and "fails: gate base in band: score" in text


def test_gates_that_nothing_could_fail_are_refused():
    for gate, words in (
        (Gate("g", "score", "base"), "give low, high or both"),
        (Gate("g", "score", "base", 2.0, 1.0), "give low, high or both"),
        (Gate("g", "score", "base", float("nan")), "give low, high or both"),
        (Gate("g", "length", "base", 1.0), "'length' is no measure"),
    ):
        with pytest.raises(RLJaxError, match=words):
            study(gate).check()
    with pytest.raises(RLJaxError, match="no arm 'z'"):
        study(Gate("g", "score", "method", 1.0, baseline="z")).check()
    with pytest.raises(RLJaxError, match="two gates are called 'g'"):
        study(*[Gate("g", "score", "method", 1.0)] * 2).check()


def test_pairs_are_part_of_the_study_and_of_the_result():
    common = np.random.default_rng(0).normal(0, 10, 12)
    values = {"base": common, "method": common + np.random.default_rng(1).normal(1, 0.3, 12)}
    runs = {name: Outcome({"score": x}) for name, x in values.items()}
    alone, (row,), _ = judge(study(), runs)
    together, (paired,), _ = judge(study(paired=True), runs)
    assert (alone, together) == ("undecided", "holds")
    assert paired["ci95_unpaired"] == row["ci95"] and "ci95_unpaired" not in row
    assert paired["ci95"][0] > row["ci95"][0]
