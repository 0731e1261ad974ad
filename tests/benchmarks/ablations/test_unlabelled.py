from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks.ablations.command import resplit
from benchmarks.ablations.plan import PARTS, PartJob
from benchmarks.ablations.unlabelled import pictures
from domains.pathology.domain import DOMAIN


def test_the_folder_holds_the_fold_without_what_is_labelled_and_without_what_is_measured(data: Path) -> None:
    job = PartJob("unlabelled_nuclei", "and the others without labels", 0, 2)
    domain = DOMAIN(data=str(data / "dsb2018_he"))
    labelled, fold = resplit(domain, job).given, resplit(domain, PartJob(job.part, job.arm, 0, None)).given
    with pictures(domain, fold["train"], labelled["train"]) as folder:
        shown = [np.asarray(Image.open(file)).tobytes() for file in folder.iterdir()]
    assert len(shown) == len(fold["train"]) - 2 > 0 and not folder.exists()
    for record in [*labelled["train"], *fold["val"]]:
        assert domain.folder.layout.read(record).image.tobytes() not in shown


def test_equal_seconds_and_what_differs_is_the_unlabelled_share_alone() -> None:
    for kind in ("nuclei", "cracks", "photographs"):
        alone, more, _ = PARTS[f"unlabelled_{kind}"].arms.values()
        assert alone.overrides == more.overrides and (alone.unlabelled_share, more.unlabelled_share) == (0.0, 0.4)
        assert "decoder.regions=true" in alone.overrides
