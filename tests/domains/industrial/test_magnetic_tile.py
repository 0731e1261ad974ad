from __future__ import annotations

from collections import Counter

import pytest

from domains.datasets.dataset import grouped
from domains.errors import InputError
from domains.formats import recognise
from domains.industrial.magnetic_tile import DEFECTS, MagneticTile


def test_a_defect_is_a_component_of_5_px_above_127_with_its_class(build, tmp_path):
    layout = MagneticTile()
    records, _ = layout.scan(build.magnetic_tile(tmp_path))
    sample = layout.read(records[0])
    assert sample.truth.areas.tolist() == [16]  # neither the stray pixel nor the soft edge
    assert [sample.truth.vocabulary[label] for label in sample.truth.labels] == ["MT_Blowhole"]
    assert sample.image.shape == (20, 30, 3)


def test_a_free_tile_is_an_image_without_entity(build, tmp_path):
    layout = MagneticTile()
    records, _ = layout.scan(build.magnetic_tile(tmp_path))
    free = next(record for record in records if record.stratum == "MT_Free")
    assert layout.read(free).truth.count == 0


def test_exposures_of_one_tile_share_a_group(build, tmp_path):
    records, _ = MagneticTile().scan(build.magnetic_tile(tmp_path))
    groups = {record.name: record.group for record in records}
    assert groups["MT_Blowhole/exp1_num_100"] == groups["MT_Blowhole/exp1_num_130"]
    assert len(set(groups.values())) == 3


def test_a_defective_tile_with_an_empty_mask_is_refused(build, tmp_path):
    root = build.magnetic_tile(tmp_path)
    build.save(root / "MT_Blowhole" / "Imgs" / "exp1_num_100.png", build.box(3, 3, 5, 5))  # 4 px
    record = MagneticTile().scan(root).records[0]
    with pytest.raises(InputError, match=r"exp1_num_100\.png.*wanted a defect of at least 5 px.*MT_Free"):
        MagneticTile().read(record)


def test_a_folder_of_an_unknown_class_is_a_fault(build, tmp_path):
    root = build.magnetic_tile(tmp_path)
    (root / "MT_Rust" / "Imgs").mkdir(parents=True)
    faults = MagneticTile().scan(root).faults
    assert [fault.path.name for fault in faults] == ["MT_Rust"] and "MT_Crack" in faults[0].reason


def test_the_real_folder_holds_what_its_notes_say(real_data):
    root = real_data / "magnetic_tile"
    layout = recognise(root)
    records, faults = layout.scan(root, strict=True)
    kinds = Counter(record.stratum for record in records)
    assert layout.name == "magnetic_tile" and kinds["MT_Free"] == 40 and sum(kinds[kind] for kind in DEFECTS) == 221
    entities, refused = 0, []
    for record in records:
        try:
            entities += layout.read(record).truth.count
        except InputError:
            refused.append(record.name)
    assert entities == 234
    assert refused == ["MT_Uneven/exp3_num_24829", "MT_Uneven/exp4_num_24843", "MT_Uneven/exp4_num_352527"]


def test_our_groups_are_those_of_the_table_but_for_a_tile_photographed_twice(real_data):
    root = real_data / "magnetic_tile"
    listing = MagneticTile().scan(root)
    table, unused = grouped(root, listing, real_data / "index" / "magnetic_tile.csv")
    assert not unused
    pairs = {(ours.group, theirs.group) for ours, theirs in zip(listing.records, table, strict=True)}
    assert len({theirs for _, theirs in pairs}) == 54
    assert len(pairs) == len({ours for ours, _ in pairs}) == 55
