"""Tapes in the terminal: who wrote what, and what each token was paid and credited."""

import jax.numpy as jnp
import pytest
from running import call, failed

from rl_jax.curricula.prompts import Prompt
from rl_jax.envs import make
from rl_jax.envs.tokens.task import read
from rl_jax.errors import RLJaxError
from rl_jax.run.pictures.print_tapes import check_tapes, tapes
from rl_jax.types import Rollout

WORLD = make("tokens/attempts", operands=3)


def rollout(texts, own, reward, advantage, size=1):
    """One column for each text, in groups of ``size``; row ``t`` writes position ``t + 1``."""
    tape = jnp.asarray([read(text) for text in texts]).T
    marks = jnp.asarray([[mark == "x" for mark in marks] for marks in own]).T
    extras = {"own": marks, "advantage": jnp.asarray(advantage).T * marks}
    none = jnp.zeros(marks.shape, bool)
    return Rollout(
        obs=tape[:-1], action=tape[1:], reward=jnp.asarray(reward).T, terminated=none, truncated=none, first=none,
        next_obs=tape[1:], info={}, extras=extras, carry=(), last=(), start=(), env_state=(), level=Prompt((), (), size),
    )  # fmt: skip


def test_lines_of_an_answer():
    one = rollout(["1+2x3=45!9E"], ["......xx.xx"[1:]], [[0.0] * 9 + [1.0]], [[0.5] * 10])
    lines = tapes(WORLD, one, 1, colours=False).splitlines()
    assert lines[0] == "[x]: written by the policy" and lines[1] == ""
    tokens, reward, advantage = lines[2:]
    assert tokens.split() == ["1", "+", "2", "x", "3", "=", "[4]", "[5]", "!", "[9]", "[E]"]
    assert reward.split() == ["+1.00", "reward"] and reward.index("+1.00") == tokens.index("[E]") - 1
    assert advantage.split() == ["+0.50"] * 4 + ["advantage"]
    assert advantage.index("+0.50") == tokens.index("[4]") - 1


def test_colours_say_the_same():
    one = rollout(["1+2x3=45!9E"], ["......xx.xx"[1:]], [[0.0] * 10], [[-0.5] * 10])
    text = tapes(WORLD, one, 1, colours=True)
    for painted in ("\x1b[90m  1   \x1b[0m", "\x1b[1m  4   \x1b[0m", "\x1b[34m  !   \x1b[0m", "\x1b[31m-0.50 \x1b[0m"):
        assert painted in text
    assert "reward" not in text


def test_several_groups_are_shown_and_whether_they_agree():
    """Two of each; an advantage of zero is said."""
    paid = [[0.0] * 9 + [float(right)] for right in (1, 1, 1, 1, 1, 0, 1, 1)]
    credit = [[0.0] * 10] * 4 + [[0.5] * 10, [-1.5] * 10] + [[0.5] * 10] * 2
    texts = [f"1+2x3=45!{digit}E" for digit in range(8)]
    shown = tapes(WORLD, rollout(texts, ["......xx.xx"[1:]] * 8, paid, credit, 4), 4, colours=False)
    assert [digit for digit in range(8) if f"[{digit}]   [E]" in shown] == [0, 1, 4, 5]
    assert shown.count("advantage 0: the group agrees") == 2 and shown.count("-1.50") == 4


def test_all_rewards_are_shown_in_cells_of_one_width():
    """Also those of steps that the environment writes, large ones, and small ones."""
    paid = [[0.001, 1000.0, -12345.6, 100.0, float("nan"), 0, 0, 0, 0, 0]]
    one = rollout(["1+2x3=45!9E"], ["......xx.xx"[1:]], paid, [[0.0] * 10])
    reward = tapes(WORLD, one, 1, colours=False).splitlines()[3]
    assert reward.split() == ["+1e-3", "+1e+3", "-1e+4", "+1e+2", "+nan", "reward"]
    assert [reward.index(text) // 6 for text in ("+1e-3", "+1e+3", "-1e+4")] == [1, 2, 3]


def test_what_has_no_tapes():
    with pytest.raises(RLJaxError, match="CartPole-v1 is none"):
        check_tapes(make("CartPole-v1"), 1, 8)
    with pytest.raises(RLJaxError, match="use --tapes 8"):
        check_tapes(WORLD, 9, 8)


@pytest.mark.slow
def test_tapes_of_a_run(tmp_path):
    sizes = (
        "--num-envs",
        "8",
        "--group-size",
        "4",
        "--hidden",
        "8",
        "--memory-width",
        "8",
        "--clone-steps",
        "4",
        "--steps",
        "200",
    )
    options = ("--env", "tokens/chain", *sizes, "--eval-episodes", "2", "--quiet", "--out", tmp_path / "run")
    assert call("train", "grpo", *options).status == 0
    shown = call("render", tmp_path / "run", "--tapes", 2)
    assert shown.status == 0 and shown.out.count("=") == 2, shown
    failed(call("render", tmp_path / "run", "--tapes", 2, "--fps", 3), "--fps")
