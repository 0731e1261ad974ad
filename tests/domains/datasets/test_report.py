"""The page and the card that are made of what a folder holds."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from domains.datasets.card_draft import content, draft_card, size_category, split_contents
from domains.datasets.cards import open_card, read_card
from domains.datasets.check import check_folder
from domains.datasets.report import area_classes, report_html
from domains.entities import EntityMap
from domains.entities.overlay import thumbnail
from domains.formats import all_layouts
from domains.formats.label_maps import LabelMaps
from domains.formats.layout import Assumption


@pytest.fixture(params=all_layouts())
def folder(request, build, tmp_path):
    """A tiny folder of every layout there is; a new layout wants its builder in conftest.py."""
    return getattr(build, request.param)(tmp_path / request.param)


def pictures(page: str) -> list[Image.Image]:
    found = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    return [Image.open(io.BytesIO(base64.b64decode(one))) for one in found]


def test_every_layout_has_a_report_with_its_images(folder):
    report = check_folder(folder, examples=2)
    page = report_html(report)
    assert folder.name in page and report.layout in page and report.kinds
    assert len(pictures(page)) == 2 + 2 * len(report.kinds)  # examples, and each kind without and with its truth
    assert report.splits and all(str(count.images) in page for count in report.splits.values())
    assert "http" not in page.replace("http-equiv", "")  # opens without a network


def test_every_layout_has_a_draft_whose_facts_are_those_of_the_folder(folder, tmp_path):
    report = check_folder(folder)
    (tmp_path / "draft.md").write_text(draft_card(report, folder.name))
    card = open_card(tmp_path / "draft.md")
    assert {"front matter 'license'", "front matter 'tags'", "section '## Licence'", "section '## Source'"} <= set(
        card.missing
    )
    assert card.splits == split_contents(report) and card.splits["all"].images == report.total.images
    assert report.entity in card.sections["What counts as an entity"]


def test_images_that_were_cut_from_one_file_are_told_apart(build, tmp_path):
    """All records of the raster are one file: its digest alone would be the same in every split."""
    report = check_folder(build.raster_vectors(tmp_path / "raster_vectors"))
    everything = [record for records in report.records.values() for record in records]
    one, two = everything[:1], everything[1:2]
    assert one[0].image == two[0].image
    found = [content(report.root, part, everything).sha256 for part in (one, two, everything)]
    assert len(set(found)) == 3
    assert content(report.root, one, one) == content(report.root, two, two)  # each the whole of its data: a file


def test_a_filled_in_draft_is_a_card(build, tmp_path):
    (tmp_path / "card.md").write_text(draft_card(check_folder(build.coco(tmp_path / "coco")), "mine"))
    text = re.sub(r"<!--.*?-->", "Told.", (tmp_path / "card.md").read_text(), flags=re.DOTALL)
    (tmp_path / "card.md").write_text(re.sub(r"^(license|tags):.*$", r"\1: [mit]", text, flags=re.MULTILINE))
    assert read_card(tmp_path / "card.md").front["pretty_name"] == "mine"


class Doubtful(LabelMaps):
    """Reads as `LabelMaps`, and says of some files what a stranger wrote into them."""

    def how(self, record):
        return f"{super().how(record)}; <i>of channel A</i>"

    def truths(self, record, shape, faults):
        if record.truth.path.name == "1.png":
            faults.append(Assumption(record.truth.path, "the value <b>9</b> is unlabelled"))
        return super().truths(record, shape, faults)


def test_every_kind_of_image_is_shown_beside_its_truth_with_what_was_assumed(build, tmp_path):
    root = build.label_maps(tmp_path / "mine", count=3)
    report = check_folder(root, examples=1, layouts={"label_maps": Doubtful()})
    page = report_html(report)
    assert [(kind.count, kind.assumptions) for kind in report.kinds] == [
        (2, ()), (1, ("the value <b>9</b> is unlabelled",)),
    ]  # fmt: skip
    assert "assumed: the value &lt;b&gt;9&lt;/b&gt; is unlabelled" in page and "&lt;i&gt;of channel A" in page
    assert "<i>" not in page and "<b>9" not in page and len(pictures(page)) == 1 + 4
    shown, outlined = (np.asarray(picture) for picture in pictures(page)[:2])
    assert shown.shape == outlined.shape and (shown != outlined).any()
    assert "Faults: none" in page and "faults        none" in report.text()
    assert "  assumed     the value <b>9</b> is unlabelled ('labels/1.png')" in report.text().splitlines()


def test_an_assumption_is_no_fault_of_a_card(build, tmp_path):
    report = check_folder(build.label_maps(tmp_path / "mine"), layouts={"label_maps": Doubtful()})
    assert "unlabelled" not in draft_card(report, "mine").partition("## Known faults")[2]


def test_names_of_files_are_text_and_never_markup(build, tmp_path):
    root = build.label_maps(tmp_path / "<b>", count=2)
    evil = '<img src=x onerror="alert(1)">'.replace("/", "")
    for part in ("images", "labels"):
        (root / part / "0.png").rename(root / part / f"{evil}.png")
    (root / "images" / "<script>x.png").write_bytes(b"")
    page = report_html(check_folder(root, examples=4))
    assert "<script>" not in page and "<img src=x" not in page and "<b>" not in page
    assert "&lt;img src=x" in page and "&lt;script&gt;x.png" in page


def test_faults_and_leaks_are_on_the_page_and_in_the_draft(build, tmp_path):
    root = build.label_maps(tmp_path / "mine", count=6)
    (root / "images" / "1.png").write_bytes(b"")
    report = check_folder(root)
    assert report.faults and report.leaks  # its pictures differ by their light only
    for text in (report_html(report), draft_card(report, "mine"), report.text()):
        text = text.replace("&#39;", "'")
        assert "'images/1.png': wanted a picture, got an empty file" in text and str(report.leaks[0]) in text


def test_a_folder_of_which_nothing_is_usable_still_makes_a_page(build, tmp_path):
    root = build.label_maps(tmp_path, count=1)
    (root / "images" / "0.png").write_bytes(b"")
    page = report_html(check_folder(root, examples=4))
    assert "no image is usable" in page and pictures(page) == []


def test_outlines_of_a_thumbnail_stay_a_pixel_wide():
    ids = np.zeros((600, 900), np.int32)
    ids[100:400, 200:600] = 1
    small = thumbnail(np.full((600, 900, 3), 90, np.uint8), EntityMap(ids), 90)
    assert small.shape == (60, 90, 3)
    coloured = (small != 90).any(2)
    assert coloured.sum() == 2 * (30 + 40) - 4 and coloured[10:40, 20:60].sum() == coloured.sum()


def test_areas_are_counted_by_factors_of_four():
    assert area_classes(np.array([1, 3, 4, 17, 20])) == [
        ("1 to 3", 2, 100.0), ("4 to 15", 1, 50.0), ("16 to 63", 2, 100.0),
    ]  # fmt: skip
    assert area_classes(np.zeros(0, np.int64)) == []


def test_size_categories_are_the_hubs():
    assert [size_category(n) for n in (5, 1_000, 99_999, 2_000_000)] == ["n<1K", "1K<n<10K", "10K<n<100K", "1M<n<10M"]
