"""Bad input, case by case: one line that names the file, or a counted skip; never a traceback, never silent nonsense.

Each case is made here on a tiny folder. The same faults in real files are read where `ENTITY_DATA` names them.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from domains.datasets.dataset import open_folder
from domains.errors import InputError
from domains.formats.label_pictures import read_ids, read_mask
from domains.scenes.images import read_image

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


# The real files. ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [
    "01_zero_byte.jpg", "02_truncated.jpg", "03_truncated.tif", "03b_truncated_ifd_at_end.ome.tif", "05_unreadable.svs",
    "06_unopenable.tiff", "07_bad_crc.png", "16_geotiff_truncated.tif", "24_huge_header.png", "27_empty.geojson",
    "28_labels_other_crs.geojson", "20_truncated_groundtruth.mat", "18_coco_truncated.json",
])  # fmt: skip
@pytest.mark.parametrize("reader", [read_image, read_ids, read_mask])
def test_real_damaged_files_are_one_line(real_data, name, reader, capfd):
    path = real_data / "malformed" / name
    with pytest.raises(InputError) as caught:
        reader(path)
    assert "\n" not in str(caught.value) and name in str(caught.value)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(("name", "shape", "low", "high"), [
    ("04_truncated_pyramid.tiff", (250, 300), 100, 250),
    ("08_cmyk.jpg", (321, 481), 90, 140),
    ("09_palette_image.png", (321, 481), 60, 90),
    ("10_uint16_12bit_range.png", (256, 256), 5, 30),
    ("13_float_nan.tif", (2, 3), 50, 200),
    ("14_float_raster_with_nodata.tif", (12, 13), 1, 20),
    ("15_rotated.tif", (15, 10), 70, 80),
    ("21_is_really_a_jpeg.png", (549, 1267), 60, 90),
    ("22_exif_orientation6.jpg", (481, 321), 100, 160),
    ("23_one_pixel.png", (1, 1), 100, 130),
    ("25_rgba_alpha_zero.png", (256, 320), 150, 200),
])  # fmt: skip
def test_real_unusual_files_are_read_as_what_they_show(real_data, name, shape, low, high):
    image = read_image(real_data / "malformed" / name)
    assert image.shape == (*shape, 3) and low < image.mean() < high


def test_real_exif_is_applied_and_real_alpha_dropped(real_data):
    upright = read_image(real_data / "bsds500" / "images" / "train" / "271031.jpg")
    turned = read_image(real_data / "malformed" / "22_exif_orientation6.jpg")
    assert turned.shape[:2] == upright.shape[1::-1]
    assert np.abs(np.rot90(turned).astype(int) - upright).mean() < 5


def test_real_mask_one_column_short_names_both_sizes(real_data, tmp_path):
    source = real_data / "malformed" / "11_mask_size_mismatch"
    for kind, name in (("images", "00005.jpg"), ("masks", "00005.png")):
        (tmp_path / kind).mkdir()
        shutil.copy(source / name, tmp_path / kind)
    with pytest.raises(InputError, match="854 x 480, got 853 x 480"):
        open_folder(tmp_path)


def test_real_defect_without_a_mask_is_skipped(real_data, tmp_path):
    folder = tmp_path / "MT_Uneven" / "Imgs"
    shutil.copytree(real_data / "malformed" / "12_empty_mask", folder)
    with pytest.raises(InputError, match=r"exp4_num_352527\.png.*at least 5 px"):
        open_folder(tmp_path)


@pytest.fixture
def coco_wrong(real_data, tmp_path) -> Path:
    (tmp_path / "imgs").mkdir()
    for name in ("002.jpg", "006.jpg"):
        shutil.copy(real_data / "nwpu_vhr10" / "imgs" / name, tmp_path / "imgs")
    shutil.copy(real_data / "malformed" / "17_coco_wrong.json", tmp_path)
    return tmp_path


def test_real_coco_with_a_fault_per_annotation_tells_each(coco_wrong):
    folder = open_folder(coco_wrong)
    assert [record.name for record in folder.records] == ["imgs/002"]
    text = "\n".join(str(fault) for fault in folder.faults)
    for expected in (
        "annotation 1 of 'imgs/002' has an odd count", "annotation 2 of 'imgs/002' has a polygon of fewer than 3",
        "annotation 3 of 'imgs/002' lies outside", "annotation 4 of 'imgs/002' has no segmentation",
        "annotation 6 has category 99", "annotation 7 belongs to image 987654", "annotation id 23 is used twice",
        "'../../etc/passwd', which leads out", "'does_not_exist.jpg', of which there are 0", "982 x 784, got 784 x 982",
    ):  # fmt: skip
        assert text.count(expected) == 1, expected
    assert len(folder.faults) == 10
    assert folder.dataset("all")[0].truth.count == 1  # annotation 5: its box is negative, its polygon is fine


def test_real_coco_with_its_size_repaired_tells_the_rest(coco_wrong):
    path = coco_wrong / "17_coco_wrong.json"
    content = json.loads(path.read_text())
    content["images"][1].update(width=982, height=784)
    path.write_text(json.dumps(content))
    folder = open_folder(coco_wrong)
    text = "\n".join(str(fault) for fault in folder.faults)
    assert "annotation 24 of 'imgs/006' has an RLE of size [806, 950], its image is [784, 982]" in text
    assert "annotation 25 of 'imgs/006' has coordinates that are no finite numbers" in text
    truth = folder.dataset("all")[1].truth
    assert truth.count == 4  # both of id 23, the one without box and area, and the one that cuts itself
    assert not truth.labelled.all()  # iscrowd on a polygon


def test_real_coco_cut_off_and_with_a_byte_order_mark(real_data, tmp_path):
    (tmp_path / "imgs").mkdir()
    shutil.copy(real_data / "nwpu_vhr10" / "imgs" / "002.jpg", tmp_path / "imgs")
    shutil.copy(real_data / "malformed" / "18_coco_truncated.json", tmp_path)
    with pytest.raises(InputError, match=r"18_coco_truncated\.json.*no whole JSON"):
        open_folder(tmp_path)
    path = tmp_path / "19_coco_bom_nan.json"
    shutil.copy(real_data / "malformed" / path.name, path)
    (tmp_path / "18_coco_truncated.json").unlink()
    with pytest.raises(InputError, match="has no annotation that belongs to an image it lists|belongs to image 5"):
        open_folder(tmp_path)  # its only annotation is of an image 5, its only image is 1
    path.write_bytes(path.read_bytes().replace(b'"image_id": 5', b'"image_id": 1'))
    folder = open_folder(tmp_path)
    assert len(folder.records) == 1 and not folder.faults and folder.dataset("all")[0].truth.count == 1


def test_real_ground_truth_cut_in_half_is_skipped(real_data, tmp_path):
    for kind in ("images", "groundTruth"):
        (tmp_path / kind / "train").mkdir(parents=True)
    shutil.copy(real_data / "bsds500" / "images" / "train" / "135069.jpg", tmp_path / "images" / "train")
    broken = tmp_path / "groundTruth" / "train" / "135069.mat"
    shutil.copy(real_data / "malformed" / "20_truncated_groundtruth.mat", broken)
    with pytest.raises(InputError, match=r"135069\.mat.*damaged") as caught:
        open_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_real_hard_names_are_told_apart(real_data, tmp_path):
    for kind in ("images", "labels"):
        (tmp_path / kind).mkdir()
        with tarfile.open(real_data / "malformed" / "26_hard_names.tar", errors="surrogateescape") as tar:
            tar.extractall(tmp_path / kind, filter="data")
    for path in (tmp_path / "labels").iterdir():
        grey = read_image(path)[..., 0]
        Image.fromarray((grey > np.median(grey)) * np.uint8(255)).save(path)
    check_hard_names(tmp_path)


@pytest.mark.parametrize(
    ("name", "wanted"),
    [("27_empty.geojson", "no whole JSON"), ("28_labels_other_crs.geojson", "wanted longitude and latitude")],
)
def test_real_geojson_is_no_silent_empty_mask(real_data, tmp_path, name, wanted):
    shutil.copy(real_data / "malformed" / name, tmp_path)
    shutil.copy(real_data / "geotiff" / "spacenet_atlanta" / "sample_geotiff.tif", tmp_path)
    with pytest.raises(InputError, match=wanted) as caught:
        open_folder(tmp_path)
    assert "\n" not in str(caught.value)


def test_real_nuclei_with_bad_masks_are_skipped_or_told(real_data, tmp_path):
    case = tmp_path / "stage1_train" / "cf26"
    shutil.copytree(real_data / "malformed" / "29_dsb_bad_masks", case)
    with pytest.raises(InputError, match=r"1 skipped.*images/.*256 x 256, got 256 x 255"):
        open_folder(tmp_path)
    next(path for path in (case / "masks").iterdir() if read_mask(path).shape != (256, 256)).unlink()
    folder = open_folder(tmp_path)
    assert ["without a pixel" in str(fault) for fault in folder.faults] == [True]
    truth = folder.dataset("all")[0].truth
    assert truth.count == 2 and truth.areas.min() > 0


def test_real_label_map_saved_as_jpeg_is_refused(real_data):
    path = real_data / "malformed" / "30_mask_saved_as_jpeg.jpg"
    with pytest.raises(InputError, match="invents ids"):
        read_ids(path)
    with pytest.raises(InputError, match="got colours"):
        read_mask(path)
