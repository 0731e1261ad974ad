"""Small generated images with their labels, as many as one likes, no two alike.

python -m benchmarks.speed.small_images FOLDER COUNT [--px 96]
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from PIL import Image

from domains.procedural.dataset import ProceduralScenes

FAMILIES = ("nuclei_he",)
IMAGE_PX = 96


def write_images(folder: Path, count: int, image_px: int = IMAGE_PX, seed: int = 0) -> None:
    """Write images/ and labels/ of that many PNGs each; those that are there stay."""
    scenes = ProceduralScenes(FAMILIES, count, seed, image_px)
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for i in range(count):
        image, labels = (folder / name / f"{i:06d}.png" for name in ("images", "labels"))
        if not labels.exists():
            sample = scenes[i]
            Image.fromarray(sample.image).save(image, compress_level=1)
            Image.fromarray(sample.truth.ids.astype(np.uint16)).save(labels, compress_level=1)


def main() -> None:
    """Write the images that the command line asks for."""
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("folder", type=Path)
    words.add_argument("count", type=int)
    words.add_argument("--px", type=int, default=IMAGE_PX, help="side of an image")
    options = words.parse_args()
    write_images(options.folder, options.count, options.px)


if __name__ == "__main__":
    main()
