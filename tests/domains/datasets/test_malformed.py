"""Bad input, case by case: one line that names the file, or a counted skip; never a traceback, never silent nonsense.

Each case is made here on a tiny folder. The same faults in real files are read where `ENTITY_DATA` names them.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from domains.datasets.dataset import open_folder
from domains.errors import InputError

# What is done to the folder of four images, and what the one line must say besides the file. -----------------------


def no_folder(build, root: Path) -> Path:
    return root


def empty_folder(build, root: Path) -> Path:
    root.mkdir()
    return root


def unknown_layout(build, root: Path) -> Path:
    return build.save(root / "a.png", build.picture()).parent


def nothing_usable(build, root: Path) -> Path:
    build.label_maps(root, count=1)
    (root / "images" / "0.png").write_bytes(b"")
    return root


def only_geojson(build, root: Path) -> Path:
    root.mkdir()
    (root / "labels.geojson").write_bytes(b"")
    return root


def broken_coco(build, root: Path) -> Path:
    path = build.coco(root) / "annotations" / "annotations.json"
    path.write_bytes(path.read_bytes()[:200])
    return root


WHOLE_FOLDER: dict[Callable, str] = {
    no_folder: "nothing at that path",
    empty_folder: "an empty one",
    unknown_layout: "is not known",
    only_geojson: "is not known",
    nothing_usable: r"none is usable \(1 skipped, the first is .*0\.png",
    broken_coco: r"annotations\.json.*is no whole JSON",
}


@pytest.mark.parametrize("case", WHOLE_FOLDER)
def test_an_unusable_folder_is_one_clear_line(build, tmp_path, case):
    root = case(build, tmp_path / "data")
    with pytest.raises(InputError, match=WHOLE_FOLDER[case]) as caught:
        open_folder(root)
    assert "\n" not in str(caught.value) and str(root) in str(caught.value)


def without_mask(build, root: Path) -> str:
    (root / "labels" / "1.png").unlink()
    return "images/1.png"


def without_image(build, root: Path) -> str:
    (root / "images" / "1.png").unlink()
    return "labels/1.png"


def zero_bytes(build, root: Path) -> str:
    (root / "images" / "1.png").write_bytes(b"")
    return "images/1.png"


def cut_image(build, root: Path) -> str:
    path = root / "images" / "1.png"
    path.write_bytes(path.read_bytes()[:80])
    return "images/1.png"


def flipped_bytes(build, root: Path) -> str:
    path = root / "images" / "1.png"
    data = bytearray(path.read_bytes())
    data[60:80] = bytes(byte ^ 255 for byte in data[60:80])
    path.write_bytes(data)
    return "images/1.png"


def text_as_image(build, root: Path) -> str:
    (root / "images" / "1.png").write_text("<html>404</html>")
    return "images/1.png"


def all_nan(build, root: Path) -> str:
    (root / "images" / "1.png").unlink()
    tifffile.imwrite(root / "images" / "1.tif", np.full((20, 30), np.nan, np.float32))
    return "images/1.tif"


def mask_of_another_size(build, root: Path) -> str:
    build.save(root / "labels" / "1.png", build.box(1, 1, 5, 5)[:, :-1])
    return "labels/1.png"


def turned_mask(build, root: Path) -> str:
    build.save(root / "labels" / "1.png", build.box(1, 1, 5, 5).T)
    return "labels/1.png"


def jpeg_mask(build, root: Path) -> str:
    Image.fromarray(build.box(1, 1, 5, 5)).save(root / "labels" / "1.png", format="JPEG")
    return "labels/1.png"


def colour_mask(build, root: Path) -> str:
    build.save(root / "labels" / "1.png", build.picture() * np.array([1, 0, 1], np.uint8))
    return "labels/1.png"


def fractional_ids(build, root: Path) -> str:
    (root / "labels" / "1.png").unlink()
    tifffile.imwrite(root / "labels" / "1.tif", np.full((20, 30), 0.5, np.float32))
    return "labels/1.tif"


def link_in_a_circle(build, root: Path) -> str:
    (root / "images" / "1.png").unlink()
    (root / "images" / "1.png").symlink_to(root / "images")
    return "labels/1.png"


def link_to_nothing(build, root: Path) -> str:
    (root / "images" / "1.png").unlink()
    (root / "images" / "1.png").symlink_to(root / "absent.png")
    return "labels/1.png"


SKIPPED: dict[Callable, str] = {
    without_mask: "has no label picture",
    without_image: "without image",
    zero_bytes: "0 bytes",
    cut_image: "damaged",
    flipped_bytes: "damaged",
    text_as_image: "none of these",
    all_nan: "only NaN",
    mask_of_another_size: "30 x 20, got 29 x 20",
    turned_mask: "turned by 90 degrees",
    jpeg_mask: "invents ids",
    colour_mask: "got colours",
    fractional_ids: "got 0.5",
    link_in_a_circle: "without image",
    link_to_nothing: "without image",
}


@pytest.mark.parametrize("case", SKIPPED)
def test_a_bad_file_is_skipped_and_counted_and_under_strict_an_error(build, tmp_path, case):
    root = build.label_maps(tmp_path / "data", count=4)
    file = case(build, root)
    folder = open_folder(root)
    assert len(folder.records) == 3 and len(folder.faults) == 1
    line = str(folder.faults[0])
    assert file in line and SKIPPED[case] in line and "\n" not in line
    with pytest.raises(InputError, match="1 skipped, the first is") as caught:
        open_folder(root, strict=True)
    assert file in str(caught.value) and "\n" not in str(caught.value)


def as_sixteen_bit(image):
    return image.astype(np.uint16)[..., 0] * 16


def as_alpha_zero(image):
    return np.dstack([image, np.zeros(image.shape[:2], np.uint8)])


READ = {
    "grey": lambda image: Image.fromarray(image[..., 0]),
    "16 bit": lambda image: Image.fromarray(as_sixteen_bit(image)),
    "palette": lambda image: Image.fromarray(image).quantize(64),
    "alpha of zero": lambda image: Image.fromarray(as_alpha_zero(image)),
    "cmyk": lambda image: Image.fromarray(image).convert("CMYK"),
}


@pytest.mark.parametrize("kind", READ)
def test_every_common_pixel_format_is_read_as_the_picture_that_it_shows(build, tmp_path, kind):
    root = build.label_maps(tmp_path, count=1)
    (root / "images" / "0.png").unlink()
    READ[kind](build.picture()).save(root / "images" / ("0.tif" if kind == "cmyk" else "0.png"))
    sample = open_folder(root, strict=True).dataset("all")[0]
    image, shown = sample.image.astype(float), build.picture().astype(float)
    if kind == "16 bit":
        shown = (shown - shown.min()) / (shown.max() - shown.min()) * 255
    assert np.abs(image - shown).max() < 10


def test_an_image_of_one_pixel_and_an_image_without_entity_are_samples(build, tmp_path):
    build.save(tmp_path / "images" / "a.png", build.picture()[:1, :1])
    build.save(tmp_path / "labels" / "a.png", build.box(0, 0, 1, 1)[:1, :1])
    build.save(tmp_path / "images" / "b.png", build.picture())
    build.save(tmp_path / "labels" / "b.png", build.box(0, 0, 0, 0))
    samples = open_folder(tmp_path, strict=True).dataset("all")
    assert [(samples[i].truth.shape, samples[i].truth.count) for i in range(2)] == [((1, 1), 1), ((20, 30), 0)]


HARD_NAMES = [b"noyau_\xe9.png", "e\u0301.png".encode(), "\u00e9.png".encode(), b"a b\tc.png", "細胞核.png".encode()]


def test_names_that_are_no_utf_8_or_differ_by_their_accents_only_are_told_apart(build, tmp_path):
    for kind, values in (("images", build.picture()), ("labels", build.box(1, 1, 5, 5))):
        source = build.save(tmp_path / "source" / f"{kind}.png", values)
        folder = tmp_path / "data" / kind
        folder.mkdir(parents=True)
        for name in HARD_NAMES:
            try:
                shutil.copy(source, bytes(folder) + b"/" + name)
            except OSError:
                pytest.skip("this file system takes UTF-8 names only")
    check_hard_names(tmp_path / "data")


def check_hard_names(root: Path) -> None:
    folder = open_folder(root, strict=True)
    names = [record.name for record in folder.records]
    assert len(set(names)) == 5 and all(name.isprintable() and name.encode("utf-8") for name in names)
    assert all(folder.dataset("all")[i].truth.count for i in range(5))
    lines = "\n".join(f"{name},group {i}" for i, name in enumerate(names))
    (root / "groups.csv").write_text(f"file,group\n{lines}\n", encoding="utf-8")
    assert [record.group for record in open_folder(root, strict=True).records] == [f"group {i}" for i in range(5)]
