"""TRL's GRPO (PyTorch): ``python trl_grpo.py CASE TRAIN_STEPS [THREADS]``, in an environment with ``trl`` and its ``torch``.

The model is a GPT-NeoX of the same sizes, whose blocks are those of this library's transformer: layer normalisation before
attention and before two layers of which the inner is four times as wide, rotary positions, GELU. It stays in float32 and keeps
its activations, where TRL would by default use bfloat16 and compute them twice; nothing is logged. One train step is one
generation and all steps of the optimiser that learn from it.
"""

import json
import random
import sys
import tempfile
import time

import torch
from cases import TOKENS
from datasets import Dataset
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, PreTrainedTokenizerFast, TrainerCallback
from trl import GRPOConfig, GRPOTrainer


def tokenizer(vocabulary: int) -> PreTrainedTokenizerFast:
    """One word per token; the last two are padding and the end, which is never written before the full length."""
    words = {f"w{i}": i for i in range(vocabulary)}
    plain = Tokenizer(models.WordLevel(words, unk_token="w0"))
    plain.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return PreTrainedTokenizerFast(
        tokenizer_object=plain, pad_token=f"w{vocabulary - 2}", eos_token=f"w{vocabulary - 1}", padding_side="left"
    )


def model(sizes: dict) -> GPTNeoXForCausalLM:
    """The policy."""
    return GPTNeoXForCausalLM(
        GPTNeoXConfig(
            vocab_size=sizes["vocabulary"],
            hidden_size=sizes["width"],
            num_hidden_layers=sizes["layers"],
            num_attention_heads=sizes["heads"],
            intermediate_size=4 * sizes["width"],
            rotary_pct=1.0,
            hidden_act="gelu_pytorch_tanh",
            use_parallel_residual=False,
            max_position_embeddings=sizes["length"] + 1,
            bos_token_id=None,
            eos_token_id=sizes["vocabulary"] - 1,
            pad_token_id=sizes["vocabulary"] - 2,
        )
    )


class Clock(TrainerCallback):
    """When each step of the optimiser ended."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_step_end(self, *args, **kwargs) -> None:
        self.ends.append(time.perf_counter())


def main(case: str, train_steps: int, threads: int = 2) -> dict:
    """Seconds until the first train step is done, and of ``train_steps`` after it."""
    torch.set_num_threads(threads)
    sizes = TOKENS[case]
    start = time.perf_counter()
    answer = sizes["length"] + 1 - sizes["prompt"]  # a rollout of as many steps shows its first token, and writes the others
    updates = sizes["epochs"] * sizes["minibatches"]
    draw = random.Random(0)
    prompts = [" ".join(f"w{draw.randrange(10)}" for _ in range(sizes["prompt"])) for _ in range(4096)]

    def reward(prompts: list, completion_ids: list, **_: object) -> list[float]:
        """The share of tokens that equal the prompt's first."""
        return [sum(token == int(p[1]) for token in ids) / answer for p, ids in zip(prompts, completion_ids, strict=True)]

    clock = Clock()
    with tempfile.TemporaryDirectory() as folder:
        config = GRPOConfig(
            output_dir=folder,
            max_steps=updates * (1 + train_steps),
            per_device_train_batch_size=sizes["columns"] // sizes["minibatches"],
            steps_per_generation=sizes["minibatches"],
            gradient_accumulation_steps=1,
            num_iterations=sizes["epochs"],
            num_generations=sizes["group"],
            max_completion_length=answer,
            generation_kwargs={"min_new_tokens": answer},
            learning_rate=sizes["learning_rate"],
            lr_scheduler_type="constant",
            beta=0.0,
            bf16=False,
            gradient_checkpointing=False,
            use_cpu=True,
            logging_strategy="no",
            save_strategy="no",
            report_to="none",
            disable_tqdm=True,
        )
        trainer = GRPOTrainer(
            model(sizes),
            reward_funcs=reward,
            args=config,
            train_dataset=Dataset.from_dict({"prompt": prompts}),
            processing_class=tokenizer(sizes["vocabulary"]),
            callbacks=[clock],
        )
        trainer.train()
    first, last = clock.ends[updates - 1], clock.ends[-1]
    tokens = train_steps * sizes["columns"] * sizes["length"]
    return {"tokens": tokens, "train_steps": train_steps, "compile": first - start, "run": last - first, "host_loop": True}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], *map(int, sys.argv[2:]))))
