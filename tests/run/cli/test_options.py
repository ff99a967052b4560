"""Every option of every command refuses what it cannot take, and nothing else; the table is made from the dataclasses."""

import dataclasses
import json
import math
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from running import call, failed

from rl_jax.agents.configs import CONFIGS
from rl_jax.errors import RLJaxError
from rl_jax.run.cli.help import Option
from rl_jax.run.cli.parse import options_of, parse, run_options
from rl_jax.run.options import Bench, Evaluate, List, Plot, Render, Reproduce, RunOptions
from rl_jax.run.storage.config import restore
from rl_jax.values import fields, option

SIMPLE = {"evaluate": Evaluate, "render": Render, "plot": Plot, "list": List, "bench": Bench, "reproduce": Reproduce}
KINDS = [RunOptions, *CONFIGS.values(), *SIMPLE.values()]
#: Every option once for each command that has it: what stands before it, and itself.
TABLE = [([command, agent], one) for command in ("train", "sweep") for agent in CONFIGS for one in run_options(command, agent)]
TABLE += [([command], one) for command, kind in SIMPLE.items() for one in options_of(kind)]

#: No numbers, however Python's own functions see them; all but the last few are no words that any option knows either.
NO_NUMBERS = [
    *(
        "",
        " ",
        "\0",
        "²",
        "٣",
        "１",
        "1 ",
        " 1",
        "1\n",
        "0x10",
        "1__0",
        "_1",
        "1_",
        "1,000",
        "1e",
        "e5",
        ".",
        "-",
        "+",
        "--1",
        "1-",
    ),
    *(
        "one",
        "NaN",
        "nan",
        "-nan",
        "inf",
        "-inf",
        "Infinity",
        "-Infinity",
        "1e999",
        "-1e999",
        "1j",
        "1/2",
        "True",
        "null",
        "[]",
    ),
    *(
        "5" * 5000,
        "-" + "5" * 5000,
        "1e5000",
        "0." + "0" * 5000 + "1",
        "9" * 41,
        "\u202e1",
        "\ud800",
        "$(id)",
        "%s",
        "{0}",
        "a=b",
    ),
]
NO_PATHS = ["", "\0", "a\0b", "x" * 256, "a/" * 2500, "é" * 128]
NO_WORDS = ["", "\0", "x", "LAST ", "1e", "²", "x" * 5000, "None!", "\x1b[31m"]
LEAST, MOST = -(10**20), 10**20
#: Words that stand for nothing, or begin what is not ended.
HALF = ["--x", "--", "-n", "=", "--=", "--no-", "--steps=", "--out", "--hidden"]


def beyond(bounds):
    """Numbers below and above a range, and no number."""
    return [bounds.low - max(1, abs(bounds.low)), bounds.high * 2 + 1, math.nan]


def outside(takes):
    """Texts of numbers beyond the range."""
    low, high = takes.range.low, takes.range.high
    if takes.kind is int:
        return st.one_of(st.integers(LEAST, low - 1), st.integers(high + 1, MOST)).map(str)
    far = st.one_of(
        st.floats(max_value=low, exclude_max=True, allow_nan=False),
        st.floats(min_value=high, exclude_min=True, allow_nan=False),
    )
    # A text is read as the nearest number: what rounds to the bound is no other.
    return far.filter(lambda x: not low <= float(repr(x)) <= high).map(repr)


def bad(takes):
    """Texts that the option must refuse."""
    if takes.kind in (int, float):
        noise = st.text(max_size=12).filter(lambda text: not re.search(r"[0-9]|inf|nan|none|last|best", text, re.IGNORECASE))
        fractions = ["1.5", "1e-3", "0.1"] if takes.kind is int else []
        return st.one_of(st.sampled_from(NO_NUMBERS + fractions), noise, outside(takes))
    if takes.choices:
        return st.sampled_from(NO_WORDS)
    return st.sampled_from(NO_PATHS if takes.kind is Path else ["\0", "a\0"])


def typed(one: Option, texts):
    """An option as it is typed."""
    if one.takes.positional:
        return list(texts)
    if one.takes.kind is bool:
        return [f"{option(one.name)}={text}" for text in texts]
    return [option(one.name), *texts]


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_bad_values_end_in_one_line(tmp_path, monkeypatch, data):
    monkeypatch.chdir(tmp_path)
    prefix, one = data.draw(st.sampled_from(TABLE))
    text = data.draw(bad(one.takes))
    before = ["1"] if one.takes.many and one.takes.range and data.draw(st.booleans()) else []
    line = failed(call(*prefix, *typed(one, [*before, text])))
    assert len(line) < 2100 and line.isprintable()
    assert list(tmp_path.iterdir()) == []
    if not text.startswith("-") and one.takes.kind is not bool:
        name = one.name.upper() if one.takes.positional else option(one.name)
        assert f"{name} takes " in line


@pytest.mark.parametrize("name", ["train ppo", "sweep dqn", "evaluate", "bench"])
@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(words=st.lists(st.one_of(st.text(max_size=8), st.sampled_from(HALF + NO_NUMBERS))))
def test_any_words_end_in_one_line(name, tmp_path, monkeypatch, words):
    monkeypatch.chdir(tmp_path)
    if {"-h", "--help", "--h"} & set(words):
        return
    # Words that no command has, whatever stands before them.
    failed(call(*name.split(), *words, "--no-such-option"))
    assert list(tmp_path.iterdir()) == []


def good(takes):
    """Texts and the values they stand for."""
    if takes.kind is int:
        whole = st.integers(takes.range.low, takes.range.high)
        plain = whole.map(lambda n: (str(n), n))
        grouped = whole.map(lambda n: (f"{n:_}", n))
        powers = st.integers(0, 18).filter(lambda k: takes.range.low <= 10**k <= takes.range.high)
        return st.one_of(plain, grouped, powers.map(lambda k: (f"1e{k}", 10**k)))
    low, high = takes.range.low, takes.range.high
    return st.floats(low, high, allow_nan=False).map(lambda x: (repr(x), x))


@pytest.mark.slow
@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.data())
def test_good_numbers_are_taken(data):
    prefix, one = data.draw(st.sampled_from([(p, o) for p, o in TABLE if o.takes.range and not o.takes.positional]))
    many = data.draw(st.integers(max(one.takes.items[0], 1), 4)) if one.takes.many else 1
    pairs = data.draw(st.lists(good(one.takes), min_size=many, max_size=many))
    values = parse([one], typed(one, [text for text, _ in pairs]), " ".join(prefix))[one.name]
    expected = [value for _, value in pairs]
    assert (list(values) if one.takes.many else [values]) == expected
    if one.takes.kind is int or not one.takes.whole:
        assert all(type(value) is one.takes.kind for value in (values if one.takes.many else [values]))


def test_edges_defaults_and_words_are_taken():
    """The ends of each range, every word, none where it may be; what lies beyond the ends is refused."""
    for one in {(one.name, one.takes, one.default): one for _, one in TABLE}.values():
        takes = one.takes
        if takes.kind is bool:
            assert parse([one], [option(one.name)], "x") == {one.name: True}
            assert parse([one], [option("no_" + one.name)], "x") == {one.name: False}
            continue
        texts = [*takes.choices, *(["none", "None"] if takes.optional else [])]
        texts += [repr(takes.range.low), repr(takes.range.high)] if takes.range else []
        for text in texts:
            value = parse([one], typed(one, [text]), "x")[one.name]
            assert (value[0] if takes.many else value) == takes.read(text)
        for number in beyond(takes.range) if takes.range else []:
            with pytest.raises(RLJaxError, match="takes"):
                parse([one], typed(one, [repr(number)]), "x")
        if isinstance(one.default, int | float | str) and one.default != "":
            assert takes.read(str(one.default)) == one.default


@pytest.mark.parametrize("kind", KINDS)
def test_every_number_has_a_range(kind):
    assert [name for name, takes in fields(kind).items() if takes.kind in (int, float) and not takes.range] == []


@pytest.mark.parametrize("kind", [RunOptions, *CONFIGS.values()])
def test_python_and_json_are_held_to_the_same_ranges(kind):
    whole = kind(env="CartPole-v1") if kind is RunOptions else kind()
    whole.check()
    for name, takes in fields(kind).items():
        for value in [object(), 1j] + (["1", *beyond(takes.range)] if takes.range else []):
            changed = dataclasses.replace(whole, **{name: (value,) if takes.many else value})
            with pytest.raises(RLJaxError, match=f"^{option(name)} takes"):
                changed.check()
        for text in ("NaN", "1e999", "-1e999", "{}", "[[]]"):
            with pytest.raises(RLJaxError, match=f"here: {name} is"):
                restore(kind, {name: json.loads(text)}, "here")


def test_words_of_another_type():
    assert fields(RunOptions)["steps"].check(10) == 10
    for value in (True, "10", 1.0, None, [10]):
        with pytest.raises(ValueError):
            fields(RunOptions)["steps"].check(value)
