"""An adapter knows the images that it learnt from, and says so where it is measured on them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from adapters.sharing.door import read_info, seal
from adapters.sharing.info import INFO, parse_info
from cli import main


def numbers(run: Path, folder: Path, tmp_path: Path, *words: str) -> dict:
    file = tmp_path / "numbers.json"
    assert (
        main(["evaluate", "--adapter", str(run / "adapter"), "--data", str(folder), "--json", str(file), *words]) == 0
    )
    return json.loads(file.read_text())


def copied(data: Path, root: Path, ending: str = ".tif") -> Path:
    """The same pixels under other names and in another format, from all splits."""
    for kind in ("images", "labels"):
        (root / kind).mkdir(parents=True)
        for path in (data / kind).iterdir():
            with Image.open(path) as picture:
                picture.save(root / kind / f"scan-{path.stem}{ending}")
    return root


def test_fit_notes_a_digest_of_each_image_that_it_learnt_from_and_no_name(run: Path) -> None:
    info = read_info(run / "adapter")
    assert info.learnt_from is not None
    train, val = info.learnt_from.train, info.learnt_from.val
    assert train.whole and val.whole and train.images >= 2 and val.images >= 1
    assert train.images + val.images < 6  # a test image is none of them
    assert "0.png" not in (run / "adapter" / INFO).read_text()


def test_evaluate_is_silent_on_images_that_are_new(run: Path, data: Path, tmp_path, capsys) -> None:
    found = numbers(run, data, tmp_path)
    assert found["learnt_from"] == {"train": 0, "val": 0, "told": found["images"]}
    assert "learnt from" not in capsys.readouterr().out


def test_evaluate_knows_an_image_again_under_another_name_and_format(run: Path, data: Path, tmp_path, capsys) -> None:
    learnt = read_info(run / "adapter").learnt_from
    assert learnt is not None
    found = numbers(run, copied(data, tmp_path / "others"), tmp_path, "--split", "all")
    counts = {"train": learnt.train.images, "val": learnt.val.images, "told": 6}
    assert found["learnt_from"] == counts
    line = next(line for line in capsys.readouterr().out.splitlines() if "learnt from" in line)
    assert line.startswith(f"note: the adapter learnt from {counts['train'] + counts['val']} of these 6 images")
    assert f"{counts['train']} in training, {counts['val']} in validation" in line and "flatter" in line


def test_an_adapter_that_goes_on_from_another_knows_the_images_of_both(
    run: Path, data: Path, options: list[str], tmp_path, capsys
) -> None:
    other = copied(data, tmp_path / "others")
    for path in (other / "images").iterdir():
        with Image.open(path) as picture:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    for path in (other / "labels").iterdir():
        with Image.open(path) as picture:
            picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(path)
    out = tmp_path / "on"
    words = ["fit", "--recipe", "pathology", "--data", str(other), "--out", str(out), *options, "train.steps=1"]
    assert main([*words, f"train.start={run / 'adapter'}"]) == 0
    before, after = read_info(run / "adapter").learnt_from, read_info(out / "adapter").learnt_from
    assert before is not None and after is not None
    assert set(before.train.each) < set(after.train.each) and set(before.val.each) < set(after.val.each)
    found = numbers(out, data, tmp_path, "--split", "all")
    assert found["learnt_from"] == {"train": before.train.images, "val": before.val.images, "told": 6}


def test_an_adapter_from_before_there_were_digests_goes_on_working(run: Path, data: Path, tmp_path, capsys) -> None:
    folder = tmp_path / "run" / "adapter"
    folder.parent.mkdir()
    folder.mkdir()
    for path in (run / "adapter").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    values = json.loads((folder / INFO).read_text())
    del values["learnt_from"]
    old = parse_info(json.dumps(values), INFO)
    text = replace(old, digest=seal(folder, old)).json_text()
    assert "learnt_from" not in text
    (folder / INFO).write_text(text)
    assert numbers(folder.parent, data, tmp_path, "--split", "all")["learnt_from"] is None
    assert "learnt from" not in capsys.readouterr().out
    assert main(["adapters", "show", str(folder)]) == 0 and "learnt" not in capsys.readouterr().out


def test_digests_that_were_changed_are_refused(run: Path, tmp_path, capsys) -> None:
    folder = tmp_path / "adapter"
    folder.mkdir()
    for path in (run / "adapter").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    values = json.loads((folder / INFO).read_text())
    values["learnt_from"]["train"] = {"images": 0, "digests": ""}
    (folder / INFO).write_text(json.dumps(values))
    assert main(["adapters", "show", str(folder)]) == 2
    assert "not as it was saved" in capsys.readouterr().err


def test_generated_scenes_are_noted_of_nobody(options: list[str], tmp_path) -> None:
    out = tmp_path / "run"
    words = ["fit", "--recipe", "pathology", "--out", str(out), *options, "train.steps=1", "domain.sample_count=8"]
    assert main(words) == 0
    assert read_info(out / "adapter").learnt_from is None


@pytest.mark.parametrize("kind", ["train", "val"])
def test_a_packed_adapter_keeps_what_it_learnt_from(run: Path, tmp_path, kind: str) -> None:
    packed, folder = tmp_path / "a.zip", tmp_path / "a"
    assert main(["adapters", "pack", str(run / "adapter"), str(packed)]) == 0
    assert main(["adapters", "unpack", str(packed), str(folder)]) == 0
    before, after = read_info(run / "adapter").learnt_from, read_info(folder).learnt_from
    assert before is not None and getattr(before, kind) == getattr(after, kind)
