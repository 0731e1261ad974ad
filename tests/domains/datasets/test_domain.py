"""Built-in domains keep the contract; data that is not there is told in one line."""

from __future__ import annotations

import os
import pickle
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from domains import registry
from domains.crops.normalisers import build_normaliser, fit_normaliser, normaliser_type
from domains.datasets.contract import CHECKS
from domains.datasets.domain import DataDomain, DomainSpec, build_domain, first_images, load_domain
from domains.datasets.sample import sample_seed
from domains.errors import InputError
from domains.formats.layout import Record
from domains.pathology.domain import DOMAIN as PATHOLOGY
from domains.registry import house_domains

REAL = {
    "dsb2018_fluo": "pathology",
    "magnetic_tile": "industrial",
    "nwpu_vhr10": "remote_sensing",
    "bsds500": "natural",
}


def record(name: str, group: str) -> Record:
    return Record(name, Path(name), None, group)


def write_label_maps(root: Path, count: int = 12) -> Path:
    """`count` images with a label map of two entities each."""
    for folder in ("images", "labels"):
        (root / folder).mkdir(parents=True)
    ids = np.zeros((40, 48), np.uint8)
    ids[4:12, 4:12], ids[20:36, 20:40] = 1, 2
    for i in range(count):
        image = np.full((40, 48, 3), 30 + i, np.uint8)
        image[ids > 0] = 200
        Image.fromarray(image).save(root / "images" / f"{i:02d}.png")
        Image.fromarray(ids).save(root / "labels" / f"{i:02d}.png")
    return root


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", house_domains())
def test_every_built_in_domain_keeps_the_contract_on_its_sample(name, check):
    check(build_domain(name, sample_count=8))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_domain_on_a_folder_keeps_the_contract(tmp_path, check):
    check(build_domain("pathology", write_label_maps(tmp_path / "mine")))


@pytest.mark.skipif(not os.environ.get("ENTITY_DATA"), reason="ENTITY_DATA names no folder of real data")
@pytest.mark.parametrize("name", REAL)
def test_a_real_data_set_gives_three_splits_of_disjoint_groups(name):
    root = Path(os.environ["ENTITY_DATA"])
    table = root / "index" / f"{name}.csv"
    domain = build_domain(REAL[name], root / name, groups=table if table.exists() else None)
    groups = [{record.group for record in domain.dataset(split).records} for split in ("train", "val", "test")]
    assert all(groups)
    assert not groups[0] & groups[1] and not groups[0] & groups[2] and not groups[1] & groups[2]
    assert domain.card().name == name


def test_sample_scenes_differ_between_splits_and_seeds():
    domains = [build_domain("industrial", sample_count=6, seed=seed) for seed in (0, 1)]
    images = [domain.dataset(split)[0].image.tobytes() for domain in domains for split in ("train", "val", "test")]
    assert len(set(images)) == 6


def test_sample_seeds_lie_where_no_pretraining_scene_reaches():
    seeds = [sample_seed(split, seed) for split in ("train", "val", "test") for seed in range(50)]
    assert len(set(seeds)) == len(seeds)
    assert all(2**30 <= seed >> 32 < 2**31 for seed in seeds)  # the middle one of the three words numpy mixes


def test_a_domain_survives_pickling(tmp_path):
    domain = build_domain("natural", write_label_maps(tmp_path / "mine"))
    names = [record.name for record in domain.dataset("all").records]
    assert [record.name for record in pickle.loads(pickle.dumps(domain)).dataset("all").records] == names


@pytest.mark.parametrize("option, split, count", [("max_images", "train", 3), ("max_val_images", "val", 1)])
def test_a_number_of_images_cuts_its_split_alone(tmp_path, option, split, count):
    root = write_label_maps(tmp_path / "mine")
    fractions = (0.4, 0.4, 0.2)
    whole = build_domain("pathology", root, fractions=fractions)
    cut = build_domain("pathology", root, fractions=fractions, **{option: count})
    assert len(cut.dataset(split)) == count < len(whole.dataset(split))
    assert {record.name for record in cut.dataset(split).records} <= {r.name for r in whole.dataset(split).records}
    for kept in {"train", "val", "test"} - {split}:
        assert len(cut.dataset(kept)) == len(whole.dataset(kept))
    assert len(cut.dataset("all")) == 12


def test_first_images_take_one_of_each_group_before_a_second_of_any():
    records = [record(f"{group}{i}", group) for group in "abcd" for i in range(3)]
    assert {r.group for r in first_images(records, 4)} == set("abcd")
    assert sorted(r.group for r in first_images(records, 8)) == sorted("abcd" * 2)
    assert first_images(records, 6)[:4] == first_images(records, 4)
    assert first_images(records[::-1], 6) == first_images(records, 6)
    assert len(first_images(records, 99)) == 12


def test_a_table_of_groups_keeps_a_group_in_one_split(tmp_path):
    root = write_label_maps(tmp_path / "mine")
    table = tmp_path / "groups.csv"
    table.write_text("file,group\n" + "".join(f"{i:02d}.png,g{i // 4}\n" for i in range(12)))
    domain = build_domain("pathology", root, groups=table)
    split_of = {r.name: split for split in ("train", "val", "test") for r in domain.dataset(split).records}
    assert len({tuple(sorted(name for name in split_of if split_of[name] == s)) for s in set(split_of.values())}) == 3
    assert sorted(list(split_of.values()).count(split) for split in set(split_of.values())) == [4, 4, 4]


def test_a_named_layout_is_taken_without_recognition(tmp_path):
    root = write_label_maps(tmp_path / "mine")
    assert len(build_domain("pathology", root, layout="label_maps").dataset("all")) == 12
    with pytest.raises(InputError, match="none is usable"):
        build_domain("pathology", root, layout="dsb2018").dataset("all")


# What a user can get wrong


def only_line(error: pytest.ExceptionInfo) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "options", "wanted"),
    [
        ("patology", {}, "domain.name is 'patology'.*did you mean 'pathology'"),
        ("pathology", {"max_image": 3}, "domain.max_image .*did you mean 'max_images'"),
    ],
)
def test_a_wrong_name_is_refused_with_a_suggestion(name, options, wanted):
    with pytest.raises(InputError, match=wanted) as error:
        build_domain(name, **options)
    only_line(error)


def test_a_wrong_split_or_layout_is_refused_with_a_suggestion(tmp_path):
    with pytest.raises(InputError, match="split is 'tset'.*did you mean 'test'"):
        build_domain("pathology").dataset("tset")
    with pytest.raises(InputError, match="domain.layout is 'cocoo'.*did you mean 'coco'"):
        build_domain("pathology", tmp_path, layout="cocoo").dataset("train")


def test_a_missing_folder_tells_the_path_tried_the_layouts_and_the_card(tmp_path):
    with pytest.raises(InputError) as error:
        build_domain("pathology", tmp_path / "nowhere").dataset("train")
    line = only_line(error)
    assert str(tmp_path / "nowhere") in line and "dsb2018" in line and "data_cards/dsb2018_he.md" in line


def test_a_file_in_place_of_a_folder_and_an_empty_folder_are_one_line(tmp_path):
    (tmp_path / "file.png").write_bytes(b"x")
    (tmp_path / "empty").mkdir()
    for data, wanted in ((tmp_path / "file.png", "got a file"), (tmp_path / "empty", "empty")):
        with pytest.raises(InputError, match=wanted) as error:
            build_domain("pathology", data).dataset("train")
        only_line(error)


def test_a_folder_without_a_usable_image_is_one_line(tmp_path):
    root = write_label_maps(tmp_path / "mine", count=2)
    for path in (root / "images").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    for options in ({}, {"layout": "label_maps"}):
        with pytest.raises(InputError, match="none is usable") as error:
            build_domain("pathology", root, **options).dataset("train")
        only_line(error)


def test_an_empty_split_says_what_to_do(tmp_path):
    root = write_label_maps(tmp_path / "mine", count=1)
    with pytest.raises(InputError, match="no test images; .*--split all") as error:
        build_domain("pathology", root).dataset("test")
    only_line(error)
    with pytest.raises(InputError, match="no val images; set domain.fractions$"):  # of which no verb measures another
        build_domain("pathology", root).dataset("val")
    assert len(build_domain("pathology", root).dataset("all")) == 1


# Third parties


def plugged(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    entry = EntryPoint(name, value, registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: (entry,))


def test_a_third_party_domain_is_found_by_its_entry_point(monkeypatch):
    plugged(monkeypatch, "plants", "domains.industrial.domain:DOMAIN")
    assert isinstance(build_domain("plants"), DataDomain)


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ("no_such_package.domain:DOMAIN", "ModuleNotFoundError"),
        ("domains.datasets.domain:NOTHING", "AttributeError"),
        ("domains.datasets.domain:SAMPLE", "wanted a DomainSpec or a function, got 'sample'"),
    ],
)
def test_a_broken_plugin_is_one_clear_line(monkeypatch, value, wanted):
    plugged(monkeypatch, "plants", value)
    with pytest.raises(InputError, match=f"domain 'plants'.*{wanted}") as error:
        build_domain("plants")
    only_line(error)
    assert build_domain("pathology", sample_count=3).name == "pathology"  # the others still work


def test_a_plugin_cannot_take_the_name_of_a_built_in_domain(monkeypatch):
    plugged(monkeypatch, "pathology", "no_such_package:DOMAIN")
    assert load_domain("pathology") is PATHOLOGY


@dataclass(frozen=True)
class Darker:
    """A normaliser of one number."""

    level: int

    @classmethod
    def like(cls, images):
        return cls(round(float(np.median([image.mean() for image in images]))))

    def fitted(self, pixels):
        return lambda image: np.minimum(image, self.level).astype(np.uint8)


SCANS = DomainSpec("scans", "ap", ("ap", "ap50", "pq"), ("leaves",), PATHOLOGY.augmentation,
                   normalisers={"darker": Darker, "macenko": Darker})  # fmt: skip


def test_a_package_brings_a_normaliser_and_takes_none_of_ours(monkeypatch):
    entries = [EntryPoint(name, value, registry.GROUP) for name, value in (
        ("broken", "no_such_package:DOMAIN"), ("scans", f"{__name__}:SCANS"), ("function", f"{__name__}:record"),
    )]  # fmt: skip
    monkeypatch.setattr(registry, "entry_points", lambda group: entries)
    options = fit_normaliser("darker", SCANS(sample_count=4).dataset("train"))
    assert set(options) == {"name", "level"} and build_normaliser(options) == Darker(options["level"])
    assert normaliser_type("macenko") is PATHOLOGY.normalisers["macenko"]
    with pytest.raises(InputError, match="stain normalisation is 'drker'; known: darker, macenko, reinhard.*'darker'"):
        build_normaliser({"name": "drker"})


def test_options_of_other_domains_are_known_and_refused_unless_they_do_nothing():
    assert len(build_domain("natural", seasons=False, drawn_defects=0.0).augmentation().transforms)
    with pytest.raises(InputError, match="domain.drawn_defects is 0.5, which 'natural' does not know; leave it 0.0"):
        build_domain("natural", drawn_defects=0.5).augmentation()
    assert build_domain("industrial", drawn_defects=0.5).augmentation() is not None


def test_a_spec_of_thirty_lines_is_a_domain():
    spec = DomainSpec("plants", "ap", ("ap", "ap50", "pq"), ("leaves",), PATHOLOGY.augmentation)
    assert len(spec(sample_count=5).dataset("all")) == 5
