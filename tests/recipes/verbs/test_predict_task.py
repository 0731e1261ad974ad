"""A worker of a cluster looks at the whole of a scene for itself, and says of its tiles what one process says."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import numpy as np
from PIL import Image

from adapters.inference.segment import Tiles
from domains.procedural.land import Land
from domains.scenes import Photograph
from recipes.load import loaded
from recipes.verbs.predict_task import SceneTask, Work, digest_of, from_wire, replies

OPTIONS = ("context=true", "test_scales=[1]", "tile_px=64", "overlap_px=16", "scale=1")


def test_a_worker_decides_with_the_whole_as_one_process_does(tmp_path: Path) -> None:
    image = Land(7, 300).draw(0, 0, 130, 180)[0]
    scene = tmp_path / "land.png"
    Image.fromarray(image).save(scene)
    with loaded("base", "natural", [f"domain.{option}" for option in OPTIONS]) as network:
        maps = dict(Tiles(Photograph(image), network.contract).predicted(network.segmenter))
        work = Work(
            adapter="base",
            recipe="natural",
            backbone=None,
            device="cpu",
            precision="fp32",
            digest=digest_of("base"),
            ahead_px=2**20,
            reply_bytes=2**24,
            contract=asdict(network.contract),
            pixel_size_m=None,
            everywhere=False,
            smallest_um2=None,
            fast=False,
            member=None,
        )
    task = SceneTask(path=str(scene), bytes=scene.stat().st_size, start=0, end=None)
    (reply,) = replies(work, [task])
    assert "fault" not in reply and reply["end"] == len(maps) > 4
    for index, *values in reply["maps"]:
        np.testing.assert_array_equal(from_wire(values).ids, maps[index].ids)
