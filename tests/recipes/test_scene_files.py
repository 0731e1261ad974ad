"""Which files of a folder are predicted, and what is said of the others."""

from __future__ import annotations

import unicodedata
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from domains.errors import InputError
from domains.scenes.results import SOFTWARE, signed
from recipes.scene_files import scenes_of


def make(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if name.endswith(".tif"):
            tifffile.imwrite(path, np.zeros((4, 6), np.int32), software=SOFTWARE)
        else:
            Image.new("RGB", (6, 4)).save(path, **({"pnginfo": signed()} if name.endswith(".overlay.png") else {}))
    return root


def names_of(root: Path, *inputs: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in scenes_of(inputs or [root]).paths]


def test_a_list_names_images_and_folders_from_its_own_folder_on(tmp_path: Path) -> None:
    make(tmp_path / "lot", "a.png", "b.png", "c.png")
    make(tmp_path / "more", "d.png")
    words = tmp_path / "list.txt"
    words.write_text(f"# tonight\nlot/b.png\n\n  {tmp_path / 'more'}\r\nlot/a.png\nlot/b.png\n")
    assert names_of(tmp_path, words) == ["lot/b.png", "more/d.png", "lot/a.png"]
    words.write_text("lot/a.png\nlot/none.png\n")
    with pytest.raises(InputError, match=r"list.txt', line 2: .*none.png' does not exist"):
        scenes_of([words])
    words.write_text("# nothing yet\n")
    with pytest.raises(InputError, match="names no image; wanted a path a line"):
        scenes_of([words])
    words.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot be read as a list of paths"):
        scenes_of([words])


def test_images_below_a_folder_are_taken_and_told(tmp_path: Path) -> None:
    make(tmp_path, "b.png", "lot2/a.png", "lot2/deep/c.PNG", "lot1/a.jpg", ".hidden/x.png", "__MACOSX/y.png")
    assert names_of(tmp_path) == ["b.png", "lot1/a.jpg", "lot2/a.png", "lot2/deep/c.PNG"]
    assert scenes_of([tmp_path]).notes() == ["3 of 4 images lie in folders below: lot1/ (1), lot2/ (1), lot2/deep/ (1)"]
    assert scenes_of([make(tmp_path / "flat", "a.png")]).notes() == []


def test_results_are_left_out_wherever_they_lie(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "a.overlay.png", "a.labels.tif", "out/a.overlay.png", ".a.running/b.png")
    for part in ("recipe.yaml", "history.csv"):
        (tmp_path / "run").mkdir(exist_ok=True)
        (tmp_path / "run" / part).write_text("x")
    make(tmp_path, "run/preview.png")
    assert names_of(tmp_path) == ["a.png"]
    (note,) = scenes_of([tmp_path]).notes()
    assert note == f"left out: 4 files (first '{tmp_path.name}/a.labels.tif'), which an earlier prediction or fit wrote"


def test_results_that_a_shell_names_beside_their_images_are_left_out(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "a.overlay.png")
    make(tmp_path, "out/a.overlay.png")
    assert names_of(tmp_path, *sorted(tmp_path.iterdir())) == ["a.png"]
    assert names_of(tmp_path, tmp_path / "a.overlay.png") == ["a.overlay.png"]  # asked for by name


def test_an_own_picture_that_is_called_as_a_result_is_predicted_and_told(tmp_path: Path) -> None:
    Image.new("RGB", (6, 4)).save(tmp_path / "map.overlay.png")
    assert names_of(tmp_path) == ["map.overlay.png"]
    (note,) = scenes_of([tmp_path]).notes()
    assert f"predicted: 1 image (first '{tmp_path.name}/map.overlay.png') with a name as results have" in note


def test_label_pictures_are_left_out_and_told(tmp_path: Path) -> None:
    make(tmp_path, "x.png", "x_mask.png", "lone_mask.png", "set/images/1.png", "set/masks/other.png", "gt/x_gt.png")
    make(tmp_path, "labels/of_bottles.png")
    assert names_of(tmp_path) == ["lone_mask.png", "x.png", "labels/of_bottles.png", "set/images/1.png"]
    assert (
        scenes_of([tmp_path]).notes()[1].startswith("left out: 3 label pictures (first 'gt/x_gt.png') of other images")
    )
    for name in ("gt", "gt/x_gt.png", "x_mask.png"):  # asked for by name
        assert len(scenes_of([tmp_path / name]).paths) == 1
    shell = sorted((tmp_path / "set").iterdir())
    assert names_of(tmp_path, *shell) == ["set/images/1.png"]


def test_an_ome_zarr_is_an_image_and_no_folder_of_images(tmp_path: Path) -> None:
    for name in ("a.zarr", "b"):
        zarr.open_group(str(tmp_path / name), mode="w", zarr_format=2)
        make(tmp_path, f"{name}/inside.png")
    assert names_of(tmp_path) == ["a.zarr", "b"]


def test_a_link_back_is_not_followed(tmp_path: Path) -> None:
    make(tmp_path, "a.png", "below/b.png")
    (tmp_path / "below" / "up").symlink_to(tmp_path)
    assert names_of(tmp_path) == ["a.png", "below/b.png"]


def test_accents_composed_otherwise_are_the_same_name(tmp_path: Path) -> None:
    apart = unicodedata.normalize("NFD", "é")
    make(tmp_path, "é.png", f"{apart}_mask.png")
    assert names_of(tmp_path) == ["é.png"]


def test_a_folder_without_an_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no image; wanted one of"):
        scenes_of([tmp_path])
    make(tmp_path, "out/a.overlay.png")
    with pytest.raises(InputError, match=r"holds no image but results of ours and label pictures \(1\)"):
        scenes_of([tmp_path])
    with pytest.raises(InputError, match="does not exist"):
        scenes_of([tmp_path / "absent"])
