"""The documentation is true: it builds without a warning, its links lead somewhere, its code runs, its sketches fit."""

import dataclasses
import importlib.util
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import jax
import pytest

import rl_jax
from rl_jax.agents.configs import CONFIGS
from rl_jax.run.options import RunOptions

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *(path for path in (ROOT / "docs").rglob("*.md") if "_generated" not in path.parts)])
BLOCK = re.compile(r"(<!-- run -->\n+)?```python(?: title=\"([^\"]+)\")?[^\n]*\n(.*?)```", re.S)
SLOTS = ROOT / "docs" / "slots.py"


def name(path):
    return path.relative_to(ROOT).as_posix()


def installed(module):
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=f"{module} is not installed")


def tool(*args):
    environment = {**os.environ, "NO_COLOR": "1", "NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run([sys.executable, "-m", *args], cwd=ROOT, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.slow
@installed("mkdocs")
@installed("mkdocstrings")
def test_the_site_builds_without_a_warning(tmp_path):
    result = tool("mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site"))
    assert result.returncode == 0, result.stderr
    page = (tmp_path / "site" / "reference" / "types" / "index.html").read_text()
    assert "rl_jax.types.Rollout" in page
    text = re.sub(r"<details.*?</details>", "", page, flags=re.S)  # without the source code shown
    assert not re.search(r":(?:class|func|meth):", text), "a docstring's role was not turned into a link"
    results = (tmp_path / "site" / "results" / "index.html").read_text()
    assert "generated:" not in results


@pytest.mark.parametrize("page", [page for page in PAGES if page.parent == ROOT], ids=name)
def test_links_outside_the_site_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not missing


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_code_fits_its_column(page):
    """A hundred characters are what the site's column shows without scrolling sideways."""
    code = re.findall(r"^( *)```\w+[^\n]*\n(.*?)^\1```", page.read_text(), re.S | re.M)
    assert [line for _, block in code for line in block.splitlines() if len(line) > 100] == []


class Block(NamedTuple):
    """Python code of a page; with a file's name it is that whole file."""

    run: bool
    file: str
    code: str

    def write(self, folder, code):
        (folder / self.file).parent.mkdir(exist_ok=True)
        (folder / self.file).write_text(code)

    @property
    def small(self):
        """With at most 2000 steps."""
        return re.sub(r"\b\d+_000\b", lambda match: str(min(int(match[0].replace("_", "")), 2000)), self.code)


def blocks(page):
    return [Block(bool(run), file, code) for run, file, code in BLOCK.findall(page.read_text())]


WITH_CODE = [page for page in PAGES if any(block.run for block in blocks(page))]
WITH_FILES = [page for page in PAGES if any(block.file for block in blocks(page))]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The reader's, from which Python imports, with modules of its own and a main one."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for module in [name for name in sys.modules if name.split(".")[0] == "studies"]:  # those of another folder
        monkeypatch.delitem(sys.modules, module)
    before = set(sys.modules)
    # Classes look up their own module while they are decorated.
    for module in ("documentation", "__main__"):
        monkeypatch.setitem(sys.modules, module, type(sys)(module))
    yield tmp_path
    for module in set(sys.modules) - before:
        if str(getattr(sys.modules[module], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[module]


@pytest.mark.slow
@pytest.mark.parametrize("page", WITH_CODE, ids=name)
def test_code_runs(page, folder, capsys):
    """The blocks of a page in order, as a reader runs them: files as files, by pytest's rule if tests; the others in one namespace."""
    shared = {"__name__": "documentation"}
    # JAX's check for reused keys takes the smallest vmapped scan over keys for a reuse.
    with jax.debug_key_reuse(False):
        for block in blocks(page):
            if not block.run:
                continue
            if block.file:
                block.write(folder, block.small)
                found = runpy.run_path(block.file, run_name="__main__")
                tests = [value for key, value in found.items() if key.startswith("test_")]
                assert bool(tests) == block.file.startswith("test_")
                for test in tests:
                    test()
            else:
                exec(compile(block.small, name(page), "exec"), shared)


@pytest.mark.parametrize("page", WITH_FILES, ids=name)
def test_a_block_with_a_file_s_name_is_a_whole_file(page, folder, monkeypatch):
    """Each can be imported alone, and then trains nothing."""

    def refuse(*args):
        raise AssertionError("trains when it is imported")

    monkeypatch.setattr(rl_jax.Trainer, "init", refuse)
    named = [block for block in blocks(page) if block.file]
    for block in named:
        block.write(folder, block.code)
    for block in named:
        assert any(key[0] != "_" for key in runpy.run_path(block.file, run_name="imported"))
        # But a test imports what it tests, and a recipe what it measures.
        own = block.file.removesuffix(".py").removeprefix("test_").replace("-", "_")
        others = {other.file.removesuffix(".py") for other in named} - {own}
        assert not others & set(re.findall(r"(?m)^ *(?:from|import) (\w+)", block.code)), block.file


def test_the_library_fits_into_ten_lines():
    block = next(block.code for block in blocks(ROOT / "README.md") if block.run)
    assert len([line for line in block.splitlines() if line.strip()]) < 10


def test_options_in_commands_exist():
    for page in PAGES:
        for agent, rest in re.findall(r"(?m)^(?:rl-jax|scripts/run) (?:train|sweep) ([\w-]+) (.*)$", page.read_text()):
            known = {field.name for kind in (CONFIGS[agent], RunOptions) for field in dataclasses.fields(kind)}
            for option in re.findall(r"--([a-z-]+)", rest.split("#")[0]):
                assert option.replace("-", "_").removeprefix("no_") in known, (name(page), agent, option)


def test_defaults_in_tables_come_from_the_configurations():
    """A default that is written by hand is wrong one day; DDPG's tau once was."""
    spec = importlib.util.spec_from_file_location("docs_defaults", ROOT / "scripts" / "docs_defaults.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for page in (ROOT / "docs" / "agents").glob("*.md"):
        text = page.read_text()
        assert not re.search(r"(?m)^\|.*\| default \|", text), (page.name, "a column of defaults is written by hand")
        unmarked = re.findall(r"(?m)^\| `--.*|^\|.*\| `--[^|]*\|$", module.MARK.sub("", text))
        assert not unmarked, (page.name, "options without their defaults: put a mark before the table")
    td3 = module.with_defaults((ROOT / "docs" / "agents" / "td3.md").read_text())
    row = next(row for row in td3.splitlines() if row.startswith("| DDPG: step sizes"))
    assert row.endswith("| `--actor-learning-rate`, `--learning-rate`, `--tau` | 0.001, 0.001, 0.01 |")
    dqn = module.with_defaults((ROOT / "docs" / "agents" / "dqn.md").read_text())
    assert "| `--n-step` | dqn: 1; rainbow: 3 |" in dqn and "| `--double` | dqn: `--no-double`; rainbow: `--double` |" in dqn
    with pytest.raises(ValueError, match="none of ppo has the option --tau"):
        module.with_defaults("<!-- defaults: ppo -->\n\n| option |\n|---|\n| `--tau` |\n")


def test_traps_are_all_there_with_tests_that_exist():
    page = (ROOT / "docs" / "traps.md").read_text()
    assert re.findall(r"(?m)^\| (T\d+) \|", page) == [f"T{i}" for i in range(1, 32)]
    tests = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    for test in re.findall(r"`(test_\w+)`", page):
        assert f"def {test}(" in tests, test


def test_every_idea_on_the_page_has_a_checked_sketch():
    source = SLOTS.read_text()
    sections = re.findall(r"# --8<-- \[start:(.+)\]\n(.*?)# --8<-- \[end:\1\]", source, re.S)
    page = (ROOT / "docs" / "slots.md").read_text()
    assert re.findall(r"(?m)^## (\S+)$", page) == [slug for slug, _ in sections]
    for slug, text in sections:
        assert re.search(r"(?m)^(?:_\w+: |def \w+\()", text), f"nothing of {slug} is compared with a protocol"


@pytest.mark.slow
@installed("mypy")
def test_sketches_keep_the_protocols(tmp_path):
    # The check would notice, in a copy: without one argument a transform is none.
    broken = tmp_path / "broken.py"
    text = SLOTS.read_text().replace(
        "rollout: Rollout, context: Context) -> tuple[TrajectoryQueue", "rollout: Rollout) -> tuple[TrajectoryQueue"
    )
    broken.write_text(text)
    result = tool("mypy", "--follow-imports=silent", str(SLOTS), str(broken))
    errors = [line for line in result.stdout.splitlines() if ": error: " in line]
    assert errors and all("broken.py" in line for line in errors), result.stdout
    assert 'expression has type "MinimaxWinner"' in result.stdout
