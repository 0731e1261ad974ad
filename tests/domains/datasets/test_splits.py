from __future__ import annotations

import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from domains.datasets.dataset import grouped
from domains.datasets.splits import FRACTIONS, assign, find_groups, read_groups, read_strata, split_of, with_groups
from domains.errors import InputError
from domains.formats import recognise
from domains.formats.layout import SPLITS, Listing, Record


def records(groups, splits=None) -> list[Record]:
    splits = splits or [None] * len(groups)
    return [
        Record(f"r{i}", Path(f"data/r{i}.png"), None, group, split)
        for i, (group, split) in enumerate(zip(groups, splits, strict=True))
    ]


def split_by_name(parts) -> dict[str, str]:
    return {record.name: split for split, part in parts.items() for record in part}


def test_the_split_of_a_group_is_the_same_everywhere_and_forever():
    assert [split_of(f"g{i:03}") for i in range(8)] == [
        "train", "test", "train", "val", "train", "train", "train", "train",
    ]  # fmt: skip


def test_the_shares_are_those_asked_for():
    counts = Counter(split_of(f"group {i}") for i in range(10_000))
    for split, share in zip(SPLITS, FRACTIONS, strict=True):
        assert counts[split] / 10_000 == pytest.approx(share, abs=0.015)
    assert {split_of(f"group {i}", (0.5, 0, 0.5)) for i in range(100)} == {"train", "test"}


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=5), min_size=1, max_size=40))
def test_every_record_is_in_one_split_and_no_group_is_cut(groups):
    parts = assign(records(groups))
    names = [record.name for part in parts.values() for record in part]
    assert sorted(names) == sorted(record.name for record in records(groups))
    splits_of: dict[str, set] = {}
    for split, part in parts.items():
        for record in part:
            splits_of.setdefault(record.group, set()).add(split)
    assert all(len(own) == 1 for own in splits_of.values())
    filled = sum(bool(part) for part in parts.values())
    assert parts["train"] and filled == min(3, len(set(groups)))


def test_adding_files_moves_no_other_file():
    groups = [f"scene {i}" for i in range(60)]
    before, after = (split_by_name(assign(records(groups[:count]))) for count in (40, 60))
    assert {name: after[name] for name in before} == before


def test_with_few_groups_only_the_moved_ones_can_change():
    groups = [f"scene {i}" for i in range(30)]
    for count in range(1, 30):
        parts = assign(records(groups[:count]))
        moved = [record for split, part in parts.items() for record in part if split_of(record.group) != split]
        assert len(moved) <= 2
        if all(Counter(split_of(group) for group in groups[:count])[split] for split in SPLITS):
            assert not moved


def test_a_split_of_share_0_stays_empty():
    assert [len(assign(records(["a", "b", "c"]), fractions=(0.5, 0, 0.5))[split]) > 0 for split in SPLITS] == [
        True, False, True,
    ]  # fmt: skip


def test_the_own_split_holds_and_a_split_that_it_lacks_comes_out_of_train():
    groups = [f"g{i}" for i in range(40)]
    own = ["train"] * 30 + ["val"] * 10
    named = split_by_name(assign(records(groups, own)))
    assert all(named[f"r{i}"] == "val" for i in range(30, 40))
    assert {named[f"r{i}"] for i in range(30)} == {"train", "test"}
    full = ["train"] * 20 + ["val"] * 10 + ["test"] * 10
    assert list(split_by_name(assign(records(groups, full))).values()) == full


@pytest.mark.parametrize("own", [["train"] * 6, ["val", "test"] * 3, ["train", "val", None] * 2])
def test_an_own_split_that_says_too_little_is_ignored(own):
    groups = [f"g{i}" for i in range(6)]
    assert split_by_name(assign(records(groups, own))) == split_by_name(assign(records(groups)))


def test_an_own_split_that_cuts_a_group_is_ignored():
    groups = ["a", "a", "b", "c", "d", "e"]
    parts = assign(records(groups, ["train", "val", "train", "val", "test", "test"]))
    named = split_by_name(parts)
    assert named["r0"] == named["r1"] and named == split_by_name(assign(records(groups)))


@pytest.mark.parametrize("text", [
    "file,group\na.png,x\nb.png,y\n",
    "\ufeffImage_ID;width;source_group\na;3;x\nb;4;y\n",
    "tile_group\tfile\texposure\nx\ta.jpg\t1\ny\tb.jpg\t2\n",
    'file,group\r\n"a.png",x\r\n"b.png",y\r\n',
])  # fmt: skip
def test_tables_of_groups_are_read_by_their_header(tmp_path, text):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    groups = read_groups(tmp_path / "t.csv")
    assert [Path(name).stem for name in groups] == ["a", "b"] and list(groups.values()) == ["x", "y"]


def test_a_table_may_say_the_kind_of_each_image(tmp_path):
    (tmp_path / "t.csv").write_text("image_id,Stain_Stratum,source_group\nr0,pink,g1\nr1.png,,g2\n")
    assert read_strata(tmp_path / "t.csv") == {"r0": "pink", "r1.png": ""}
    own = [replace(record, stratum="own") for record in records(["a", "b"])]
    found = grouped(tmp_path, Listing(own, []), tmp_path / "t.csv").records
    assert [(record.group, record.stratum) for record in found] == [("g1", "pink"), ("g2", "own")]
    (tmp_path / "t.csv").write_text("image_id,source_group\nr0,g1\n")
    assert read_strata(tmp_path / "t.csv") == {}


@pytest.mark.parametrize(("text", "message"), [
    ("", "wanted a header"),
    ("file,width\na,3\n", "wanted a header"),
    ("file,group\n", "a row per image, got none"),
    ("file,group\na,x\na,y\n", "line 3.*'x' and 'y'"),
    ("file,group\na\n", "line 2.*'a', ''"),
])  # fmt: skip
def test_a_table_that_cannot_be_used_says_why(tmp_path, text, message):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError, match=message) as caught:
        read_groups(tmp_path / "t.csv")
    assert "\n" not in str(caught.value) and str(tmp_path / "t.csv") in str(caught.value)


@pytest.mark.parametrize(("head", "row", "encoding"), [
    ("file\tgroup", "images\\{}.png\tg{}", "utf-16"),  # Excel: Unicode text
    ("sep=;\r\nFile Name;Group", "{}.PNG;g{}", "utf-8-sig"),
    ("Image Path,Source Group", '"D:\\x\\{}.tif",g{}', "cp1252"),
    ('"file";"group"', '"./images/{}.png";"g{}"', "utf-8"), ("group\tpath", "g{1}\t\\\\server\\lot\\{0}.png", "utf-8"),
])  # fmt: skip
def test_tables_of_windows_and_excel_are_read(tmp_path, head, row, encoding):
    names = ["a", "é", "IMG_3"]
    found = [Record(f"images/{name}", tmp_path / f"images/{name}.png", None, name) for name in names]
    lines = [head, *(row.format(name, i) for i, name in enumerate(names)), ";" if ";" in head else "", ""]
    (tmp_path / "Groups.CSV").write_text("\r\n".join(lines), encoding=encoding)
    listing = grouped(tmp_path, Listing(found, []))
    assert [record.group for record in listing.records] == ["g0", "g1", "g2"] and not listing.faults


def test_small_and_capital_letters_are_told_apart_where_both_are_here():
    found = [Record(f"images/{name}", Path(f"images/{name}.png"), None, "") for name in ("a", "A", "B")]
    grouped_records, unused = with_groups(found, {"a.png": "x", "A.png": "y", "b.PNG": "z"})
    assert [record.group for record in grouped_records] == ["x", "y", "z"] and not unused


def test_rows_of_files_that_are_not_here_take_no_other_file():
    found = [Record(f"lot1/{i}", Path(f"lot1/{i}.png"), None, "") for i in range(2)]
    table = {f"lot{lot}\\{i}.png": f"{lot}-{i}" for lot in (1, 2, 3) for i in range(2)}
    grouped_records, unused = with_groups(found, table)
    assert [record.group for record in grouped_records] == ["1-0", "1-1"] and len(unused) == 4


def test_a_row_that_names_several_images_says_so():
    found = [Record(f"{split}/0", Path(f"{split}/0.png"), None, "") for split in ("train", "test")]
    with pytest.raises(InputError, match=r"2 of 2 images have no group.*'0\.png' names 2 of them: write more of its"):
        with_groups(found, {"0.png": "a"})


def test_an_absent_table_is_an_error(tmp_path):
    with pytest.raises(InputError, match="domain.groups"):
        read_groups(tmp_path / "absent.csv")


def test_a_row_names_an_image_by_name_file_or_folder_and_file():
    found = [Record(f"MT_{kind}/n1", Path(f"MT_{kind}/Imgs/n1.jpg"), None, "") for kind in ("A", "B")]
    found.append(Record("imgs/002", Path("imgs/002.jpg"), None, ""))
    grouped_records, unused = with_groups(found, {"MT_A/n1.jpg": "x", "MT_B/n1": "y", "002.jpg": "z", "n9": "w"})
    assert [record.group for record in grouped_records] == ["x", "y", "z"] and unused == ["n9"]


def test_an_image_that_the_table_leaves_out_is_an_error_and_a_row_too_many_is_told(tmp_path):
    (tmp_path / "t.csv").write_text("file,group\nr0.png,x\nghost.png,y\n")
    listing = Listing(records(["a"]), [])
    assert "1 rows name no image" in str(grouped(tmp_path, listing, tmp_path / "t.csv").faults[0])
    with pytest.raises(InputError, match="1 of 2 images have no group in the table .first: 'r1'"):
        grouped(tmp_path, Listing(records(["a", "b"]), []), tmp_path / "t.csv")


def test_two_rows_that_disagree_about_one_image_are_refused():
    with pytest.raises(InputError, match="'x' and 'y'"):
        with_groups(records(["a"]), {"r0": "x", "r0.png": "y"})


def test_groups_csv_of_the_folder_is_found_and_a_named_table_goes_before_it(tmp_path):
    assert find_groups(tmp_path) is None
    (tmp_path / "groups.csv").write_text("file,group\n")
    assert find_groups(tmp_path) == tmp_path / "groups.csv"
    assert find_groups(tmp_path, tmp_path / "other.csv") == tmp_path / "other.csv"


@pytest.mark.parametrize(("name", "groups"), [
    ("dsb2018_he", 23), ("dsb2018_fluo", 38), ("magnetic_tile", 54), ("crackforest", 54), ("nwpu_vhr10", 148),
])  # fmt: skip
def test_every_image_of_the_real_folders_has_a_group_in_the_real_tables(real_data, name, groups):
    listing = recognise(real_data / name).scan(real_data / name)
    with_table = grouped(real_data / name, listing, real_data / "index" / f"{name}.csv")
    assert len({record.group for record in with_table.records}) == groups and not with_table.faults
    parts = assign(with_table.records)
    assert all(len({record.group for record in part}) >= 3 for part in parts.values())


@pytest.mark.parametrize(
    "key",
    ["images\\lot2\\part.png", "C:\\data\\images\\lot2\\part.png", "/home/me/images/lot2/part.PNG", "lot2/part"],
)
def test_a_table_may_name_images_as_any_system_does(key):
    here, there = (
        Record(f"images/{lot}/part", Path(f"/data/images/{lot}/part.png"), None, lot) for lot in ("lot1", "lot2")
    )
    (first, second), unused = with_groups([here, there], {key: "b", "lot1/part.png": "a"})
    assert (first.group, second.group, unused) == ("a", "b", [])


def test_a_table_tells_two_files_of_one_stem_apart_by_their_suffix():
    records = [Record(f"part.{end}", Path(f"/data/part.{end}"), None, "part") for end in ("jpg", "png")]
    assert [one.group for one in with_groups(records, {"part.jpg": "a", "part.png": "b"})[0]] == ["a", "b"]
    with pytest.raises(InputError, match="no group"):
        with_groups(records, {"part": "a"})


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_a_table_names_an_image_however_its_accents_are_composed(form):
    other = {"NFC": "NFD", "NFD": "NFC"}[form]
    record = Record(unicodedata.normalize(form, "prüfling"), Path("prüfling.png"), None, "a")
    assert with_groups([record], {unicodedata.normalize(other, "prüfling.png"): "b"})[0][0].group == "b"
