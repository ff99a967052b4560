"""Recipes of one's own: what is wrong in the file is one line with its place, and a module beside it is found."""

import json
import re
import sys
from pathlib import Path

import pytest
from running import call, failed

from rl_jax.run.claims import command, library

GOOD = """from rl_jax.run.claims import Outcome, Prediction, Recipe


def arm(work):
    return Outcome({"m": [1.0] * len(work.seeds)}, {})


RECIPE = Recipe(
    slug="mine", title="t", paper="p", claim="c", environment="e", arms={"a": arm, "b": arm}, measures={"m": "unit"},
    predictions=(Prediction("m", "a", "b"),), seeds=tuple(range(100, 110)),
)
"""

MISTAKES = {
    "syntax": ("def arm(work):", "def arm(work:", r"mine\.py, line 4: SyntaxError"),
    "at import": ("RECIPE = Recipe(", "x = [][0]\nRECIPE = Recipe(", r"mine\.py, line 8: IndexError: list index out of range"),
    "exits": ("RECIPE = Recipe(", "raise SystemExit(0)\nRECIPE = Recipe(", r"mine\.py, line 8: SystemExit: 0"),
    "import": (
        "from rl_jax.run.claims",
        "import no_such_module\nfrom rl_jax.run.claims",
        r"mine\.py, line 1: ModuleNotFoundError",
    ),
    "beside": (
        "from rl_jax.run.claims",
        "import bad_beside\nfrom rl_jax.run.claims",
        r"line 1 \(bad_beside\.py, line 3\): KeyError",
    ),
    "beside, syntax": (
        "from rl_jax.run",
        "import odd_beside\nfrom rl_jax.run",
        r"line 1 \(odd_beside\.py, line 2\): SyntaxError",
    ),
    "argument": ('title="t"', 'titel="t"', r"mine\.py, line 8: TypeError: .*unexpected keyword argument 'titel'"),
    "null": ("def arm", "\0def arm", r"mine\.py, line 1: SyntaxError"),
    "none": ("RECIPE =", "RECIPES =", r"mine\.py defines no RECIPE: set RECIPE = "),
    "a number": (
        "RECIPE = Recipe(",
        "RECIPE = dict(",
        r"mine\.py, line 8: RECIPE is of the type dict: let it be a rl_jax\.run",
    ),
    "name": ('slug="mine"', 'slug="yours"', r"mine\.py, line 8: the recipe calls itself 'yours'; name it as its file, 'mine'"),
    "text": ('claim="c"', "claim=3", r"line 8: claim is of the type int: let it be a text"),
    "arms": ('arms={"a": arm, "b": arm}', "arms=[arm, arm]", r"line 8: arms is of the type list: let it be a dictionary"),
    "arm": ('"b": arm}', '"b": 3}', r"line 8: the arm 'b' is of the type int: let it be Trained"),
    "measures": ('measures={"m": "unit"}', 'measures="m"', r"line 8: measures is of the type str: let it be a dictionary"),
    "prediction": (
        '(Prediction("m", "a", "b"),)',
        'Prediction("m", "a", "b")',
        r"line 8: predictions is .*: let it be a tuple",
    ),
    "predictions": (
        '(Prediction("m", "a", "b"),)',
        '("a > b",)',
        r"line 8: a prediction is of the type str: let each be Prediction\(",
    ),
    "seeds": ("tuple(range(100, 110))", "10", r"line 8: seeds is of the type int: let it be a tuple"),
    "seed": ("tuple(range(100, 110))", "(0.5,) * 10", r"line 8: a seed is 0\.5: let each be a whole number"),
    "few": ("tuple(range(100, 110))", "(100,)", r"line 8: mine: a verdict needs at least 10 seeds"),
    "no arm": ('"a", "b")', '"a", "z")', r"line 8: mine: there is no arm 'z': a, b"),
    "trained": ('"b": arm}', '"b": Trained(arm, "many", 1)}', r"steps of the arm 'b' is 'many': let it be a whole number"),
    "made": ('"b": arm}', '"b": Trained(3, 5, 1)}', r"what makes the trainer of the arm 'b' is of the type int"),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_in_a_recipe_of_one_s_own_is_one_line_with_its_place(name, tmp_path, monkeypatch):
    old, new, message = MISTAKES[name]
    monkeypatch.chdir(tmp_path)  # files may be named from here
    monkeypatch.setattr(sys, "path", [*sys.path])
    assert old in GOOD
    text = GOOD.replace(old, new)
    Path("mine.py").write_text(text.replace("claims import", "claims import Trained,", 1) if "Trained" in text else text)
    Path("bad_beside.py").write_text("\n\n{}['a']\n")
    Path("odd_beside.py").write_text("\ndef f(:\n")
    assert re.search(message, failed(call("reproduce", "mine.py")))


def test_a_recipe_of_one_s_own_may_use_a_module_beside_it(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [*sys.path])
    (tmp_path / "seeds_beside.py").write_text("SEEDS = tuple(range(50, 60))\n")
    text = GOOD.replace("from rl_jax.run", "from seeds_beside import SEEDS\nfrom rl_jax.run").replace(
        "tuple(range(100, 110))", "SEEDS"
    )
    (tmp_path / "mine.py").write_text(text)
    assert library.load(str(tmp_path / "mine.py"))[0].seeds == tuple(range(50, 60))


HELPER = """from rl_jax.run.claims import Outcome
def arm(work):
    from {lazy} import VALUE
    return Outcome({{"m": [VALUE + {value} + seed / 1000 for seed in work.seeds]}})
"""
SIGN = """from rl_jax.run.claims import Prediction, Recipe
from {module} import arm
RECIPE = Recipe(slug="{slug}", title="t", paper="p", claim="c", environment="e", arms={{"a": arm}}, measures={{"m": "u"}},
                predictions=(Prediction("m", "a", 0.0),))
"""


@pytest.fixture
def plotless(tmp_path, monkeypatch):
    """A folder to run in, in which nothing is drawn, which takes long."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(command, "_draw", lambda *_: None)
    return tmp_path


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def verdicts(done):
    return {row["slug"]: row["verdict"] for row in map(json.loads, done.out.splitlines())}


def test_each_recipe_has_the_modules_beside_its_own_file(plotless):
    """Also those that an arm imports when it is run."""
    for folder, slug, value in (("f1", "up", 5.0), ("f2", "down", -5.0)):
        write(plotless / folder / "helper.py", HELPER.format(lazy="constant", value=0.0))
        write(plotless / folder / "constant.py", f"VALUE = {value}\n")
        write(plotless / folder / f"{slug}.py", SIGN.format(module="helper", slug=slug))
    path = [*sys.path]
    done = call("reproduce", "f1/up.py", "f2/down.py")
    assert verdicts(done) == {"up": "holds", "down": "does not hold"}, done.err
    assert sys.path == path and not {"helper", "constant"} & sys.modules.keys()


def test_a_change_in_a_package_beside_a_recipe_renews_its_arms(plotless):
    write(plotless / "mine.py", SIGN.format(module="pk.sub.deep", slug="mine"))
    write(plotless / "pk" / "sub" / "deep.py", HELPER.format(lazy="pk", value=0.0))
    for file in ("pk/__init__.py", "pk/sub/__init__.py"):
        for value, verdict in ((5.0, "holds"), (-55.0, "does not hold")):
            write(plotless / "pk" / "sub" / "__init__.py", "")
            write(plotless / "pk" / "__init__.py", "VALUE = 5.0\n")
            write(plotless / file, f"import pk\npk.VALUE = VALUE = {value}\n")
            assert verdicts(call("reproduce", "mine.py")) == {"mine": verdict}, file
