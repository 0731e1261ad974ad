from __future__ import annotations

import unicodedata
from pathlib import Path

import pytest

from domains.datasets.check import check_folder
from domains.datasets.dataset import open_folder
from domains.formats.layout import Listing, Record, with_own_names
from domains.formats.pictures import Pictures
from domains.scenes.images import read_image


def below(root: Path, *names: str) -> Pictures:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"")
    return Pictures(root)


NAMES = [
    ("images/a b.png", "a b.png"), ("images/a b.png", "./images/a b.png"), ("images/a b.png", "images\\a b.png"),
    ("images/a b.png", "C:\\data\\images\\a b.png"), ("images/a b.png", "/home/me/images/a b.png"),
    ("images/a b.png", "../images/a b.png"), ("images/a b.png", "..\\..\\label-studio\\media\\upload\\4\\a b.png"),
    ("images/a b.png", "https://host/data/a%20b.png?sig=1#x"), ("images/a b.png", "s3://bucket/images/a b.png"),
    ("images/a b.png", "/data/local-files/?d=images%2Fa%20b.png"),
    ("images/a b.png", "/data/local-files/?d=images/a+b.png"),
    ("images/a b.png", "/data/upload/3/1f2e3d4c-a b.png"), ("images/a b.png", "file:///home/me/a%20b.png"),
    ("images/a%20b.png", "images/a%20b.png"), ("images/100%.png", "images/100%.png"), ("images/a#1.png", "a#1.png"),
    ("images/A B.PNG", "a b.png"),
]  # fmt: skip


@pytest.mark.parametrize(("path", "name"), NAMES, ids=[name for _, name in NAMES])
def test_a_picture_is_found_by_what_tools_call_it(tmp_path, path, name):
    pictures = below(tmp_path, path, "images/other.png")
    assert pictures.find(name, tmp_path / "c.json") == tmp_path / path


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_are_alike_however_they_are_composed_but_the_very_name_comes_first(tmp_path, forms):
    disk, name = (unicodedata.normalize(form, "lös/prüfling.png") for form in forms)
    assert below(tmp_path, disk).find(name, tmp_path / "c.json") == tmp_path / disk
    folder, _, last = disk.partition("/")
    other = f"{folder}/{name.partition('/')[2]}"
    assert below(tmp_path, other).find(last, tmp_path / "c.json") == tmp_path / disk


def test_of_several_the_one_beside_counts_then_the_folders_that_agree_then_the_nearest(tmp_path):
    lots = [f"lot{i}/images/{j}.png" for i in (1, 2) for j in (1, 2)]
    pictures = below(tmp_path, "1.png", *lots, "lot3/1.png", "lot3/images/1.png")

    def find(name: str, file: str, subset: str = "") -> str:
        return pictures.find(name, tmp_path / file, subset).relative_to(tmp_path).as_posix()

    assert find("1.png", "c.json") == "1.png"
    assert find("1.png", "lot3/c.json") == "lot3/1.png"
    assert find("images/1.png", "lot2/annotations/c.json") == find("1.png", "lot2/c.json") == "lot2/images/1.png"
    assert find("/data/lot1/images/2.png", "lot2/c.json") == "lot1/images/2.png"
    assert find("2.png", "c.json", "lot2/images") == "lot2/images/2.png"
    with pytest.raises(ValueError, match="of which there are 2"):
        find("2.png", "c.json")


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "", None, "a" * 5000 + ".png", "a\0b.png", "..", "http://["]
)
def test_what_is_no_picture_below_the_folder_is_never_one(tmp_path, name):
    with pytest.raises(ValueError, match="leads out|there are 0|wanted text"):
        below(tmp_path / "data", "a.png").find(name, tmp_path / "data" / "c.json")


def test_two_names_never_mean_one_picture_and_folders_that_disagree_are_told(tmp_path):
    pictures, faults = below(tmp_path, "pics/1.png", "pics/2.png"), []
    names = {"a": "lot1/1.png", "b": "lot2/1.png", "c": "lot1/2.png"}
    paths, reasons = pictures.find_all({key: (name, "") for key, name in names.items()}, tmp_path / "c.json", faults)
    assert {*paths} == {"c"} and {*reasons} == {"a", "b"} and "the same '1.png'" in reasons["a"]
    assert [fault.reason for fault in faults] == [
        "names folders that are not here; its pictures were found by their file names"
    ]
    names = {"a": "pics/1.png", "b": "lot2/1.png"}
    paths, reasons = pictures.find_all({key: (name, "") for key, name in names.items()}, tmp_path / "c.json", [])
    assert {*paths} == {"a"} and {*reasons} == {"b"}


def record(path: str, name: str | None = None) -> Record:
    name = name or str(Path(path).with_suffix(""))
    return Record(name, Path("/data", path), None, group=name)


def test_pictures_of_one_stem_get_names_of_their_own_and_others_keep_theirs():
    paths = ["b.png", "part.png", "part.jpg", "part.jpg.png", "lot/part.png"]
    named = with_own_names(Listing([record(path) for path in paths], [])).records
    assert [record.name for record in named] == ["b", "part.png", "part.jpg~2", "part.jpg", "lot/part"]
    assert [record.group for record in named] == ["b", "part", "part", "part.jpg", "lot/part"]


def test_names_that_look_alike_are_told_apart():
    forms = [unicodedata.normalize(form, "prüfling.png") for form in ("NFC", "NFD")]
    named = with_own_names(Listing([record(form) for form in forms], [])).records
    assert len({unicodedata.normalize("NFC", record.name) for record in named}) == 2


def test_a_picture_that_comes_beside_another_moves_no_group(build, tmp_path):
    for name in ("a", "b", "c"):
        build.save(tmp_path / "images" / f"{name}.png", build.picture(ord(name)))
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text("0 0.1 0.1 0.5 0.1 0.5 0.5\n")
    before = {record.image: record.group for record in open_folder(tmp_path).records}
    build.save(tmp_path / "images" / "a.jpg", build.picture(9))
    folder = open_folder(tmp_path)
    after = {record.image: record.group for record in folder.records}
    samples = folder.dataset("all")
    assert all((samples[i].image == read_image(record.image)).all() for i, record in enumerate(samples.records))
    report = check_folder(tmp_path)
    assert report.total.images == len({record.name for part in report.records.values() for record in part}) == 4
    assert {image: after.get(image, group) for image, group in before.items()} == before
