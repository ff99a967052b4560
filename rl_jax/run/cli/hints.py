"""What was probably meant: other libraries' spellings, near ones, and agents that only the library has."""

import difflib
from collections.abc import Iterable

from rl_jax.agents.configs import CONFIGS
from rl_jax.run.cli.catalogue import LIBRARY
from rl_jax.values import option, short

#: Spellings of other libraries, and the options they are here. The first that a command has is offered.
SPELLINGS = {
    "lr": ("learning_rate",),
    "alpha": ("learning_rate", "priority_alpha"),
    "policy_lr": ("actor_learning_rate", "learning_rate"),
    "q_lr": ("learning_rate",),
    "n_envs": ("num_envs",),
    "nenvs": ("num_envs",),
    "num_environments": ("num_envs",),
    "num_workers": ("num_envs",),
    "total_timesteps": ("steps",),
    "timesteps": ("steps",),
    "num_timesteps": ("steps",),
    "total_steps": ("steps",),
    "max_steps": ("steps", "time_limit"),
    "frames": ("steps",),
    "env_id": ("env",),
    "env_name": ("env",),
    "environment": ("env",),
    "env_kwargs": ("env_args",),
    "n_steps": ("rollout_length", "n_step"),
    "num_steps": ("rollout_length", "steps"),
    "horizon": ("rollout_length",),
    "unroll_length": ("rollout_length",),
    "n_epochs": ("epochs",),
    "update_epochs": ("epochs",),
    "num_epochs": ("epochs",),
    "num_minibatches": ("minibatches",),
    "minibatch_size": ("minibatches", "batch_size"),
    "batch_size": ("minibatches",),
    "ent_coef": ("entropy_weight", "temperature"),
    "entropy_coef": ("entropy_weight", "temperature"),
    "vf_coef": ("value_weight",),
    "value_coef": ("value_weight",),
    "clip_range": ("clip_epsilon",),
    "clip_coef": ("clip_epsilon",),
    "clip_eps": ("clip_epsilon",),
    "clip_range_vf": ("value_clip_epsilon",),
    "clip_vloss": ("value_clip_epsilon",),
    "discount": ("gamma",),
    "discount_factor": ("gamma",),
    "lam": ("gae_lambda", "td_lambda"),
    "lambda": ("gae_lambda", "td_lambda"),
    "gae_lambda": ("td_lambda",),
    "target_kl": ("clip_epsilon",),
    "anneal_lr": ("anneal",),
    "norm_obs": ("normalize_obs",),
    "norm_reward": ("normalize_reward",),
    "norm_adv": ("standardize_advantage",),
    "replay_size": ("buffer_size",),
    "memory_size": ("buffer_size",),
    "train_freq": ("updates_per_step",),
    "utd_ratio": ("updates_per_step",),
    "gradient_steps": ("updates_per_step",),
    "target_update_interval": ("target_period",),
    "polyak": ("tau",),
    "exploration_fraction": ("epsilon_steps",),
    "exploration_final_eps": ("epsilon_end",),
    "epsilon": ("epsilon_start", "clip_epsilon"),
    "net_arch": ("hidden",),
    "layers": ("hidden",),
    "hidden_sizes": ("hidden",),
    "hidden_size": ("hidden",),
    "recurrent": ("memory",),
    "lstm": ("memory",),
    "output": ("out",),
    "output_dir": ("out",),
    "logdir": ("out",),
    "log_dir": ("out",),
    "save_dir": ("out",),
    "o": ("out",),
    "e": ("env",),
    "q": ("quiet",),
    "s": ("seed",),
    "num_seeds": ("seeds",),
    "n_seeds": ("seeds",),
    "track": ("wandb",),
    "use_wandb": ("wandb",),
    "force": ("overwrite",),
    "f": ("overwrite",),
    "load": ("resume", "checkpoint"),
    "n_eval_episodes": ("eval_episodes", "episodes"),
    "num_episodes": ("episodes", "eval_episodes"),
    "deterministic": ("no_stochastic",),
}


def unknown_option(name: str, known: Iterable[str]) -> str:
    """The end of the line about an option that a command does not have: what was meant, or where all are listed.

    Args:
        name: of the option, with underscores.
        known: the command's options, ``no_...`` among them.
    """
    known = sorted({*known, "help"})
    word = name.lower()[:100]
    meant = [other for other in SPELLINGS.get(word, ()) if other in known][:1]
    near = meant or difflib.get_close_matches(word, known, n=3, cutoff=0.65)
    return f"; did you mean {' or '.join(map(option, near))}?" if near else "; --help lists all"


def nearest(word: str, known: Iterable[str]) -> str:
    """Which of few names was meant, or all of them."""
    known = list(known)
    near = difflib.get_close_matches(word[:100].lower().replace("_", "-"), known, n=1, cutoff=0.3)
    return f"did you mean {near[0]}?" if near else f"choose from {', '.join(known)}"


def unknown_agent(name: str) -> str:
    """The line about an agent that the command line does not have."""
    plain = name.lower().replace("_", "-")
    if plain in LIBRARY:
        return f"{plain} is an agent of the library alone: in Python, {LIBRARY[plain].where} ('rl-jax list agents' shows all)"
    return f"unknown agent {short(name)}; {nearest(name, CONFIGS)}"
