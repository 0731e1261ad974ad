"""What a training step of each method takes beside one of the decoder alone, crops and optimiser left out or in.

    python -m benchmarks.speed.methods [--turns 7]

The embedded base with pathology's recipe on its generated tiles, 8 crops of 128 px, one thread, in the precision of
`fit`, turn by turn in one process: loss and gradients of one batch. The last rows are whole steps, crops drawn and
augmented too, as they come and by `train.cache=prefix` once its crops are kept.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import median

import torch

from adapters.training.fitting import data_of
from benchmarks.speed.shortcuts import network, plan, training_step
from benchmarks.speed.turns import paired_ratio, parser_with_turns, turn_by_turn
from recipes import set_up
from recipes.reading.compose import load_recipe

LORA, BOTH = "method.name=lora", ("method.scope=both", "method.rank=4")
METHODS = {
    "decoder_only": ["method.name=decoder_only"],
    "lora, scope decoder, rank 8": [LORA, "method.scope=decoder"],
    "ssf, scope decoder": ["method.name=ssf", "method.scope=decoder"],
    "lora, scope both, rank 4, last block": [LORA, *BOTH, "method.layers=last:1"],
    "lora, scope both, rank 4, last two": [LORA, *BOTH, "method.layers=last:2"],
    "lora, rank 4, last block": [LORA, "method.rank=4", "method.layers=last:1"],
    "lora, all blocks": [LORA],
    "bottleneck, all blocks": ["method.name=bottleneck"],
}
SIZES = ("domain.crop_px=128", "train.batch_size=8", "domain.sample_count=16")
ROUND = 6
"""Steps of a turn of whole steps; the cache keeps their crops."""


def step_of(words: Sequence[str]) -> Callable[[], None]:
    """Loss and gradients of one batch by a method."""
    recipe = load_recipe("pathology", [*words, *SIZES])
    return training_step(recipe, network(recipe))


def whole_steps(words: Sequence[str]) -> Callable[[], None]:
    """A round of steps, its crops and their augmentation included."""
    fitted = plan(load_recipe("pathology", [*words, *SIZES, "method.name=lora", "method.scope=decoder"]))
    module = fitted.module()
    loader = data_of(fitted, ROUND).train_dataloader()
    half = fitted.runtime.training.startswith("bf16")

    def run() -> None:
        for batch in loader:
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = torch.stack(list(module.terms(batch).values())).sum()
            loss.backward()
            module.zero_grad()

    return run


def main(words: Sequence[str] | None = None) -> None:
    """Measure, and print a table in Markdown."""
    turns = parser_with_turns(__doc__).parse_args(words).turns
    torch.set_num_threads(1)
    set_up()
    took = turn_by_turn(*map(step_of, METHODS.values()), turns=turns)
    print("| a step of | CPU-s | beside decoder_only |\n|---|---|---|")
    for name, times in zip(METHODS, took, strict=True):
        print(f"| {name} | {median(times):.3f} | {paired_ratio(times, took[0]):.2f} |")
    sides = whole_steps([]), whole_steps(["train.cache=prefix", f"train.cached_crops={ROUND * 8}"])
    plain, cached = turn_by_turn(*sides, turns=turns)
    seconds = [median(times) / ROUND for times in (plain, cached)]
    print("\nwhole steps, lora, scope decoder, as they come and by train.cache=prefix:")
    print(f"{seconds[0]:.3f} s, {seconds[1]:.3f} s: ", end="")
    print(f"{paired_ratio(plain, cached):.2f} times as fast")


if __name__ == "__main__":
    main()
