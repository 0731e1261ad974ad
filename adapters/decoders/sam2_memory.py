"""What SAM 2 remembers of each entity, in tensors whose size no number of frames changes.

Ravi et al., https://arxiv.org/abs/2408.00714: of each entity the memory of the frame in which it was prompted, those of
the latest frames, and object pointers likewise. transformers' session keeps every frame for good; here the latest lie
in rings, in which frame t has place t modulo their length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from domains.errors import InputError


@dataclass(frozen=True)
class Memorised:
    """What is remembered of one frame. maps: (N, T, M) bfloat16, of T cells; pointers: (N, C)."""

    maps: Tensor
    pointers: Tensor


@dataclass(frozen=True)
class MemoryBank:
    """The memory of N slots. born: (N,) numbers of the frames in which they were prompted; prompted: (N, T, M) bfloat16
    and prompted_pointers: (N, C) of those frames; recent: (N, R, T, M) bfloat16 and pointers: (N, P, C), the rings.
    """

    born: Tensor
    prompted: Tensor
    prompted_pointers: Tensor
    recent: Tensor
    pointers: Tensor

    def __len__(self) -> int:
        return len(self.born)

    @classmethod
    def opened(cls, at: int, memorised: Memorised, frames: int, pointers: int) -> MemoryBank:
        """Slots that are prompted in frame `at`, with rings of so many frames and pointers."""
        maps, tokens = memorised.maps, memorised.pointers
        return cls(
            torch.full((len(maps),), at, device=maps.device),
            maps,
            tokens,
            maps.new_zeros(len(maps), frames, *maps.shape[1:]),
            tokens.new_zeros(len(tokens), pointers, tokens.shape[1]),
        )

    def of(self, rows: Tensor) -> MemoryBank:
        """These slots alone, in this order."""
        return MemoryBank(*(tensor[rows] for tensor in self.tensors().values()))

    def joined(self, bank: MemoryBank) -> MemoryBank:
        """These slots, and then those of another bank."""
        pairs = zip(self.tensors().values(), bank.tensors().values(), strict=True)
        return MemoryBank(*(torch.cat(pair) for pair in pairs))

    def tensors(self) -> dict[str, Tensor]:
        """By name; what a state on disk holds."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @classmethod
    def of_tensors(cls, tensors: dict[str, Tensor]) -> MemoryBank:
        """The bank that `tensors` said. Raises KeyError or ValueError for what is none."""
        bank = cls(*(tensors[field.name] for field in fields(cls)))
        counts = {len(tensor) for tensor in bank.tensors().values()}
        dims = [tensor.ndim for tensor in bank.tensors().values()]
        if len(counts) > 1 or dims != [1, 3, 2, 4, 3]:
            raise ValueError("the state is not that of SAM 2's memory")
        return bank

    @property
    def bytes(self) -> int:
        """Of all tensors together."""
        return sum(tensor.nbytes for tensor in self.tensors().values())

    def remember(self, at: int, memorised: Memorised) -> None:
        """Keep frame `at` of all slots, in place of the oldest one."""
        self.recent[:, at % self.recent.shape[1]] = memorised.maps
        self.pointers[:, at % self.pointers.shape[1]] = memorised.pointers

    def alike(self, at: int, batch: int) -> Iterator[Tensor]:
        """Rows of at most so many slots that have equally many frames behind them in frame `at`, the full rings
        together: these are answered in one batch, which knows no padding.
        """
        ages = (at - self.born).clamp_max(self.pointers.shape[1] + 1)
        for age in ages.unique().tolist():
            yield from (ages == age).nonzero()[:, 0].split(batch)

    def maps_behind(self, at: int) -> tuple[Tensor, list[int]]:
        """(N, k, T, M) memories of slots that are `alike`, and how many frames before frame `at` each of the k is; 0
        stands for the frame in which a slot was prompted.
        """
        offsets = list(range(min(self._age(at) - 1, self.recent.shape[1]), 0, -1))
        places = [(at - offset) % self.recent.shape[1] for offset in offsets]
        return torch.cat([self.prompted[:, None], self.recent[:, places]], 1), [0, *offsets]

    def pointers_behind(self, at: int) -> tuple[Tensor, Tensor]:
        """(N, k, C) pointers of slots that are `alike`, and (N, k) how many frames before frame `at` each is."""
        offsets = list(range(1, min(self._age(at) - 1, self.pointers.shape[1]) + 1))
        places = [(at - offset) % self.pointers.shape[1] for offset in offsets]
        tokens = torch.cat([self.prompted_pointers[:, None], self.pointers[:, places]], 1)
        behind = torch.tensor(offsets, device=self.born.device).expand(len(self), -1)
        return tokens, torch.cat([(at - self.born)[:, None], behind], 1).float()

    def _age(self, at: int) -> int:
        return int(at - self.born.max())


def check_room(slots: int, bank: MemoryBank) -> None:
    """Raises InputError where so many slots would not fit into the state that survives a kill (SQLite's largest)."""
    slot_bytes = bank.bytes // max(len(bank), 1)
    if slots * slot_bytes > MOST_BYTES:
        raise InputError(
            f"tracking.most_slots is {slots}, of {slot_bytes / 2**20:.1f} MiB each; "
            f"wanted at most {MOST_BYTES // slot_bytes}"
        )


MOST_BYTES = 900_000_000
