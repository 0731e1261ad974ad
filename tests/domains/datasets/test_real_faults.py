"""Faults in real folders: one line that names the file, or a counted skip."""

from __future__ import annotations

import json
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domains.datasets.dataset import open_folder
from domains.errors import InputError
from domains.formats.label_pictures import read_mask
from domains.scenes.images import read_image
from tests.domains.datasets.test_malformed import check_hard_names


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
