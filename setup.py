"""What pyproject.toml cannot say: recipes lie in ``experiments/`` and go into the package, so that ``rl-jax reproduce`` finds them."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["rl_jax*"]), "rl_jax.recipes"],
    package_dir={"rl_jax.recipes": "experiments"},
    package_data={"rl_jax": ["py.typed", "run/cli/*.tsv"], "rl_jax.recipes": ["*/*.py", "results/*.json"]},
)
