"""A digest that is the same in every process, and tells trainers apart by all but the code of their parts."""

import os
import re
import subprocess
import sys
import threading
from collections import deque
from fractions import Fraction
from functools import partial
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import optax
import own_parts
import pytest
from recorded import ALONE, FACTORIES

import rl_jax as rl
from rl_jax.agents.configs import CONFIGS
from rl_jax.run.storage.trainer_digest import trainer_digest


def sac(rate=1e-3, norm=1.0):
    """SAC with an optimiser that is made of functions within functions."""
    schedule = optax.linear_schedule(rate, 0.0, 9)
    return rl.agents.sac(optimizer=optax.chain(optax.clip_by_global_norm(norm), optax.adamw(schedule)))


def test_everything_but_code_counts():
    shared = (8, 8)
    values = [
        *(sac(), sac(rate=1e-4), sac(norm=0.5), own_parts.Reinforce(), own_parts.Reinforce(0.2)),
        *(own_parts.Reinforce(net=own_parts.Net(5)), own_parts.Bonus(), own_parts.Line(), own_parts.Line(time_limit=6)),
        *(jnp.zeros(2), jnp.zeros(3), np.float32(1), 1.0, 1, True, None, "1", {"a": 1}, {"a": 2}, [1], (1,), {1}),
        *(partial(max, 1), partial(max, 2), lambda x: x + 1, lambda x: x + 2, lambda x, y=1: x, lambda x, y=2: x, shared),
    ]
    assert len({trainer_digest(value) for value in values}) == len(values)
    # Whether equal parts are one object says nothing.
    assert trainer_digest([shared, shared]) == trainer_digest([(8, 8), tuple([8, 8])])
    loop = []
    loop.append(loop)
    assert trainer_digest(loop) == trainer_digest([loop][0])


class Slots:
    """Content that stands in no ``__dict__``."""

    __slots__ = ("width",)

    def __init__(self, width):
        self.width = width


class Mixed(Slots):
    """Slots, and attributes besides."""

    def __init__(self, width, depth):
        super().__init__(width)
        self.depth = depth


#: Two values each, which a trainer must not be resumed with one for the other.
PAIRS = {
    "a list in a body": (lambda: jnp.array([1e-3, 1e-3, 1e-4]), lambda: jnp.array([9e-1, 9e-1, 9e-1])),
    "a tuple in a body": (lambda make: make(hidden=(64, 64)), lambda make: make(hidden=(32, 32))),
    "a tuple in a tuple": (lambda x: x[(1, ("a", 2))], lambda x: x[(1, ("a", 3))]),
    "a set in a body": (lambda x: x in {"a", "b", "c"}, lambda x: x in {"a", "b", "d"}),
    "keyword names": (lambda make: make(gamma=0.9), lambda make: make(lam=0.9)),
    "functions within": (lambda: lambda x: x in (1, 2), lambda: lambda x: x in (1, 3)),
    "paths": (Path("a"), Path("b")),
    "slots": (Slots(1), Slots(2)),
    "slots beside attributes": (Mixed(1, 2), Mixed(2, 2)),
    "attributes beside slots": (Mixed(1, 2), Mixed(1, 3)),
    "ranges": (range(3), range(4)),
    "slices": (slice(1), slice(2)),
    "queues": (deque(["a"], 3), deque(["b"], 3)),
    "lengths of queues": (deque(["a"], 3), deque(["a"], 4)),
    "fractions": (Fraction(1, 2), Fraction(1, 3)),
    "patterns": (re.compile("a"), re.compile("b")),
    "methods of patterns": (re.compile("a").match, re.compile("b").match),
    "keys of mappings": ({1: 2}, {"1": 2}),
    "functions as keys": ({min: 2, Slots: 1}, {max: 2, Slots: 1}),
    "kinds of sets": ({"a", "b"}, frozenset({"a", "b"})),
    "arrays of objects": (np.array(["a", None], object), np.array(["b", None], object)),
}
SAME = [sac(), *PAIRS.values()]


@pytest.mark.parametrize("name", PAIRS)
def test_content_outside_of_attributes_counts(name):
    one, other = PAIRS[name]
    assert trainer_digest(one) != trainer_digest(other)


@pytest.mark.slow
def test_it_is_the_same_in_another_process():
    """Sets of texts have another order there, and functions other addresses."""
    code = f"import sys; sys.path = {sys.path}; import test_trainer_digest as it; print(*map(it.trainer_digest, it.SAME))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=240, env=environment
    )
    assert done.stdout.split() == [trainer_digest(value) for value in SAME]
    assert trainer_digest(sac()) == trainer_digest(sac())


def test_an_object_that_does_not_say_what_it_holds_is_named():
    with pytest.raises(rl.RLJaxError, match=r"holds a lock, which does not say what it consists of"):
        trainer_digest({"a": threading.Lock()})


@pytest.mark.parametrize("name", ALONE)
def test_the_library_s_agents_are_those_of_the_command_line(name):
    """The same parts with the same numbers, so the same parameters."""
    assert trainer_digest(FACTORIES[name]()) == trainer_digest(CONFIGS[name]().agent())
