"""A memory decoder in an adapter's folder: sealed with it, packed with it, and refused where it is not what is told."""

from __future__ import annotations

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from adapters.decoders.slot_decoder import FittedMemory, MemoryDecoder
from adapters.decoders.slots import PIXELS
from adapters.options.memory_decoder import MemoryInfo, MemoryOptions
from adapters.sharing.bounds import of_memory
from adapters.sharing.door import read_info, sealed
from adapters.sharing.info import CARD, INFO, MEMORY_WEIGHTS, parse_info
from adapters.sharing.learnt import LearntFrom, digests_of
from adapters.sharing.memory_file import describe_memory, load_memory, set_memory
from adapters.sharing.opening import show
from adapters.sharing.package import pack, unpack
from adapters.training.rounding import round_to_half
from domains.errors import InputError


def memory() -> FittedMemory:
    torch.manual_seed(1)
    decoder = MemoryDecoder(MemoryOptions(width=32, layers=1, heads=2, frames=3), 8, PIXELS)
    round_to_half(decoder.parameters())
    return FittedMemory(decoder, "a" * 64, "b" * 64)


def test_a_memory_travels_with_the_adapter_and_one_without_says_nothing_of_it(
    adapter_folder: Path, tmp_path: Path
) -> None:
    assert "memory" not in json.loads((adapter_folder / INFO).read_text())
    assert load_memory(adapter_folder, read_info(adapter_folder)) is None
    before = {file.name: file.read_bytes() for file in adapter_folder.iterdir() if file.name not in (INFO, CARD)}
    seen = LearntFrom(train=digests_of(["0" * 16]))
    info = set_memory(adapter_folder, memory(), seen)
    assert info.memory == MemoryInfo(width=32, layers=1, heads=2, frames=3, cells=8, dense="a" * 64, prompts="b" * 64)
    assert info.learnt_from == seen
    assert before == {name: (adapter_folder / name).read_bytes() for name in before}
    assert "Follows them through clips" in (adapter_folder / CARD).read_text()
    assert "followed by a memory decoder of its own" in show(adapter_folder)
    assert stat.S_IMODE((adapter_folder / MEMORY_WEIGHTS).stat().st_mode) == 0o644
    pack(adapter_folder, tmp_path / "adapter.zip")
    unpack(tmp_path / "adapter.zip", tmp_path / "again")
    again = load_memory(tmp_path / "again", read_info(tmp_path / "again"))
    assert again is not None and (again.dense, again.prompts) == ("a" * 64, "b" * 64)
    expected = memory().decoder.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in again.decoder.state_dict().items())
    assert not again.decoder.training and not any(value.requires_grad for value in again.decoder.parameters())


def test_a_memory_that_is_not_what_is_told_is_refused(adapter_folder: Path) -> None:
    set_memory(adapter_folder, memory())
    path, text = adapter_folder / MEMORY_WEIGHTS, (adapter_folder / INFO).read_text()
    whole, state = path.read_bytes(), load_file(path)
    path.unlink()
    with pytest.raises(InputError, match=r"memory_decoder.safetensors' is missing; get the adapter again"):
        read_info(adapter_folder)
    path.write_bytes(whole[:-1] + b"\1")
    with pytest.raises(InputError, match="is not as it was saved"):
        read_info(adapter_folder)
    path.write_bytes(whole + bytes(2**24))
    with pytest.raises(InputError, match=r"memory_decoder.safetensors has \d+ bytes; its options need at most \d+"):
        read_info(adapter_folder)
    save_file({**state, "cells.weight": torch.zeros(32, 9)}, path)
    info = parse_info(text, "info")
    (adapter_folder / INFO).write_text(sealed(adapter_folder, info).json_text())
    with pytest.raises(InputError, match="tensors of another shape, such as cells.weight"):
        load_memory(adapter_folder, read_info(adapter_folder))
    save_file({**state, "cells.bias": torch.full((32,), torch.nan)}, path)
    (adapter_folder / INFO).write_text(sealed(adapter_folder, info).json_text())
    with pytest.raises(InputError, match="not finite"):
        load_memory(adapter_folder, read_info(adapter_folder))
    (adapter_folder / INFO).write_text(sealed(adapter_folder, replace(info, memory=None)).json_text())
    with pytest.raises(InputError, match="is of a memory decoder, and entity.json says nothing of one"):
        read_info(adapter_folder)
    with pytest.raises(InputError, match="heads is 3.*to divide memory.width"):
        MemoryInfo(width=32, layers=1, heads=3, frames=3, cells=8, dense="a" * 64, prompts="b" * 64)


@pytest.mark.parametrize("sizes", [(32, 1, 2), (256, 6, 16)], ids=str)
@pytest.mark.parametrize("cells", [1, 1024])
def test_a_memory_has_fewer_weights_than_its_bound(sizes: tuple[int, int, int], cells: int) -> None:
    width, layers, heads = sizes
    with torch.device("meta"):
        decoder = MemoryDecoder(MemoryOptions(width=width, layers=layers, heads=heads), cells, PIXELS)
    count = sum(value.numel() for value in decoder.state_dict().values())
    described = describe_memory(FittedMemory(decoder, "a" * 64, "b" * 64))
    assert count <= of_memory(described) <= 4 * count + 2**17
