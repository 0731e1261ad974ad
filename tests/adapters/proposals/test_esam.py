from __future__ import annotations

import numpy as np
import pytest

from adapters.decoders.sam import SamPrompts
from adapters.proposals.esam import FINEST, WHOLE, ESam, nested, roots_first
from adapters.proposals.esam_steps import ESamOptions
from adapters.proposals.mask_set import MaskSet
from domains.entities.forest import EntityForest, Nodes
from tests.adapters.backbones.tiny_models import tiny_backbone
from tests.adapters.decoders.test_sam import picture
from tests.adapters.proposals.test_esam_steps import BALL, BODY, CUP, LABEL, SHAPE, Script, rectangle, squares

FEW = ESamOptions(points_per_side=8, gallery_per_side=8)


def without_features(points: np.ndarray) -> np.ndarray:
    return np.arange(len(points))[:, None] + np.ones((1, 2))


def test_a_nested_scene_gives_its_forest() -> None:
    ground = (0, 0, *SHAPE)
    script = Script(
        {
            CUP: ([LABEL, CUP, BODY], [0.7, 0.9, 0.8]),
            BALL: ([BALL] * 3, [0.8, 0.9, 0.95]),
            ground: ([(0, 28, 16, 32)] * 3, [0.6] * 3),
        }
    )
    forest = ESam(FEW, least_area_px=8).of_superpixels(squares(2), script, without_features)
    wholes, finest = forest.cut(WHOLE), forest.cut(FINEST)
    cup, body, label, ball = (rectangle(*sides) for sides in (CUP, BODY, LABEL, BALL))
    for mask in (cup, ball):
        assert np.unique(wholes.ids[mask]).size == 1 and not np.isin(wholes.ids[~mask], wholes.ids[mask]).any()
    for mask in (cup & ~body, ball):
        assert np.unique(finest.ids[mask]).size == 1 and not np.isin(finest.ids[~mask], finest.ids[mask]).any()
    assert np.unique(finest.ids[label]).size == 1
    assert np.array_equal(wholes.ids > 0, finest.ids > 0)


def test_nodes_are_coarser_than_what_they_hold() -> None:
    whole, part, subpart = rectangle(0, 0, 16, 16), rectangle(0, 0, 8, 16), rectangle(0, 0, 4, 16)
    alone = rectangle(0, 20, 8, 28)
    sets = [MaskSet.of(masks, np.full(len(masks), 0.8)) for masks in ([whole, alone], [part], [subpart])]
    forest = nested(*sets, 12)
    assert forest.cut(WHOLE).count == 2
    assert forest.cut(0.5).count == 3  # the part and what is left of the whole
    assert forest.cut(FINEST).count == 4  # the subpart, the rest of the part and of the whole
    assert forest.nodes.g.tolist() == [0.0, 0.5, 1.0, 1.0, 1.0, 1.0]
    assert forest.nodes.parents.tolist() == [0, 1, 2, 2, 1, 0]
    coarse, fine = forest.cut(WHOLE).ids, forest.cut(FINEST).ids
    assert all(np.unique(coarse[fine == number]).size == 1 for number in range(1, fine.max() + 1))


def test_an_image_without_entities_has_an_empty_forest() -> None:
    forest = ESam(FEW).of_superpixels(squares(), Script({}), without_features)
    assert forest.count == 0 and forest.cut(WHOLE).count == 0


def test_roots_first_changes_numbers_alone() -> None:
    leaves = np.array([[1, 2, 2, 0], [3, 4, 5, -1]], np.int32)
    columns = np.array([0.5, 1, 0.5, 1, 1], np.float32), np.full(5, -1, np.float32), np.arange(5, dtype=np.float32) / 10
    forest = EntityForest(leaves, Nodes(np.array([0, 1, 0, 3, 0], np.int32), *columns))
    first = roots_first(forest)
    assert first.leaves.tolist() == [[1, 4, 4, 0], [2, 5, 3, -1]]
    assert first.nodes.parents.tolist() == [0, 0, 0, 1, 2] and first.nodes.g.tolist() == [0.5, 0.5, 1, 1, 1]
    assert first.nodes.scores.tolist() == pytest.approx([0, 0.2, 0.4, 0.1, 0.3])
    for granularity in (WHOLE, FINEST):
        assert np.array_equal(first.cut(granularity).ids > 0, forest.cut(granularity).ids > 0)
    assert np.array_equal(first.cut(WHOLE).ids, forest.cut(WHOLE).ids)


@pytest.mark.parametrize("height, width", [(48, 64), (64, 40)])
def test_a_sam_gives_a_forest_whose_cuts_nest(height: int, width: int) -> None:
    image = picture(height, width)
    esam = ESam(ESamOptions(points_per_side=3, gallery_per_side=3))
    forest = esam.forest(image, SamPrompts(tiny_backbone("sam")).set_image(image))
    assert forest.shape == (height, width) and forest.count > 0
    coarse, fine = forest.cut(WHOLE).ids, forest.cut(FINEST).ids
    assert all(np.unique(coarse[fine == number]).size == 1 for number in range(1, fine.max() + 1))


def test_features_are_those_of_the_cells_at_their_centres() -> None:
    embedded = SamPrompts(tiny_backbone("sam")).set_image(picture(64, 64))
    cells = embedded.embedding[0].numpy()  # (C, 8, 8), of 8 px
    np.testing.assert_allclose(
        embedded.features(np.array([[4.0, 4.0], [20.0, 60.0]])), cells[:, [0, 7], [0, 2]].T, atol=1e-5
    )
