from __future__ import annotations

import numpy as np
import pytest

from domains.procedural.chromatin import DARK, PALE, Nuclei, nuclear_density
from domains.procedural.tissue import TISSUES, Site, draw_ground, tissue

SITE = Site(120, 140, px_per_um=3.0)


@pytest.mark.parametrize("kind", list(TISSUES))
def test_every_tissue_has_a_ground_of_its_picture_and_nuclei_of_the_size_of_nuclei(kind):
    radii = []
    for seed in range(8):
        nuclei, ground = TISSUES[kind](np.random.default_rng(seed), SITE)
        assert ground.eosin.shape == ground.basophilic.shape == (120, 140)
        assert ground.eosin.min() >= 0 and ground.basophilic.min() >= 0
        assert len(nuclei.centres) == len(nuclei.radii) == len(nuclei.kinds)
        radii.extend(nuclei.radii / SITE.px_per_um)
    assert np.percentile(radii, 5) > 1.2 and np.percentile(radii, 95) < 9  # micrometres


def test_at_half_the_resolution_nuclei_have_a_quarter_of_the_pixels():
    areas = []
    for px_per_um in (4.0, 2.0):
        drawn = [TISSUES["epithelium"](np.random.default_rng(seed), Site(200, 200, px_per_um))[0] for seed in range(12)]
        areas.append(np.mean([np.mean(np.pi * nuclei.radii**2) for nuclei in drawn]))
    assert areas[0] / areas[1] == pytest.approx(4, rel=0.15)


def test_nuclei_take_up_more_red_light_than_what_lies_around_them():
    """Haematoxylin absorbs red, eosin next to none of it: so most pictures show nuclei, whatever their ground."""
    darker = []
    for seed in range(30):
        image, ids = tissue(np.random.default_rng((4, seed)), 128, 128)
        if not ids.any():
            continue
        red = image[..., 0].astype(float)
        darker.append(red[ids > 0].mean() < red[ids == 0].mean() - 5)
    assert np.mean(darker) > 0.85


def test_a_pale_nucleus_has_its_chromatin_at_the_rim():
    ids = np.zeros((64, 64), np.int32)
    y, x = np.mgrid[:64, :64]
    away = np.hypot(y - 32, x - 32)
    ids[away < 20] = 1
    ratio = {}
    for kind in (DARK, PALE):
        inner, rim = [], []
        for seed in range(20):
            density = nuclear_density(np.random.default_rng(seed), ids, np.array([kind]), px_per_um=4.0)
            inner.append(np.median(density[away < 10]))
            rim.append(np.median(density[(away > 17) & (away < 19)]))
            assert density[away > 27].max() < 0.3
        ratio[kind] = np.mean(rim) / np.mean(inner)
    assert ratio[PALE] > 1.5 > ratio[DARK] > 0.8


def test_a_ground_has_no_nuclei_in_it():
    ground, px_per_um = draw_ground(np.random.default_rng(3), 96, 80)
    assert ground.eosin.shape == (96, 80) and 1 < px_per_um < 8


def test_no_nuclei_at_all_is_a_picture_too():
    none = Nuclei.strewn(np.random.default_rng(0), np.zeros((0, 2)), 8.0, 0.2, 0.1)
    assert len(Nuclei.joined([none, none]).radii) == 0
    empty = [tissue(np.random.default_rng(seed), 32, 32)[1].max() for seed in range(150)]
    assert min(empty) == 0
