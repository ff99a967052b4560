"""The first second: what needs no computing imports no jax, names mean the same whatever is imported first, and the list is true."""

import dataclasses
import importlib.util
import operator
import pickle
import subprocess
import sys
import typing
from pathlib import Path
from types import ModuleType

import pytest
from running import call, failed

import rl_jax as rl
from rl_jax._lazy import LazyPackage
from rl_jax.agents.configs import CONFIGS
from rl_jax.agents.configs.spellings import SPELLINGS
from rl_jax.run.cli.catalogue import AGENTS, LIBRARY, environments
from rl_jax.run.cli.listing import show_list
from rl_jax.run.cli.parse import options_of, run_options
from rl_jax.run.options import Evaluate, List, Plot, Render

ROOT = Path(rl.__file__).parent.parent
WITHOUT_JAX = [
    "",
    "--help",
    "--version",
    "trian",
    "train --help",
    "train ppo --help",
    "sweep sac --help",
    "train PPO",
    "train ppo --stpes 5",
    "train ppo --env CartPole-v1 --steps five",
    "train ppo",
    "list",
    "list brax",
    "list nothing-like-it",
    "evaluate --help",
]


def python(code, *args):
    """A process of its own; its output."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, check=True, timeout=120, cwd=ROOT
    )
    return done.stdout


def test_what_needs_no_computing_imports_no_jax():
    code = """
import contextlib, io, sys
from rl_jax.run.cli.console import main
for words in sys.argv[1:]:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()), contextlib.suppress(SystemExit):
        main(words.split())
    print(f"{words!r}", *({"jax", "flax", "optax", "numpy", "matplotlib"} & set(sys.modules)))
"""
    lines = python(code, *WITHOUT_JAX).splitlines()
    assert lines == [repr(words) for words in WITHOUT_JAX]


def test_names_mean_the_same_whatever_is_imported_first():
    """``rl_jax.agents.ppo`` is the function, also after its file of the same name was imported."""
    code = """
import importlib, pkgutil, sys, rl_jax
packages = [rl_jax] + [importlib.import_module(f"rl_jax.{one.name}") for one in pkgutil.iter_modules(rl_jax.__path__) if one.ispkg]
for package in packages:
    for name, (module, attribute) in getattr(package, "_exports", {}).items():
        if module == f"{package.__name__}.{name}":
            importlib.import_module(module)
            print(package.__name__, name, type(getattr(package, name)).__name__)
            assert getattr(package, name) is getattr(sys.modules[module], attribute)
"""
    lines = [line.split() for line in python(code).splitlines()]
    assert ["rl_jax.networks", "actor_critic", "function"] in lines and len(lines) > 5
    assert not [line for line in lines if line[-1] == "module"]


@pytest.mark.parametrize(
    "package", [rl, rl.agents, rl.envs, rl.experience, rl.loop, rl.losses, rl.meta, rl.networks, rl.ops, rl.replay]
)
def test_a_lazy_package_has_what_it_says(package):
    assert isinstance(package, LazyPackage)
    assert set(package.__all__) <= set(dir(package)) and set(package.__all__) <= set(package._exports)
    for name in package.__all__:
        value = getattr(package, name)
        assert isinstance(value, ModuleType) == (package is rl and hasattr(value, "__path__"))
    with pytest.raises(AttributeError, match="no attribute 'nothing_of_it'"):
        package.nothing_of_it  # noqa: B018


def test_everything_at_once():
    names = {}
    exec("from rl_jax import *", names)
    assert names["Trainer"] is rl.Trainer and set(rl.__all__) <= set(names)


@pytest.mark.parametrize("kind", CONFIGS.values(), ids=CONFIGS)
def test_configurations_are_plain_dataclasses(kind):
    made = kind()
    assert getattr(rl.agents.configs, kind.__name__) is kind
    assert pickle.loads(pickle.dumps(made)) == made == dataclasses.replace(made)
    assert set(typing.get_type_hints(kind)) == {item.name for item in dataclasses.fields(kind)}
    assert typing.get_type_hints(kind.agent)["return"] is not None  # what is named for the type checker is there


def test_every_agent_of_the_command_line_says_when_to_choose_it():
    assert list(AGENTS) == list(CONFIGS)
    text = call("list", "agents").out
    for name in ("ppo", "relic", "lpg", "stream-td", "adaptive-rr"):
        assert f"\n{name} " in text
    for agent in LIBRARY.values():
        assert callable(operator.attrgetter(agent.python_name.removeprefix("rl_jax.").partition("(")[0])(rl))


@pytest.mark.parametrize("name", [name for name in CONFIGS if name != "dac"])  # which is no agent without its expert's data
def test_actions_that_the_list_promises(name):
    spaces = {"discrete": rl.envs.Discrete(3), "continuous": rl.envs.Box.of(-1.0, 1.0, (2,))}
    kind = CONFIGS[name]
    shape = (getattr(kind(), "num_envs", 1), getattr(kind(), "rollout_length", 1) or 1)
    for word, space in spaces.items():
        agent, spec = kind().agent(), rl.Spec(rl.envs.Box.of(0.0, 1.0, (4,)), space, *shape)
        if AGENTS[name].actions == "any" or word in AGENTS[name].actions.split(", "):
            agent.bind(spec)
        else:
            with pytest.raises(rl.UnsupportedSpace):
                agent.bind(spec)


def facts():
    """The script that writes the facts."""
    spec = importlib.util.spec_from_file_location("list_environments", ROOT / "scripts" / "list_environments.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_facts_about_environments_are_what_make_returns():
    """All that are quick to make; ``scripts/list_environments.py --check`` compares all."""
    declared, fact = environments(), facts().fact
    assert set(rl.envs.names()) <= set(declared)
    slow = ("brax/", "craftax/", "jumanji/", "navix/", "playground/", "xminigrid/", "MNIST")
    names = [name for name in rl.envs.names() if not name.startswith(slow)] + ["brax/fast"]
    assert [fact(name) for name in names] == [declared[name] for name in names]


def test_list_shows_columns_apart_and_what_is_not_installed(monkeypatch):
    monkeypatch.setattr(rl.envs.suites.extras.Extra, "installed", False)
    lines = call("list", "envs").out.splitlines()
    column = lines[0].index("observation")
    table = [line for line in lines if not line.startswith("?:") and "/..." not in line]
    assert all(line[column - 1] == " " != line[column] for line in table)
    assert len(table) == len(environments()) + 1
    assert "pip install 'rl_jax[craftax]'" in lines[-5]


def test_list_of_one_environment():
    text = call("list", "cartpole-v1").out
    for part in (
        "CartPole-v1",
        "Box(",
        "Discrete(2)",
        "500",
        "of 32 episodes",
        "https://",
        "rl-jax train ppo --env CartPole-v1",
    ):
        assert part in text
    mean = float(text.partition("return ")[2].split()[0])
    assert 15 < mean < 30  # a uniformly random policy's is about 22


def test_list_finds_parts_of_names_and_offers_near_ones():
    lines = call("list", "brax", "--no-spaces").out.splitlines()
    assert "brax/ant" in lines and all(line.startswith("brax/") for line in lines)
    assert "did you mean CartPole-v1" in failed(call("list", "CartPol-v2"))
    assert "ddpg" in call("list", "ddpg").out


def test_spellings_of_others_name_options_that_are_there():
    tables = [run_options(command, agent) for command in ("train", "sweep") for agent in CONFIGS]
    tables += [options_of(kind) for kind in (Evaluate, Render, Plot, List)]
    known = {one.name for table in tables for one in table} | {f"no_{one.name}" for table in tables for one in table}
    assert {name for names in SPELLINGS.values() for name in names} <= known
    for typed, meant in (("--lr", "--learning-rate"), ("--n-envs", "--num-envs"), ("--total-timesteps", "--steps")):
        assert f"did you mean {meant}?" in failed(call("train", "ppo", typed, "3"))
    assert "library" in failed(call("train", "relic")) and "rl_jax.ideas.relic.relic" in failed(call("train", "ReLIC"))
    assert "did you mean ppo?" in failed(call("train", "PPO"))


def test_show_list_takes_its_options():
    with pytest.raises(rl.RLJaxError, match="no agent or environment 'nothing-like-it'"):
        show_list(List("nothing-like-it"))


def test_the_package_takes_its_tables_with_it():
    setup = (ROOT / "setup.py").read_text()
    for file in (ROOT / "rl_jax").rglob("*.tsv"):
        assert f'"{file.parent.relative_to(ROOT / "rl_jax").as_posix()}/*.tsv"' in setup
