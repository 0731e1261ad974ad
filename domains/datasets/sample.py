"""`domain.data=sample`: generated scenes as the data of a domain, so that every recipe runs offline.

Seeds are disjoint from pretraining's. numpy mixes a seed as 32-bit words, so (seed, index) of a pretraining scene is
two words or, for a seed above 2**32, three; the words of a scene here are (low, high, index) with high >= 2**30.
Pretraining's seeds are below 2**32 (the recipe says so), and it would need 2**30 scenes to reach such an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

from domains.entities import EntitySample
from domains.formats.layout import SPLITS, Record, Split
from domains.procedural.dataset import ProceduralScenes

SIZE_PX = 256  # side of a scene


class SampleScenes:
    """Generated scenes by their records, each drawn once per process. Indexable, picklable.

    records: of `sample_records`; `truth` is the scene's (seed, index).
    """

    def __init__(self, families: Sequence[str], records: Sequence[Record]) -> None:
        self.families, self.records = tuple(families), list(records)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> EntitySample:
        record = self.records[index]
        sample = drawn(self.families, *record.truth)
        return replace(sample, place=replace(sample.place, scene=record.name))


def sample_records(count: int, fractions: Sequence[float], seed: int) -> dict[Split, list[Record]]:
    """`count` scenes in all, shared among the splits by `fractions`, at least one each; every scene its own group."""
    shares = [max(1, round(count * fraction / sum(fractions))) for fraction in fractions]
    names = {split: [f"{split}-{i:03d}" for i in range(share)] for split, share in zip(SPLITS, shares, strict=True)}
    return {
        split: [
            Record(name, Path(name), (sample_seed(split, seed), i), group=name, split=split)
            for i, name in enumerate(names[split])
        ]
        for split in SPLITS
    }


def sample_seed(split: str, seed: int) -> int:
    """In 2**62 .. 2**63: the space that is this module's alone."""
    digest = blake2b(f"sample {split} {seed}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2 | 1 << 62


@lru_cache(maxsize=256)
def drawn(families: tuple[str, ...], seed: int, index: int) -> EntitySample:
    """A scene by the families, the seed and its index, the same in every process."""
    return ProceduralScenes(families, index + 1, seed, SIZE_PX)[index]
