"""What `fit` and `evaluate` refuse before they start: images other than the card's, and leaks."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import domains.datasets.cards
from cli import main
from domains.datasets.domain import build_domain
from domains.errors import InputError
from recipes.check_data import check_data, check_entities, check_unlabelled
from recipes.reading.schema import DomainSection
from tests.domains.datasets.test_looks import texture

SPLITS = ("train", "val", "test")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Two different images in each of three split folders."""
    for number, split in enumerate(SPLITS):
        for i in range(2):
            add(tmp_path / "mine", f"{split}/{i}", texture(2 * number + i))
    return tmp_path / "mine"


def add(root: Path, name: str, image: np.ndarray) -> Path:
    ids = np.zeros(image.shape[:2], np.uint8)
    ids[4:12, 4:12], ids[16:28, 8:20] = 1, 2
    for folder, values in (("images", image), ("labels", ids)):
        path = root / folder / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(values)).save(path)
    return root / "images" / f"{name}.png"


def check(root: Path, *splits: str, **options) -> None:
    section = DomainSection(name="pathology", data=str(root), **options)
    known = {"groups", "fractions", "max_images", "max_val_images"} & set(options)
    check_data(build_domain("pathology", root, **{key: options[key] for key in known}), section, splits or SPLITS)


def refusal(root: Path, *splits: str, **options) -> str:
    with pytest.raises(InputError) as error:
        check(root, *splits, **options)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_data_without_a_card_and_without_a_leak_pass_in_silence(root, capsys):
    check(root)
    check(root, "test")
    check(root, "all")
    assert capsys.readouterr().out == ""


def test_an_image_of_test_that_was_learned_from_is_refused_by_name(root):
    add(root, "test/again", texture(0)[::-1])
    line = refusal(root)
    assert "'images/train/0' (train) and 'images/test/again' (test) show nearly the same" in line
    assert "domain.groups=FILE" in line and "domain.leaks=allow" in line and "domain.leaks=identical" in line
    assert refusal(root, "test") == line
    check(root, leaks="allow")
    check(root, leaks="identical")
    check(root, "val")
    check(root, "all")


def test_a_copy_is_refused_whatever_else_is_allowed(root):
    shutil.copy(add(root, "val/a", texture(20)), root / "images" / "test" / "b.png")
    shutil.copy(root / "labels" / "val" / "a.png", root / "labels" / "test" / "b.png")
    add(root, "test/c", texture(1)[:, ::-1])
    line = refusal(root)
    assert "'images/val/a' (val) and 'images/test/b' (test) hold the same bytes; and 1 more pairs" in line
    assert "hold the same bytes;" in refusal(root, leaks="identical")
    check(root, leaks="allow")


def unlabelled(root: Path, folder: Path, **options) -> None:
    section = DomainSection(name="pathology", data=str(root), **options)
    check_unlabelled(build_domain("pathology", root), section, str(folder))


def test_a_folder_without_labels_that_holds_test_images_is_refused(root, tmp_path):
    folder = tmp_path / "more"
    folder.mkdir()
    Image.fromarray(texture(30)).save(folder / "new.png")
    shutil.copy(root / "images" / "train" / "0.png", folder / "learnt.png")
    unlabelled(root, folder)
    Image.fromarray(np.ascontiguousarray(texture(4)[:, ::-1])).save(folder / "turned.png")
    with pytest.raises(InputError, match=r"holds 1 of the 2 test images: 'turned.png' \(unlabelled\)") as error:
        unlabelled(root, folder)
    assert "\n" not in str(error.value) and "domain.leaks=allow" in str(error.value)
    unlabelled(root, folder, leaks="allow")
    with pytest.raises(InputError, match="holds 2 of the 2 test images: 'images/test/0' itself"):
        unlabelled(root, root / "images" / "test")


def test_one_group_keeps_what_shows_one_thing_together(root, tmp_path):
    table = tmp_path / "groups.csv"
    add(root, "test/again", texture(0)[::-1])
    names = sorted(path.relative_to(root).as_posix() for path in (root / "images").rglob("*.png"))
    shared = {"images/train/0.png", "images/test/again.png"}
    table.write_text("file,group\n" + "".join(f"{name},{'one' if name in shared else name}\n" for name in names))
    check(root, groups=str(table))


def test_fit_and_evaluate_refuse_a_leak_in_one_line_before_any_work(root, tmp_path, capsys):
    add(root, "test/again", np.rot90(texture(1)))
    for words in (["fit", "--out", str(tmp_path / "run")], ["evaluate", "--adapter", "base"]):
        assert main([*words, "--recipe", "pathology", "--data", str(root)]) == 2
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: domain.data") and "'images/train/1' (train)" in error
    assert not (tmp_path / "run" / "adapter").exists()


# Nothing to learn


def emptied(root: Path, *splits: str) -> Path:
    for split in splits:
        for path in (root / "labels" / split).iterdir():
            Image.fromarray(0 * np.asarray(Image.open(path))).save(path)
    return root


def entities(root: Path, *splits: str, **options) -> None:
    section = DomainSection(name="industrial", data=str(root), **options)
    check_entities(build_domain("industrial", root), section, splits or SPLITS)


def test_training_images_without_any_entity_are_refused_whatever_the_others_hold(root, capsys):
    entities(root)
    assert capsys.readouterr().out == ""
    with pytest.raises(InputError, match="none of the 2 train images holds an entity, so there is nothing to learn"):
        entities(emptied(root, "train"))
    entities(root, drawn_defects=0.5)
    assert capsys.readouterr().out == (
        "note: none of the 2 train images holds an entity; all that it learns is what domain.drawn_defects draws\n"
    )
    with pytest.raises(InputError, match="wanted entities to learn, got 6 images without any; look how the labels are"):
        entities(emptied(root, "val", "test"))
    with pytest.raises(InputError, match="wanted entities to measure, got 6 images without any"):
        entities(root, "test")


def test_images_that_are_measured_on_may_hold_no_entity_and_it_is_told(root, capsys):
    emptied(root, "val", "test")
    entities(root)
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(";")[0] for line in lines] == [
        f"note: none of the 2 {split} images holds an entity" for split in ("val", "test")
    ]
    entities(root, "test")
    assert "false alarms alone" in capsys.readouterr().out
    entities(root, "train")
    entities(root, "all")
    assert capsys.readouterr().out == ""


def test_fit_and_evaluate_refuse_images_without_entities_before_any_work(root, tmp_path, capsys):
    emptied(root, *SPLITS)
    for words in (["fit", "--out", str(tmp_path / "run")], ["evaluate", "--adapter", "base"]):
        assert main([*words, "--recipe", "pathology", "--data", str(root)]) == 2
        told = capsys.readouterr()
        assert told.err.startswith("error: domain.data") and told.err.count("\n") == 1
        assert "read as label_maps: " in told.out
    assert not (tmp_path / "run").exists()


def test_a_check_of_nothing_ends_with_2_and_gives_no_advice_to_fit(root, tmp_path, capsys):
    for path in (root / "images").rglob("*.png"):
        path.write_bytes(b"")
    page = tmp_path / "page.html"
    assert main(["domains", "check", str(root), "--report", str(page)]) == 2
    told = capsys.readouterr()
    assert "faults        6" in told.out and "next:" not in told.out and "none can be used" in told.err
    assert "no image is usable" in page.read_text()


def test_a_strict_check_tells_everything_and_then_refuses(root, capsys):
    (root / "images" / "val" / "0.png").write_bytes(b"")
    assert main(["domains", "check", str(root)]) == 0
    assert main(["domains", "check", str(root), "--strict"]) == 2
    told = capsys.readouterr()
    assert "1 faults, the first is" in told.err and told.out.count("faults        1") == 2


# The card


@pytest.fixture
def carded(root: Path, capsys) -> Path:
    assert main(["domains", "card", str(root)]) == 0
    capsys.readouterr()
    return root


def test_a_draft_is_executed_and_says_what_is_left_to_fill_in(carded, capsys):
    check(carded)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"data card {carded}/data_card.md: still to be filled in: front matter 'license'")
    assert lines[1:] == [f"data card {carded}/data_card.md: train, val, test as it states"]
    check(carded, "all")
    assert "all as it states" in capsys.readouterr().out


def test_a_changed_a_lost_and_an_added_image_are_refused(carded, capsys):
    image = carded / "images" / "test" / "0.png"
    kept = image.read_bytes()
    add(carded, "test/0", texture(50))
    line = refusal(carded)
    assert "test is not what the data card" in line and "2 images with SHA-256" in line and "domain.card=ignore" in line
    check(carded, "train")  # whose images are as they were
    check(carded, card="ignore")
    image.write_bytes(kept)
    check(carded)
    add(carded, "train/9", texture(51))
    assert "train is not what" in refusal(carded) and "3 images" in refusal(carded)
    assert "all is not what" in refusal(carded, "all")


def test_a_changed_label_is_refused_though_the_images_are_the_cards(carded):
    label = carded / "labels" / "test" / "0.png"
    Image.fromarray(np.eye(*texture(0).shape[:2], dtype=np.uint8)).save(label)
    line = refusal(carded)
    assert "the images of test are those of the data card" in line and "label files are others: SHA-256" in line
    check(carded, "train")
    card = carded / "data_card.md"
    card.write_text(re.sub(r",\s*labels_sha256: \w+", "", card.read_text()))  # as cards were before
    check(carded)


def test_another_split_of_the_same_images_is_told_as_that(carded, tmp_path):
    table = tmp_path / "groups.csv"
    rows = [
        f"{path.relative_to(carded).as_posix()},g{i}\n" for i, path in enumerate((carded / "images").rglob("*.png"))
    ]
    table.write_text("file,group\n" + "".join(rows))
    for path in (carded / "images", carded / "labels"):
        (path / "train").rename(path / "first")  # no split by name any more
    assert main(["domains", "card", str(carded), "--overwrite"]) == 0
    line = refusal(carded, fractions=(0.3, 0.3, 0.4))
    assert "the images are those of the data card" in line and "domain.groups=FILE" in line


def test_fewer_training_images_are_still_those_of_the_card(carded, capsys):
    check(carded, max_images=1)
    assert "val, test as it states" in capsys.readouterr().out
    check(carded, max_val_images=1)
    assert "train, test as it states" in capsys.readouterr().out


def test_a_shipped_card_of_the_folders_name_only_notes_that_the_images_are_others(root, monkeypatch, capsys):
    assert main(["domains", "card", str(root), "--out", str(root.parent / "mine.md")]) == 0
    card = root.parent / "mine.md"
    text = card.read_text()
    for key in ("license", "tags"):
        text = re.sub(f"^{key}:.*$", f"{key}: x", text, flags=re.MULTILINE)
    card.write_text(re.sub(r"<!--.*?-->", "Something.", text, flags=re.DOTALL))
    monkeypatch.setattr(domains.datasets.cards, "FOLDER", root.parent)
    check(root)
    assert capsys.readouterr().out.endswith(f"data card {card}: train, val, test as it states\n")
    add(root, "test/9", texture(51))
    check(root)
    assert f"note: test is not what the data card '{card}' states: 3 images" in capsys.readouterr().out


def test_a_card_with_digests_in_another_form_is_one_line(carded):
    card = carded / "data_card.md"
    card.write_text(re.sub(r"  train: .*", "  train: 5", card.read_text()))
    assert "wanted entity_splits as {train: {images: N, sha256: ...}" in refusal(carded)


def test_images_that_are_in_memory_are_not_read_again(root, monkeypatch):
    add(root, "test/again", texture(0)[::-1])
    domain = build_domain("pathology", root)
    assert len(domain.dataset("all")) == 7  # by which they have been read
    monkeypatch.delattr("domains.formats.layout.read_image")
    with pytest.raises(InputError, match="show nearly the same"):
        check_data(domain, DomainSection(name="pathology", data=str(root)), SPLITS)


def test_generated_scenes_have_no_files_to_look_at(capsys):
    check_data(build_domain("pathology", sample_count=5), DomainSection(name="pathology"), SPLITS)
    assert capsys.readouterr().out == ""


def test_a_report_and_a_card_are_never_overwritten_unasked(root: Path, tmp_path: Path, capsys) -> None:
    page = tmp_path / "report.html"
    for words, file in (
        (["check", str(root), "--report", str(page)], page),
        (["card", str(root)], root / "data_card.md"),
    ):
        assert main(["domains", *words]) == 0
        assert str(file) in capsys.readouterr().out
        file.write_text("mine")
        assert main(["domains", *words]) == 2
        assert "exists; name another file, or replace it by --overwrite" in capsys.readouterr().err
        assert file.read_text() == "mine"
        assert main(["domains", *words, "--overwrite"]) == 0 and file.read_text() != "mine"
    assert main(["domains", "check", str(root), "--report", str(tmp_path / "no" / "x.html")]) == 2
    assert "there is no folder" in capsys.readouterr().err
