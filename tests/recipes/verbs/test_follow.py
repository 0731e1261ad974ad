"""`adapters follow`: image labels teach an adapter to follow entities, which changes nothing else of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from adapters.backbones.embedded_bases import FOLDERS
from adapters.options.tracking import MemoryTracking
from adapters.sharing.door import read_info
from adapters.sharing.info import FILES, INFO, MEMORY_WEIGHTS, present
from adapters.tracking import build_tracker
from adapters.tracking.slot_tracker import MemoryTracker
from cli import main
from domains.errors import InputError
from recipes.load import loaded
from recipes.verbs import follow, label_clips
from recipes.verbs.follow import NUMBERS, PLAN, Place, place_of
from recipes.verbs.tracking import tracking_of

SMALL = {
    label_clips: {"FRAME_PX": 32, "FRAMES": 4, "CROP_PX": 40, "GENERATED": 0.0},
    follow: {"VAL_CLIPS": 1, "ROUND_STEPS": 2, "BATCH": 1, "LR": 3e-3},
}
"""Few clips of few and small frames."""


@pytest.fixture(autouse=True, scope="module")
def _small() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for module, values in SMALL.items():
            for name, value in values.items():
                patch.setattr(module, name, value)
        yield


def words(run: Path, data: Path, out: Path, *more: str) -> list[str]:
    return ["adapters", "follow", str(run / "adapter"), "--data", str(data), "--out", str(out), *more]


@pytest.fixture(scope="module")
def fitted(run: Path, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of an adapter with a memory decoder that has learnt for a few steps."""
    out = tmp_path_factory.mktemp("follow") / "run"
    assert main(words(run, data, out, "--steps", "4")) == 0
    return out


@pytest.fixture
def clip(data: Path, tmp_path: Path) -> Path:
    """Three numbered frames that move over an image of the data."""
    folder = tmp_path / "moving"
    folder.mkdir()
    image = np.array(Image.open(data / "images" / "0.png").convert("RGB"))
    for at in range(3):
        Image.fromarray(image[at : at + 40, at : at + 40]).save(folder / f"{at:03}.png")
    return folder


def test_it_learns_its_memory_alone_and_a_finished_run_is_not_done_again(
    run: Path, fitted: Path, data: Path, tmp_path: Path, capsys
) -> None:
    before, after = run / "adapter", fitted / "adapter"
    changed = {name for name in FILES if present(after, name) and (
        not present(before, name) or (before / name).read_bytes() != (after / name).read_bytes())}  # fmt: skip
    assert changed == {INFO, "README.md", MEMORY_WEIGHTS}
    base, own = (loaded_decoder(folder) for folder in (before, after))
    moved = [name for name, value in own.items() if not torch.equal(value, base[name].half().float())]
    losses = json.loads((fitted / NUMBERS).read_text())["val_loss"]
    assert bool(moved) == (losses["after"] < losses["before"]) and moved
    described, former = read_info(after), read_info(before)
    assert described.memory is not None and former.memory is None and described.probe == former.probe
    assert described.learnt_from == former.learnt_from  # the same images
    assert main(words(run, data, fitted, "--steps", "4")) == 2
    assert "holds a run already; go on with it by --resume" in capsys.readouterr().err
    assert main(words(run, data, fitted, "--steps", "4", "--resume")) == 0
    assert "is finished, nothing was changed" in capsys.readouterr().out
    assert main(words(run, data, fitted, "--seed", "1", "--resume")) == 2
    assert "was begun with another adapter, other images or another seed" in capsys.readouterr().err
    assert main(["adapters", "follow", "base", "--data", str(data), "--out", str(tmp_path / "none")]) == 2
    assert "the base itself has no folder" in capsys.readouterr().err and not (tmp_path / "none").exists()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    assert main(words(run, data, tmp_path / "full")) == 2 and "holds other files" in capsys.readouterr().err
    assert main(words(run, data, tmp_path / "full" / "notes.txt")) == 2 and "is a file" in capsys.readouterr().err


def loaded_decoder(adapter: Path) -> dict[str, torch.Tensor]:
    """The weights by which clips are followed with `--track name=memory`."""
    with loaded(str(adapter)) as network:
        tracker = build_tracker(tracking_of(network.recipe.tracking, ["name=memory"]), "cpu", network.memory)
    assert isinstance(tracker, MemoryTracker)
    return tracker.decoder.state_dict()


def test_prediction_follows_by_its_memory_and_by_the_base_s_where_that_is_asked_for(
    fitted: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built: list[bool] = []
    begin = MemoryTracker.__init__

    def noted(self, options=None, decoders=None, fitted=None):
        begin(self, options, decoders, fitted)
        built.append(fitted is not None)

    monkeypatch.setattr(MemoryTracker, "__init__", noted)
    line = ["predict", "--adapter", str(fitted / "adapter"), str(clip), "--video", "--format", "csv", "--track"]
    assert main([*line, "name=memory", "--out", str(tmp_path / "own")]) == 0
    assert main([*line, "name=memory", "--track", "fitted=false", "--out", str(tmp_path / "base")]) == 0
    assert built == [True] * 2 + [False] * 2  # once to be checked, once for the clip
    assert (tmp_path / "own" / "moving.tracks.csv").stat().st_size


def test_a_killed_run_goes_on_to_the_same_weights(
    run: Path, fitted: Path, data: Path, tmp_path: Path, interrupt_at, capsys
) -> None:
    out, base = tmp_path / "run", read_info(run / "adapter").backbone.name
    interrupt_at(3)
    assert main(words(run, data, out, "--steps", "4", "--backbone", base, "--device", "cpu")) == 130
    told = capsys.readouterr().out
    assert "stopped after 3 steps" in told and f"--backbone {base} --device cpu --resume" in told
    assert not (out / NUMBERS).exists()
    assert read_info(out / "adapter").memory is not None and (out / PLAN).exists()
    assert place_of(out, Place()) == Place(base, "cpu") and place_of(out, Place("there", "gpu")) == Place(
        "there", "gpu"
    )
    assert place_of(tmp_path, Place()) == Place()
    last = out / "checkpoints" / "last.ckpt"
    whole = last.read_bytes()
    last.write_bytes(whole[:5000])
    assert main(words(run, data, out, "--steps", "4", "--resume")) == 2
    error = capsys.readouterr().err
    assert f"error: {str(last)!r} is damaged, or" in error and "best.ckpt' over it to go on from the best" in error
    last.write_bytes(whole)
    assert main(words(run, data, out, "--steps", "4", "--resume")) == 0
    whole, resumed = ((place / "adapter" / MEMORY_WEIGHTS).read_bytes() for place in (fitted, out))
    assert whole == resumed


def test_a_base_with_other_decoders_is_refused(fitted: Path, tmp_path: Path) -> None:
    base = shutil.copytree(FOLDERS["entity-small"], tmp_path / "base", ignore=shutil.ignore_patterns("memory_*"))
    with loaded(str(fitted / "adapter")) as network:
        options = MemoryTracking(base=str(base))
        assert isinstance(build_tracker(options, "cpu", network.memory), MemoryTracker)
        with (base / "prompt_decoder.safetensors").open("ab") as file:
            file.write(b" ")
        with pytest.raises(InputError, match="learnt beside another prompts decoder than that of the base"):
            build_tracker(options, "cpu", network.memory)
        (base / "prompt_decoder.safetensors").unlink()
        with pytest.raises(InputError, match="has no prompt decoder, on which a memory decoder stands"):
            build_tracker(options, "cpu", network.memory)
