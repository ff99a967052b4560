"""Rules about the code as a whole."""

import ast
import collections
import graphlib
import importlib
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
    "loop/trainer.py": 361,
    "types.py": 345,
    "run/cli/commands.py": 310,
    "run/devices/compiled_runs.py": 300,
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


#: Every room, from the ground up: each imports those before it, and none of those after it.
ROOMS = (
    "ops",
    "networks",
    "losses",
    "envs",
    "data",
    "experience",
    "rewards",
    "replay",
    "curricula",
    "agents",
    "loop",
    "meta",
    "ideas",
    "run",
)
#: The same within the room that runs things; three files of it are on the ground.
RUN = (
    "options",
    "failures",
    "stopping",
    "devices",
    "storage",
    "report",
    "pictures",
    "training",
    "python",
    "bench",
    "claims",
    "cli",
)
GROUND = (
    "_lazy",
    "errors",
    "imports",
    "values",
    "argument_checks",
    "types",
    "masks",
    "array_spaces",
    "spaces",
    "action_map",
    "tracing",
)
SIBLINGS, NAMES = 14, 30
#: Names that two files may have, since their folders say which is which.
SAME_NAMES = {"actor_critic", "base", "command", "dqn", "metrics", "on_policy", "parts", "progress", "r2d2", "streaming"}
SAME_NAMES |= {"offline", "record", "attempts", "grpo", "trial", "update", "world"}


def room(module, depth=1):
    """The room of ``rl_jax.room.file``, or at depth 2 that of ``rl_jax.run.room.file``; empty for the package itself."""
    return (*module.split("."), "", "")[depth]


def module_of(path):
    return "rl_jax." + name(path).removesuffix(".py").replace("/", ".").removesuffix(".__init__")


def arrows(depth=1):
    """``(file, room, room that it imports)``."""
    for path in FILES:
        mine = module_of(path)
        for module in imports(path):
            if module.startswith("rl_jax.") and room(module, depth) != room(mine, depth):
                yield name(path), room(mine, depth), room(module, depth)


def test_arrows_between_rooms_run_one_way():
    """Ingredients know nothing of agents, agents nothing of the loop, and nothing knows the ideas but who asks for one by name."""
    order = (*GROUND, *ROOMS)
    top = [path for path in FILES if path.parent == ROOT]
    rooms = {room(module_of(path)) for path in FILES if path not in top}
    assert rooms == set(ROOMS) and {path.stem for path in top} == {*GROUND, "__init__"}
    guilty = [
        f"{file}: {there}"
        for file, here, there in arrows()
        if here and here in ROOMS and there in ROOMS and order.index(there) > order.index(here)
    ]
    assert not guilty
    assert not [file for file, here, there in arrows() if here in GROUND and there in ROOMS]


def test_arrows_within_the_run_room_run_one_way():
    files = [(file, here, there) for file, here, there in arrows(2) if file.startswith("run/")]
    guilty = [
        f"{file}: {there}" for file, here, there in files if here in RUN and there in RUN and RUN.index(there) > RUN.index(here)
    ]
    assert not guilty
    assert {path.relative_to(ROOT / "run").parts[0].removesuffix(".py") for path in (ROOT / "run").rglob("*.py")} == {
        *RUN,
        "__init__",
    }


def test_no_file_is_imported_by_what_it_imports():
    """Nor at a distance: a circle of files means that two of them are one."""
    exported = {}
    for path in FILES:
        if path.name == "__init__.py":
            package = importlib.import_module(module_of(path))
            for export, (module, attribute) in getattr(package, "_exports", {}).items():
                exported[f"{module_of(path)}.{export}"] = module if module != module_of(path) else f"{module}.{attribute}"
    known = {module_of(path) for path in FILES if path.name != "__init__.py"}
    graph = {}
    for path in FILES:
        if path.name != "__init__.py":
            found = {exported.get(module, module) for module in imports(path)}
            graph[module_of(path)] = (found & known) - {module_of(path)}
    try:
        tuple(graphlib.TopologicalSorter(graph).static_order())
    except graphlib.CycleError as circle:
        pytest.fail(" <- ".join(circle.args[1]))


def test_no_idea_imports_another():
    """When a second paper needs a part, the part moves into its room."""
    for path in (ROOT / "ideas").rglob("*.py"):
        for module in imports(path):
            mine = module.startswith(f"rl_jax.ideas.{path.parent.name}._")
            assert mine or not module.startswith("rl_jax.ideas"), f"{name(path)} imports {module}"


def test_rooms_are_small():
    """A reader sees at once what is in a folder, and what a room offers."""
    folders = {path.parent for path in FILES}
    crowded = {
        name(folder): many for folder in folders if (many := len({*folder.glob("*.py")} - {folder / "__init__.py"})) > SIBLINGS
    }
    assert not crowded
    for package in ("", *ROOMS):
        offered = getattr(importlib.import_module(f"rl_jax.{package}".rstrip(".")), "__all__", ())
        assert len(offered) <= NAMES, f"{package} lists {len(offered)} names"


def test_no_name_occurs_twice():
    counts = collections.Counter(path.stem for path in FILES if path.name != "__init__.py")
    assert {stem for stem, count in counts.items() if count > 1} <= SAME_NAMES


def test_tests_mirror_the_tree():
    folders = {path.parent.relative_to(ROOT.parent / "tests") for path in (ROOT.parent / "tests").rglob("test_*.py")}
    assert all((ROOT / folder).is_dir() for folder in folders)


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
