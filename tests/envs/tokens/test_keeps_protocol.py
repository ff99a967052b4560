"""Tasks of one's own that do not keep the protocol: each fault is said in one line, while the world is made or traced."""

from dataclasses import dataclass
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest

from rl_jax import make
from rl_jax.envs import check_env
from rl_jax.envs.tokens import Chain, Problem, TokenWorld, show
from rl_jax.errors import RLJaxError
from rl_jax.ops.passes import majority_at_k, pass_at_k
from rl_jax.run.storage.config import env_arguments


@dataclass(frozen=True)
class Broken(Chain):
    """A chain some of whose parts are others: of the reply, the prompt, or the task itself."""

    operands: int = 2
    change: Any = None
    prompt: Any = None

    def draw(self, key, params):
        problem = super().draw(key, params)
        return problem if self.prompt is None else Problem(self.prompt(problem.prompt), problem.hidden)

    def reply(self, key, tape, token, params):
        reply = super().reply(key, tape, token, params)
        return reply if self.change is None else self.change(reply)


class Late(Broken):
    """The prompt leaves no position."""

    length = 3


class Nameless(Broken):
    """Without a name."""

    name = ""


def facts(**others):
    return lambda reply: reply._replace(facts=reply.facts | others)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        ({"change": facts(own=True)}, "a fact of the reply is called 'own', which the world says itself"),
        ({"change": facts(correct=jnp.float32(1))}, r"fact 'correct' is float32\[\], expected bool\[\]"),
        ({"change": facts(step=jnp.zeros(2, jnp.int32))}, r"fact 'step' is int32\[2\], expected int32\[\]"),
        ({"change": lambda reply: reply._replace(over=1.0 * reply.over)}, r"over is float32\[\], expected bool\[\]"),
        ({"change": lambda reply: reply._replace(tokens=jnp.ones(1))}, r"tokens are float32\[1\], expected int32\[K\]"),
        ({"change": lambda reply: None}, "reply returned a NoneType, expected a rl_jax.envs.tokens.Reply"),
        ({"prompt": lambda prompt: prompt + 0.5}, r"the prompt is float32\[4\], expected int32\[4\]"),
        ({"prompt": lambda prompt: jnp.tile(prompt, 2)}, r"the prompt is int32\[8\], expected int32\[4\]"),
    ],
)
def test_replies_and_prompts_are_looked_at(task, words):
    with pytest.raises(RLJaxError, match=words) as refused:
        check_env(TokenWorld(Broken(**task)))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("task", "words"),
    [
        (Late, "chain: prompt_length must be an integer from 1 to 3, not 4; at least one of the 4 positions is the policy's"),
        (lambda: Chain, r"the task is the class Chain: pass an object of it, Chain\(\)"),
        (Nameless, "the name of this Nameless is ''"),
        (object, "a token task needs name, vocabulary"),
    ],
)
def test_tasks_that_cannot_be(task, words):
    with pytest.raises(RLJaxError, match=words):
        TokenWorld(task())


def test_tokens_outside_the_vocabulary_are_met_in_play():
    task = Broken(change=lambda reply: reply._replace(tokens=jnp.array([99], jnp.int32), size=jnp.int32(1)), spare=2)
    with pytest.raises(RLJaxError, match="goes from 0 to 99"):
        check_env(TokenWorld(task), steps=30)


def test_a_name_says_what_its_world_is():
    with pytest.raises(RLJaxError, match="tokens/chain-answer has answer_only=True: leave answer_only out"):
        make("tokens/chain-answer", answer_only=False)


def test_tokens_without_a_character_are_shown_as_numbers():
    assert show(np.array([40, 1, -1]), [1, 1, 0]) == "<{40}1>{-1}"


def test_arguments_of_an_environment_take_pythons_words():
    texts = ["a=True", "b=False", "c=None", "d=true", "e=Falsehood", 'f="False"', "g=3"]
    assert env_arguments(texts) == {"a": True, "b": False, "c": None, "d": True, "e": "Falsehood", "f": "False", "g": 3}


def test_k_is_a_whole_number():
    right = jnp.ones(4, bool)
    for measure in (pass_at_k, lambda right, k: majority_at_k(right, right, k)):
        with pytest.raises(RLJaxError, match="k must be an integer from 1"):
            measure(right, 1.5)
