from __future__ import annotations

import pickle
from contextlib import closing

import numpy as np
import pytest
import tifffile

from adapters.inference.segment import InputContract
from domains.crops.normalisers import Normalised, build_normaliser, fit_normaliser, fitted_to_file, normalised
from domains.datasets.dataset import open_folder
from domains.entities import Place
from domains.errors import InputError
from domains.formats.slides import Slides
from domains.pathology.normalise import Macenko, Reinhard, angle_deg, lab_statistics, macenko_fit, tissue
from domains.pathology.stain import HED, StainJitter, transmitted
from domains.scenes import Photograph, open_scene
from domains.scenes.images import read_image

OTHER = np.array([[0.55, 0.75, 0.35], [0.05, 0.90, 0.43]])
OTHER /= np.linalg.norm(OTHER, axis=1, keepdims=True)
WHITE = np.full((64, 64, 3), 250, np.uint8)


def stained(
    vectors: np.ndarray, amounts: tuple[float, float] = (1.0, 0.8), seed: int = 0, side: int = 128
) -> np.ndarray:
    """(side, side, 3): nuclei of haematoxylin on eosin, some pixels of each alone, and glass on the left."""
    rng = np.random.default_rng(seed)
    haematoxylin, eosin = rng.uniform(0, 1, (2, side, side)) * np.array(amounts)[:, None, None]
    haematoxylin[: side // 3] *= 0.02
    eosin[-side // 3 :] *= 0.02
    haematoxylin[:, : side // 8] = eosin[:, : side // 8] = 0
    return transmitted(np.tensordot(np.stack([haematoxylin, eosin], -1), vectors[:2], axes=1).astype(np.float32))


@pytest.mark.parametrize("vectors", [HED[:2], OTHER], ids=["ruifrok", "other"])
def test_macenko_finds_the_stains_that_a_picture_was_made_of(vectors: np.ndarray) -> None:
    fit = macenko_fit(tissue(stained(vectors, (1.2, 0.9))))
    assert fit is not None
    assert angle_deg(fit[0][0], vectors[0]) < 3 and angle_deg(fit[0][1], vectors[1]) < 3
    assert fit[1] == pytest.approx([1.2, 0.9], rel=0.08)


def test_macenko_gives_back_a_picture_dyed_by_another_laboratory() -> None:
    ours, theirs = stained(HED, (1.0, 0.8)), stained(OTHER, (1.4, 0.6))  # the same tissue
    target = Macenko.like([ours])
    after = target.fitted(theirs)(theirs)
    before = np.abs(theirs.astype(int) - ours).mean()
    assert before > 12 and np.abs(after.astype(int) - ours).mean() < before / 4


def test_reinhard_reaches_the_target_s_statistics() -> None:
    ours, theirs = stained(HED, (1.0, 0.8), side=256), stained(OTHER, (0.7, 0.5), seed=1, side=256)
    target = Reinhard.like([ours])
    found = lab_statistics(tissue(target.fitted(theirs)(theirs)))
    assert found is not None
    assert found[0] == pytest.approx(target.mean, abs=4) and found[1] == pytest.approx(target.std, rel=0.25)
    assert np.abs(np.array(lab_statistics(tissue(theirs))[0]) - target.mean).max() > 8  # type: ignore[index]


@pytest.mark.parametrize("kind", [Macenko, Reinhard])
def test_a_picture_like_the_target_hardly_changes_and_glass_not_at_all(kind) -> None:
    ours = stained(HED)
    recolour = kind.like([ours]).fitted(ours)
    assert np.abs(recolour(ours).astype(int) - ours).mean() < 1.5
    assert np.abs(recolour(WHITE).astype(int) - WHITE).max() <= 3
    assert (recolour(np.full_like(WHITE, 255)) == 255).all()


@pytest.mark.parametrize("kind", [Macenko, Reinhard])
@pytest.mark.parametrize(
    "blank",
    [WHITE, np.zeros_like(WHITE), np.full((64, 64, 3), (200, 120, 160), np.uint8), WHITE[:1, :1]],
    ids=["glass", "black", "one colour", "one pixel"],
)
def test_blank_tiles_pass_unchanged(kind, blank: np.ndarray) -> None:
    assert kind.like([stained(HED)]).fitted(blank)(blank) is blank
    with pytest.raises(InputError, match=kind.name):
        kind.like([blank])


def test_one_stain_alone_is_no_pair_for_macenko() -> None:
    only = transmitted((np.random.default_rng(0).uniform(0, 1, (64, 64, 1)) * HED[0]).astype(np.float32))
    assert macenko_fit(tissue(only)) is None


@pytest.mark.parametrize("name", ["macenko", "reinhard"])
def test_options_survive_json_like_lists_and_give_the_same_picture(name: str) -> None:
    samples = [type("Sample", (), {"image": stained(HED, seed=seed)}) for seed in range(3)]
    options = fit_normaliser(name, samples)  # type: ignore[arg-type]
    as_lists = {key: np.array(value).tolist() if key != "name" else value for key, value in options.items()}
    theirs = stained(OTHER)
    one, other = (build_normaliser(given).fitted(theirs)(theirs) for given in (options, as_lists))
    assert (one == other).all() and (one != theirs).any()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"name": "macenco"}, "did you mean 'macenko'"),
        ({"name": "reinhard", "mean": [1, 2, 3]}, r"wanted \['mean', 'std'\], got \['mean'\]"),
        ({"name": "reinhard", "mean": [1, 2, 3], "std": [1, float("nan"), 1]}, "3 finite numbers"),
        ({"name": "reinhard", "mean": [1, 2, 3], "std": [1, 0, 1]}, "above 0"),
        ({"name": "macenko", "vectors": [[1, 0, 0], [1, 0, 0]], "full": [1, 1]}, "two different vectors"),
        ({"name": "macenko", "vectors": "many", "full": [1, 1]}, "2 x 3 finite numbers"),
    ],
)
def test_options_of_a_stranger_are_checked(options: dict, reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        build_normaliser(options)


def test_a_scene_is_fitted_as_a_whole_and_windows_are_cut_from_it() -> None:
    options = fit_normaliser("macenko", [type("Sample", (), {"image": stained(HED)})])  # type: ignore[arg-type]
    picture = stained(OTHER, side=200)
    scene = normalised(Photograph(picture), options)
    whole = scene.read(0, 0, 200, 200)
    assert (scene.read(10, 3, 50, 20) == whole[10:60, 3:23]).all()  # glass only, and yet as in the whole
    assert (whole == build_normaliser(options).fitted(picture)(picture)).all()
    assert normalised(Photograph(picture), None).read(0, 0, 200, 200) is not None


def test_tiles_of_a_slide_are_recoloured_alike_and_as_the_slide_is(tmp_path) -> None:
    """One tile is all haematoxylin, the other all eosin: fitted by themselves they would come out otherwise."""
    slide = np.concatenate([stained(OTHER, (1.2, 0.05), 0, 512), stained(OTHER, (0.05, 1.2), 1, 512)], axis=1)
    tifffile.imwrite(tmp_path / "a.tif", slide, photometric="rgb", tile=(256, 256))
    ids = np.zeros(slide.shape[:2], np.int32)
    ids[100:120, 100:120], ids[100:120, 700:720] = 1, 2
    tifffile.imwrite(tmp_path / "a.labels.tif", ids)
    samples = open_folder(tmp_path, layout=Slides()).dataset("all")
    options = fit_normaliser("macenko", [type("Sample", (), {"image": stained(HED)})])  # type: ignore[arg-type]
    with closing(open_scene(tmp_path / "a.tif")) as scene:
        expected = normalised(scene, options).read(0, 0, *slide.shape[:2])
    fitted_to_file.cache_clear()
    recoloured: Normalised = pickle.loads(pickle.dumps(Normalised(samples, options)))  # for a worker
    assert len(recoloured) == 2
    for i in range(2):
        place = samples[i].place
        wanted = expected[place.y : place.y + 512, place.x : place.x + 512]
        assert np.array_equal(recoloured[i].image, wanted)
        seen = normalised(InputContract(stain=options).photograph(samples[i]), options)  # as `measure` shows it
        assert np.array_equal(seen.read(0, 0, 512, 512), wanted)
        alone = build_normaliser(options).fitted(samples[i].image)(samples[i].image)
        assert not np.array_equal(alone, wanted)
    assert fitted_to_file.cache_info().misses == 1


def test_real_tissue_of_two_laboratories_comes_nearer(real_data) -> None:
    scene = open_scene(real_data / "slides" / "small_HE.svs")
    slide = scene.read(800, 800, 512, 512)
    scene.close()
    tiles = sorted((real_data / "dsb2018_he" / "stage1_train").glob("*/images/*.png"))
    coloured = [image for image in map(read_image, tiles[:12]) if len(tissue(image)) > 5000 and image.std(axis=2).any()]
    reinhard, macenko = Reinhard.like([slide]), Macenko.like([slide])
    for image in coloured:
        assert gap(reinhard.fitted(image)(image), slide) < 0.3 * gap(image, slide)
    parts = [slide[y : y + 256, x : x + 256] for y in (0, 256) for x in (0, 256)]
    redyed = [StainJitter(0.2, 0.0, 0.05)(part, np.random.default_rng(i)) for i, part in enumerate(parts)]
    for image in redyed:
        if macenko_fit(tissue(image)) is not None:
            assert turned(macenko.fitted(image)(image), macenko) < 0.3 * turned(image, macenko)
    assert sum(macenko_fit(tissue(image)) is not None for image in redyed) >= 2
    single = [image for image in coloured if macenko_fit(tissue(image)) is None]
    assert len(single) > 0.4 * len(coloured)  # smears and tissue in one purple dye, which have no second stain


def turned(image: np.ndarray, target: Macenko) -> float:
    """Degrees between a picture's stains and the target's, summed."""
    fit = macenko_fit(tissue(image))
    assert fit is not None
    return sum(angle_deg(one, np.array(other)) for one, other in zip(fit[0], target.vectors, strict=True))


def gap(one: np.ndarray, other: np.ndarray) -> float:
    """Distance of the mean colours of two pictures' tissue, in CIELAB."""
    return float(np.linalg.norm(lab_statistics(tissue(one))[0] - lab_statistics(tissue(other))[0]))  # type: ignore[index]


def test_normalised_samples_keep_truth_and_records() -> None:
    sample = type("Sample", (), {})()
    sample.image, sample.truths, sample.place = stained(OTHER), ("truth",), Place("place")
    options = fit_normaliser("reinhard", [type("Sample", (), {"image": stained(HED)})])  # type: ignore[arg-type]
    recoloured = Normalised([sample], options)  # type: ignore[arg-type]
    assert len(recoloured) == 1 and recoloured[0].truths == ("truth",)
    assert (recoloured[0].image != sample.image).any()
