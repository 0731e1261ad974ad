from __future__ import annotations

from dataclasses import replace
from typing import Any

from benchmarks.ablations.command import Resplit, render, resplit, spread, thirds
from benchmarks.ablations.plan import PARTS, SEEDS, PartJob, part_jobs
from domains.formats.layout import Record
from domains.pathology.domain import DOMAIN


def result_of(part: str, arm: str, seed: int, f1: float, images: int | None = None) -> dict[str, Any]:
    metrics = {"f1": f1, "aji": 0.5, "pq": None}
    words = {"part": part, "arm": arm, "seed": seed, "images_limit": images}
    return {**words, "metrics": metrics, "steps": 200, "train_images": 9}


def test_a_third_of_the_groups_of_every_class_is_held_out(tmp_path) -> None:
    records = [
        Record(f"{kind}{group}{i}", tmp_path, None, f"{kind}{group}", stratum=kind)
        for kind in ("crack", "free")
        for group in range(6)
        for i in range(2)
    ]
    fold = thirds(records)
    for kind in ("crack", "free"):
        assert sorted(fold[f"{kind}{group}"] for group in range(6)) == [0, 0, 1, 1, 2, 2]


def test_what_is_fitted_and_what_is_measured_share_no_group_and_no_test_image() -> None:
    domain = DOMAIN(sample_count=24)
    tested = {record.name for record in domain.splits["test"]}
    measured = set()
    for seed in SEEDS:
        job = PartJob("pasting", "none", seed, None)
        given = resplit(domain, job).given
        groups = [{record.group for record in given[split]} for split in ("train", "val")]
        assert not groups[0] & groups[1]
        names = {record.name for split in ("train", "val") for record in given[split]}
        assert not names & tested
        measured |= {record.name for record in given["val"]}
    assert measured == {record.name for split in ("train", "val") for record in domain.splits[split]}


def test_a_style_is_held_out() -> None:
    domain = DOMAIN(sample_count=24)
    names = ("white_bg", "purple_bg", "brightfield")
    for split in ("train", "val"):
        domain.splits[split] = [replace(one, stratum=names[i % 3]) for i, one in enumerate(domain.splits[split])]
    held = resplit(domain, PartJob("stain", "none", 0, None))
    assert {record.stratum for record in held.given["val"]} == {"white_bg"}
    assert {record.stratum for record in held.given["train"]} == {"purple_bg"}
    assert isinstance(held, Resplit)


def test_the_same_fit_is_made_once_and_every_arm_has_one() -> None:
    jobs = list(part_jobs(PARTS))
    assert len({job.key for job in jobs}) == len(jobs) == len({job.name for job in jobs})
    keys = {job.key for job in jobs}
    for name, part in PARTS.items():
        for arm in part.arms:
            assert all(PartJob(name, arm, seed, images).key in keys for seed in SEEDS for images in part.images)


def test_differences_are_taken_fold_by_fold() -> None:
    results = [result_of("stain", arm, seed, 0.5 + 0.1 * seed) for arm in PARTS["stain"].arms for seed in SEEDS]
    for one in results:
        if one["arm"] == "jitter":
            one["metrics"]["f1"] += 0.05
    text = render(results)
    assert "## stain" in text and "## bands" not in text
    without_plain = render([one for one in results if one["arm"] != "none"])
    without_one = render([one for one in results if one["arm"] != "reinhard"])
    assert "## stain" not in without_plain and "| both " in without_one and "reinhard" not in without_one
    jitter = next(line for line in text.splitlines() if line.startswith("| jitter"))
    assert ".650 ± .100 (+.050 ± .000)" in jitter and "| - |" in jitter
    assert spread([-0.25], "+") == "-.250" and spread([10.25]) == "10.250" and spread([0.9999]) == "1.000"


def test_a_part_shows_its_own_fit_before_the_same_one_of_another() -> None:
    other = [result_of("hard_negatives", "none", seed, 0.1) for seed in SEEDS]
    plain = [result_of("defect_aware_sampling", "crops anywhere", seed, 0.2) for seed in SEEDS]
    own = [result_of("defect_aware_sampling", "7 of 10 hold a defect", seed, 0.3) for seed in SEEDS]
    for results, shown in ((plain + other, ".100"), (plain + own + other, ".300"), (other + own + plain, ".300")):
        rows = [line.split(" | ") for line in render(results).splitlines() if line.startswith("| 7 of 10")]
        assert [row[2].split()[0] for row in rows] == [shown]
