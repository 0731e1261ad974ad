"""What a forest costs over the flat map: from pictures to entities, in one process, in turns, as CPU-seconds.

    python -m benchmarks.speed.forest_cost PICTURE ... [--adapter RUN/adapter] [--recipe industrial] [--turns 1]

Without an adapter the base as the recipe has it, nothing fitted. Of pictures larger than a tile every level of the
forest is stitched; how many tiles and nodes there are is said, since both decide on the ratio.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from adapters.inference.segment import FLAT, Cut, Tiles, segment_into
from benchmarks.speed.turns import paired_ratio, parser_with_turns, turn_by_turn
from domains.scenes import Photograph
from domains.tiling.prediction import Prediction
from recipes import set_up
from recipes.load import Loaded, loaded


def predicted(network: Loaded, scene: Photograph, cut: Cut) -> Prediction:
    """The entities of a scene, or with those that nest."""
    tiles = Tiles(scene, network.contract, cut=cut)
    return segment_into(tiles.begun(None, {}, ""), tiles, network.segmenter)


def main() -> None:
    """A row of each picture, and the ratio over all of them."""
    parser = parser_with_turns(__doc__, turns=1)
    parser.add_argument("pictures", nargs="+", type=Path)
    parser.add_argument("--adapter", default="base")
    parser.add_argument("--recipe", help="wanted without an adapter")
    options = parser.parse_args()
    torch.set_num_threads(1)
    set_up()
    with loaded(options.adapter, options.recipe) as network:
        nested, sums = Cut.of(network.segmenter, None, True), np.zeros(2)
        for picture in options.pictures:
            scene = Photograph(np.asarray(Image.open(picture).convert("RGB")))
            forest = predicted(network, scene, nested).forest
            assert forest is not None
            flat, whole = turn_by_turn(
                lambda scene=scene: predicted(network, scene, FLAT),
                lambda scene=scene: predicted(network, scene, nested),
                turns=options.turns,
            )
            sums += sum(flat), sum(whole)
            tiles = len(Tiles(scene, network.contract).grid)
            ratio = paired_ratio(whole, flat)
            print(
                f"{picture.name}: {tiles} tiles, {forest.nodes.count} nodes: {ratio:.2f} times the flat map's",
                flush=True,
            )
    print(f"in all {sums[1]:.2f} s to {sums[0]:.2f} s: {sums[1] / sums[0]:.3f}")


if __name__ == "__main__":
    main()
