"""The generated scenes of `transfer` are the same for everybody."""

from __future__ import annotations

from domains.datasets.contents import samples_sha256
from domains.procedural import SCENES
from recipes.verbs.transfer_generated import FAMILIES, OF_EACH_FAMILY, generated_set


def test_generated_scenes_are_of_every_family_each_a_group_with_entities() -> None:
    samples = generated_set().samples
    drawn = [samples[i] for i in range(len(samples))]
    assert len({sample.place.scene for sample in drawn}) == len(drawn) == OF_EACH_FAMILY * len(FAMILIES)
    assert {sample.place.scene.split("-")[0] for sample in drawn} == {*FAMILIES} == SCENES.keys() - {"nested"}
    assert sum(sample.truth.count > 0 for sample in drawn) > 0.8 * len(drawn)


def test_a_generated_scene_is_the_same_whatever_was_drawn_before() -> None:
    samples = generated_set().samples
    drawn = [samples[i] for i in reversed(range(len(samples)))]
    assert samples_sha256(drawn[::-1]) == generated_set().digest
