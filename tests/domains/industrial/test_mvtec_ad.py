from __future__ import annotations

from collections import Counter

import pytest

from domains.datasets.splits import assign
from domains.errors import InputError
from domains.formats import recognise
from domains.industrial.mvtec_ad import MvtecAd


def test_defects_are_entities_of_their_class_and_good_images_have_none(build, tmp_path):
    layout = MvtecAd()
    records, faults = layout.scan(build.mvtec_ad(tmp_path))
    kinds = Counter(record.stratum for record in records)
    assert not faults and kinds == {"bottle/good": 3, "bottle/scratch": 2, "tile/good": 3, "tile/scratch": 2}
    truths = {record.name: layout.read(record).truth for record in records}
    assert truths["tile/test/scratch/000"].areas.tolist() == [9, 8]
    assert truths["tile/test/scratch/000"].vocabulary == ("bottle/scratch", "tile/scratch")
    assert truths["tile/test/scratch/000"].labels.tolist() == [1, 1]
    assert truths["bottle/train/good/000"].count == 0


def test_a_category_alone_is_a_data_set(build, tmp_path):
    root = build.mvtec_ad(tmp_path) / "tile"
    assert recognise(root).name == "mvtec_ad"
    records = MvtecAd().scan(root).records
    assert Counter(record.stratum for record in records) == {"good": 3, "scratch": 2}


def test_defects_come_into_every_split_though_the_set_has_them_all_in_test(build, tmp_path):
    root = tmp_path / "data"
    for i in range(30):
        build.save(root / "train" / "good" / f"{i}.png", build.picture())
        build.save(root / "test" / "dent" / f"{i}.png", build.picture())
        build.save(root / "ground_truth" / "dent" / f"{i}_mask.png", build.box(2, 2, 5, 5))
    splits = assign(MvtecAd().scan(root).records)
    assert all({record.stratum for record in records} == {"good", "dent"} for records in splits.values())


def test_ad_2_keeps_the_lights_of_one_part_together_and_leaves_out_what_has_no_truth(build, tmp_path):
    root = tmp_path / "can"
    for light in ("regular", "overexposed", "shift_1"):
        build.save(root / "test_public" / "bad" / f"000_{light}.png", build.picture())
        build.save(root / "test_public" / "ground_truth" / "bad" / f"000_{light}_mask.png", build.box(2, 2, 5, 5))
    for part in ("train/good", "validation/good", "test_public/good", "test_private"):
        build.save(root / part / "000_regular.png", build.picture())
    layout = recognise(tmp_path)
    records, faults = layout.scan(tmp_path)
    assert layout.name == "mvtec_ad" and len(records) == 6 and not faults
    assert Counter(record.group for record in records)["can/test_public/bad/000"] == 3
    assert [layout.read(record).truth.count for record in records if record.stratum == "can/bad"] == [1, 1, 1]


def test_loco_has_a_mask_file_for_each_defect(build, tmp_path):
    root = tmp_path / "pushpins"
    build.save(root / "train" / "good" / "000.png", build.picture())
    build.save(root / "test" / "logical_anomalies" / "000.png", build.picture())
    folder = root / "ground_truth" / "logical_anomalies" / "000"
    build.save(folder / "000.png", build.box(2, 2, 6, 6, 254) + build.box(10, 10, 12, 12, 254))  # two parts, one defect
    build.save(folder / "001.png", build.box(15, 15, 18, 18, 250))
    layout = recognise(root)
    (defective,) = (record for record in layout.scan(root).records if record.stratum == "logical_anomalies")
    assert sorted(layout.read(defective).truth.areas) == [9, 20]


def test_what_has_no_counterpart_and_an_empty_mask_are_told(build, tmp_path):
    root = build.mvtec_ad(tmp_path)
    alone = build.save(root / "tile" / "test" / "scratch" / "900.png", build.picture())
    mask = build.save(root / "tile" / "ground_truth" / "scratch" / "901_mask.png", build.box(2, 2, 5, 5))
    assert {fault.path for fault in MvtecAd().scan(root).faults} == {alone, mask}
    build.save(root / "bottle" / "ground_truth" / "scratch" / "000_mask.png", build.box(0, 0, 0, 0))
    record = next(record for record in MvtecAd().scan(root).records if record.name == "bottle/test/scratch/000")
    with pytest.raises(InputError, match=r"000_mask\.png.*wanted a defect.*bottle/test/scratch/000\.png"):
        MvtecAd().read(record)
