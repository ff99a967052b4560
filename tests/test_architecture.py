"""Rules about the code as a whole."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import rl_jax

ROOT = Path(rl_jax.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))
LONGEST = 250
#: What may be longer, and how long at the most.
LONG = {
    "loop/trainer.py": 340,
    "types.py": 320,
    "run/cli/commands.py": 310,
    "run/devices/compiled_runs.py": 290,
    "run/storage/metrics.py": 260,
}


def name(path):
    return path.relative_to(ROOT).as_posix()


def imports(path):
    """All modules that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_only_the_run_room_imports_the_run_room():
    guilty = [name(p) for p in FILES if not name(p).startswith("run/") and any(m.startswith("rl_jax.run") for m in imports(p))]
    assert not guilty


def test_rooms_below_do_not_look_up():
    """Ingredients know nothing of agents, agents nothing of each other's assembly line."""
    lower = ("ops", "losses", "networks", "experience", "replay", "curricula", "envs")
    lower += ("types.py", "spaces.py", "errors.py", "values.py")
    upper = ("rl_jax.agents", "rl_jax.loop")
    guilty = [
        f"{name(p)}: {module}" for p in FILES if name(p).startswith(lower) for module in imports(p) if module.startswith(upper)
    ]
    assert not guilty


def test_only_the_top_imports_outer_loops():
    guilty = [
        name(p)
        for p in FILES
        if not name(p).startswith(("meta/", "run/", "__init__.py")) and any(m.startswith("rl_jax.meta") for m in imports(p))
    ]
    assert not guilty


def test_files_are_short():
    lengths = {name(path): len(path.read_text().splitlines()) for path in FILES}
    long = {file: count for file, count in lengths.items() if count > LONG.get(file, LONGEST)}
    print({file: count for file, count in lengths.items() if count > LONGEST})
    assert not long


@pytest.mark.parametrize("word", ["pure_callback", "io_callback", r"debug\.callback", r"debug\.print", "host_callback"])
def test_no_program_calls_the_host(word):
    assert not [name(path) for path in FILES if re.search(word, path.read_text())]


def test_no_prints_below_the_run_room():
    guilty = [
        name(path)
        for path in FILES
        if not name(path).startswith("run/")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not guilty


def test_the_library_imports_little():
    """What a research script pays for ``import rl_jax``: no simulator, no plots, no command line, no environments of others."""
    heavy = {"brax", "mujoco", "gymnax", "orbax", "matplotlib", "PIL", "wandb", "tensorboardX", "pygame"}
    heavy |= {extra.package for extra in rl_jax.envs.suites.extras.EXTRAS.values()}
    code = "import sys, rl_jax; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    modules = done.stdout.split()
    assert not heavy & {module.split(".")[0] for module in modules}
    assert not [module for module in modules if module.startswith("rl_jax.run")]
    assert not done.stderr
