"""What a view shows of a scene, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest

from domains.errors import InputError
from domains.scenes import Photograph, Viewed, plain_view


@pytest.mark.parametrize("indices", [(0, 1), (0, 1, 4), (-1, 0, 1), (0, 1, 2, 3)])
def test_channels_that_a_scene_has_not_are_refused(indices):
    scene = Photograph(np.zeros((8, 8, 4), np.uint8))
    with pytest.raises(InputError, match="wanted three numbers from 0 to 3"):
        plain_view(scene, indices)


def test_a_view_says_what_its_scene_does():
    scene = Photograph(np.zeros((8, 8, 3), np.uint8), format="film")
    scene.remarks = ("of several planes the first is read",)
    viewed = Viewed(scene, plain_view(scene))
    assert viewed.descriptions == () and viewed.format == "film" and viewed.remarks[:1] == scene.remarks
