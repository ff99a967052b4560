"""How ``rl-jax plot`` tells curves apart."""

import json

from rl_jax.run.cli.comparison import _labels


def group(agent, settings, **options):
    return json.dumps([agent, {"env": "CartPole-v1", "steps": 100, **options}, settings])


def test_labels_name_what_differs():
    same = group("ppo", {"learning_rate": 0.1})
    assert _labels([same]) == ["ppo, CartPole-v1"]
    assert _labels([same, group("ppo", {"learning_rate": 0.2})]) == ["learning_rate 0.1", "learning_rate 0.2"]


def test_options_that_only_some_have_are_named_where_they_are_needed():
    own = group("upright", {"trainer": "0123456789"})
    assert _labels([own, group("ppo", {"learning_rate": 0.1})]) == ["upright", "ppo"]
    other = group("upright", {"trainer": "abcdefghij"})
    assert _labels([own, other]) == ["trainer 01234567", "trainer abcdefgh"]
    assert _labels([own, group("upright", {"learning_rate": 0.1})]) == ["trainer 0123456789", "learning_rate 0.1"]
