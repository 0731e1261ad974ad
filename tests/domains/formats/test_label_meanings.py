"""What the numbers of label pictures mean, by folders of small ones that are written here."""

from __future__ import annotations

import pickle

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from domains.datasets.check import check_folder
from domains.datasets.dataset import open_folder
from domains.datasets.domain import build_domain
from domains.errors import InputError
from domains.formats import all_layouts, recognise
from domains.formats.label_meanings import LabelPicture, LabelSet, said
from domains.formats.label_pictures import PLANES
from domains.formats.layout import GROUND, UNLABELLED_GROUND, Assumption, Reading

SHAPE = (96, 120)


def discs(seed: int = 0, radius: int = 7, step: int = 24) -> np.ndarray:
    """(96, 120) uint8: 20 discs that do not touch, numbered row by row."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]]
    ids = np.zeros(SHAPE, np.uint8)
    for i, (cy, cx) in enumerate(np.ndindex(SHAPE[0] // step, SHAPE[1] // step), 1):
        dy, dx = rng.integers(-3, 4, 2)
        ids[(y - step * cy - step // 2 - dy) ** 2 + (x - step * cx - step // 2 - dx) ** 2 < radius**2] = i
    return ids


def rims(ids: np.ndarray) -> np.ndarray:
    return ndimage.binary_dilation(ids > 0, iterations=2) & (ids == 0)


def cracks(count: int = 3, width: int = 6, times: int = 4) -> np.ndarray:
    """(96, 120) uint8: soft lines of a pixel or two, as a larger drawing leaves them when it is made smaller."""
    large = np.zeros((SHAPE[0] * times, SHAPE[1] * times), np.uint8)
    for i in range(count):
        points = np.array([[20, 60 + 110 * i], [230, 100 + 110 * i], [460, 50 + 110 * i]], np.int32)
        cv2.polylines(large, [points], False, 255, width)
    return cv2.resize(large, SHAPE[::-1], interpolation=cv2.INTER_AREA)


def folder(root, *labels, suffix=".png"):
    """images/ and masks/ of these label pictures: arrays, or functions that write a file."""
    (root / "images").mkdir(parents=True)
    (root / "masks").mkdir()
    for i, values in enumerate(labels):
        Image.fromarray(np.full((*SHAPE, 3), 90 + i, np.uint8)).save(root / "images" / f"{i}.png")
        path = root / "masks" / f"{i}{suffix}"
        if callable(values):
            values(path)
        elif suffix == ".tif":
            tifffile.imwrite(path, values)
        else:
            Image.fromarray(values).save(path)
    return root


def read(root, **reading):
    """(truths, reasons of assumptions)."""
    layout = recognise(root).with_reading(Reading(**reading))
    opened = open_folder(root, layout=layout)
    assert all(isinstance(fault, Assumption) for fault in opened.faults), opened.faults
    return [sample.truth for sample in opened.dataset("all")], {fault.reason for fault in opened.faults}


def same(truth, ids):
    pairs = {*zip(truth.ids.ravel().tolist(), ids.ravel().tolist(), strict=True)}
    return len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


@pytest.mark.parametrize("white", [255, 65535])
def test_thin_soft_masks_are_components_of_more_than_half(tmp_path, white):
    soft = cracks()
    values = soft if white == 255 else soft.astype(np.uint16) * 257
    (truth,), notes = read(folder(tmp_path, values))
    assert truth.count == 3 and np.array_equal(truth.foreground, soft > 127) and not notes


def test_a_faint_mask_among_soft_ones_is_read_as_they_are(tmp_path):
    faint = (cracks(1) * 0.4).astype(np.uint8)
    (strong, weak), notes = read(folder(tmp_path, cracks(), faint))
    assert strong.count == 3 and weak.count == 0 and not notes


@pytest.mark.parametrize("size", [(48, 60), (67, 84), (150, 200)])
@pytest.mark.parametrize("how", [cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA])
def test_masks_that_were_resized_softly_stay_masks(tmp_path, size, how):
    mask = (discs() > 0) * np.uint8(255)
    soft = cv2.resize(cv2.resize(mask, size[::-1], interpolation=how), SHAPE[::-1], interpolation=how)
    (truth,), notes = read(folder(tmp_path, soft))
    assert truth.count == 20 and np.array_equal(truth.foreground, soft > 127) and not notes


def test_255_beside_one_small_number_or_many_is_unlabelled_and_told(tmp_path):
    ids = discs()
    for name, values, suffix in (
        ("mask", np.where(rims(ids), 255, ids > 0).astype(np.uint8), ".png"),
        ("ids", np.where(rims(ids), 255, ids).astype(np.uint8), ".png"),
        ("deep", np.where(rims(ids), 65535, ids).astype(np.uint16), ".png"),
        ("whole", np.where(rims(ids), 255, ids).astype(np.int32), ".tif"),
    ):
        (truth,), notes = read(folder(tmp_path / name, values, suffix=suffix))
        assert same(truth, np.where(rims(ids), -1, ids.astype(int))), name
        assert len(notes) == 1 and "taken for unlabelled" in notes.pop()


def test_a_few_objects_and_thin_ones_beside_many_rims_of_255_are_no_soft_mask(tmp_path):
    ids = discs()
    thin = np.zeros(SHAPE, np.uint8)
    thin[10, 5:100] = thin[40, 5:100] = 1
    for name, values in (
        ("few", np.where(rims(ids), 255, ids == 4)),
        ("thin", np.where(rims(thin), 255, thin)),
    ):
        (truth,), notes = read(folder(tmp_path / name, values.astype(np.uint8)))
        assert np.array_equal(truth.foreground, values == 1) and "taken for unlabelled" in notes.pop()


def test_one_grey_between_black_and_white_is_told(tmp_path):
    ids = discs()
    root = folder(tmp_path, np.where(rims(ids), 128, (ids > 0) * 255).astype(np.uint8))
    assert "one grey" in read(root)[1].pop()
    (truth,), notes = read(root, void=128)
    assert truth.count == 20 and (truth.ids[rims(ids)] == -1).all() and not notes


def test_255_is_an_id_where_254_is_one_or_where_it_is_said(tmp_path):
    ids = np.kron(np.arange(256).reshape(16, 16), np.ones((6, 7), int))[:, :112].astype(np.uint8)
    ids = np.pad(ids, ((0, 0), (0, 8)))
    assert (read(folder(tmp_path / "a", ids))[0][0].ids >= 0).all()
    void = np.where(rims(discs()), 255, discs()).astype(np.uint8)
    assert (read(folder(tmp_path / "b", void), void="none", labels="ids")[0][0].ids >= 0).all()
    (truth,), notes = read(folder(tmp_path / "c", np.where(rims(discs()), 99, discs()).astype(np.uint8)), void=99)
    assert truth.count == 20 and (truth.ids == -1).sum() == rims(discs()).sum()


def test_numbers_of_many_pieces_are_classes_and_told(tmp_path):
    classes = [np.where(discs(i) > 0, 1 + discs(i) % 3, 0).astype(np.uint8) for i in range(3)]
    truths, notes = read(folder(tmp_path, *classes))
    assert [truth.count for truth in truths] == [20] * 3 and len(notes) == 1 and "classes" in notes.pop()
    for truth, values in zip(truths, classes, strict=True):
        assert truth.vocabulary == ("1", "2", "3")
        assert truth.labels is not None and np.array_equal(np.r_[0, truth.labels + 1][truth.ids], values)
    assert [truth.count for truth in read(tmp_path, labels="ids")[0]] == [3] * 3
    assert [truth.count for truth in read(tmp_path, labels="mask")[0]] == [20] * 3


def test_classes_with_a_void_and_a_picture_that_lacks_some(tmp_path):
    ids = discs()
    values = np.where(rims(ids), 255, np.where(ids > 0, 1 + ids % 4, 0)).astype(np.uint8)
    few = (ids > 18) * np.uint8(3)
    (truth, rare), notes = read(folder(tmp_path, values, few))
    assert truth.count == 20 and (truth.ids == -1).sum() == rims(ids).sum() and len(notes) == 2
    assert rare.count == 2 and rare.vocabulary == truth.vocabulary
    assert rare.labels is not None and rare.labels.tolist() == [2, 2]


def test_touching_classes_stay_apart_and_greys_far_apart_are_classes(tmp_path):
    values = np.kron([[85, 170], [255, 85], [170, 255], [85, 170]], np.ones((24, 60), int)).astype(np.uint8)
    values[23:25], values[47:49], values[71:73] = 0, 0, 0
    (truth,), notes = read(folder(tmp_path, values))
    assert truth.count == 8 and len(notes) == 1


def test_a_folder_of_ids_decides_for_its_pictures_of_one_number(tmp_path):
    split = np.zeros(SHAPE, np.uint8)
    split[10:20, 10:20] = split[50:60, 10:20] = 1  # one entity behind a pole
    truths, notes = read(folder(tmp_path, discs(0), discs(1), split))
    assert [truth.count for truth in truths] == [20, 20, 1] and not notes


def test_ids_of_a_few_pieces_are_told_and_strays_are_not(tmp_path):
    ids = discs()
    ids[:, 60:62] = 0
    stray = ids.copy()
    stray[0, ::30] = 7
    assert not read(folder(tmp_path / "a", stray))[1]
    cut = np.where((np.arange(SHAPE[0]) % 24 == 12)[:, None], 0, ids)
    (truth,), notes = read(folder(tmp_path / "b", np.where(cut % 4 == 1, cut, ids).astype(np.uint8)))
    assert truth.count == 20 and not notes  # a quarter of them in two pieces
    (truth,), notes = read(folder(tmp_path / "c", np.where(cut % 2 < 1, cut, ids).astype(np.uint8)))
    assert truth.count == 20 and "taken for ids" in notes.pop()


def test_masks_of_0_and_1_among_masks_of_0_and_255_are_masks(tmp_path):
    mask = discs() > 0
    truths, notes = read(folder(tmp_path, mask.astype(np.uint8), mask * np.uint8(255)))
    assert [truth.count for truth in truths] == [20, 20] and "taken for the mask" in notes.pop()


def test_ids_that_were_interpolated_are_told_and_a_photograph_is_refused(tmp_path):
    ids = np.kron(np.arange(1, 21).reshape(4, 5) * 6, np.ones((24, 24), int)).astype(np.uint8)
    ids[::24], ids[:, ::24] = 0, 0
    soft = cv2.GaussianBlur(ids, (3, 3), 0)
    assert any("specks" in note for note in read(folder(tmp_path / "a", soft))[1])
    photograph = np.random.default_rng(0).integers(1, 255, SHAPE, np.uint8)
    with pytest.raises(InputError, match="as a photograph"):
        read(folder(tmp_path / "b", photograph))


@pytest.mark.parametrize("paint", [(255, 255, 255), (0, 0, 0), (230, 10, 40)])
def test_paint_on_a_transparent_layer_is_its_alpha(tmp_path, paint):
    ids = discs()
    layer = np.dstack([np.full((*SHAPE, 3), paint, np.uint8), (ids > 0) * np.uint8(255)])
    empty = np.dstack([np.full((*SHAPE, 3), paint, np.uint8), np.zeros(SHAPE, np.uint8)])
    cleared = np.where(layer[..., 3:] > 0, layer, 0).astype(np.uint8)
    truths, notes = read(folder(tmp_path, layer, empty, cleared))
    assert [truth.count for truth in truths] == [20, 0, 20] and not notes
    assert np.array_equal(truths[0].foreground, ids > 0)


def test_grey_with_alpha_and_ids_below_erased_pixels(tmp_path):
    ids = discs()
    grey = np.dstack([np.full(SHAPE, 255, np.uint8), (ids > 0) * np.uint8(255)])
    assert read(folder(tmp_path / "a", grey))[0][0].count == 20
    erased = np.dstack([*[ids] * 3, np.where(ids == 3, 0, 255).astype(np.uint8)])
    (truth,), notes = read(folder(tmp_path / "b", erased))
    assert same(truth, np.where(ids == 3, 0, ids)) and "erased" in notes.pop()


def test_of_inverted_tables_the_stored_numbers_count_and_it_is_told(tmp_path):
    ids = discs()
    for name, values in (
        ("fiji", (ids > 0) * np.uint8(255)),
        ("boolean", ids > 0),
        ("ids", ids),
        ("deep", ids.astype(np.uint16) * 300),
    ):
        root = folder(
            tmp_path / name, lambda path, v=values: tifffile.imwrite(path, v, photometric="miniswhite"), suffix=".tif"
        )
        (truth,), notes = read(root)
        assert same(truth, ids) and "white-is-zero" in notes.pop(), name
    assert not read(folder(tmp_path / "plain", (ids > 0) * np.uint8(255), suffix=".tif"))[1]


def test_palettes_give_their_numbers_but_for_greys_out_of_order(tmp_path):
    ids = discs()

    def saved(path, values, colours):
        picture = Image.fromarray(values, "P")
        picture.putpalette(np.array(colours, np.uint8).ravel().tolist())
        picture.save(path)

    colours = np.random.default_rng(0).integers(0, 255, (256, 3))
    (truth,), notes = read(folder(tmp_path / "a", lambda path: saved(path, np.where(ids == 2, 255, ids), colours)))
    assert (truth.ids[ids == 2] == -1).all() and truth.count == 19 and not notes
    black_on_white = (ids == 0).astype(np.uint8), [[255] * 3, [0] * 3]
    (truth,), notes = read(folder(tmp_path / "b", lambda path: saved(path, *black_on_white)))
    assert truth.count == 20 and "palette of greys" in notes.pop()


def test_colours_are_refused_until_it_is_said_what_they_are(tmp_path):
    ids = discs()
    table = np.random.default_rng(1).integers(30, 255, (21, 3)).astype(np.uint8)
    table[0] = 0
    root = folder(tmp_path / "ids", table[ids])
    with pytest.raises(InputError, match="got colours.*domain.labels=ids"):
        read(root)
    assert same(read(root, labels="ids")[0][0], ids)
    root = folder(tmp_path / "classes", table[np.where(ids > 0, 1 + ids % 2, 0)])
    assert read(root, labels="classes")[0][0].count == 20
    red = np.zeros((*SHAPE, 3), np.uint8)
    red[..., 0] = (ids > 0) * 255
    assert read(folder(tmp_path / "red", red))[0][0].count == 20


def test_floats_are_whole_or_a_mask_that_is_said_to_be_one(tmp_path):
    ids = discs()
    sure = cracks().astype(np.float32) / 255
    assert same(read(folder(tmp_path / "a", ids.astype(np.float32), suffix=".tif"))[0][0], ids)
    root = folder(tmp_path / "b", sure, suffix=".tif")
    with pytest.raises(InputError, match="whole numbers"):
        read(root)
    assert read(root, labels="mask")[0][0].count == 3


def test_a_jpeg_of_a_mask_is_read_when_it_is_said_to_be_one(tmp_path):
    root = folder(tmp_path, lambda path: Image.fromarray((discs() > 0) * np.uint8(255)).save(path), suffix=".jpg")
    with pytest.raises(InputError, match="invents ids"):
        read(root)
    assert read(root, labels="mask")[0][0].count == 20


def test_masks_that_may_be_negatives_and_stacks_of_masks_are_told(tmp_path):
    ids = discs()
    (truth,), notes = read(folder(tmp_path / "a", (ids == 0) * np.uint8(255)))
    assert truth.count == 1 and "covers most" in notes.pop()
    assert not read(tmp_path / "a", labels="mask")[1]
    planes = np.stack([(ids == i) * np.uint8(255) for i in range(1, 21)])
    (truth,), notes = read(folder(tmp_path / "b", planes, suffix=".tif"))
    assert truth.count == 1 and "several planes" in notes.pop()


def test_what_fails_is_left_out_and_told_and_never_empty(tmp_path):
    root = folder(tmp_path, discs(0), discs(1), discs(2))
    (root / "masks" / "1.png").write_bytes((root / "masks" / "1.png").read_bytes()[:200])
    opened = open_folder(root)
    assert [record.name for record in opened.records] == ["images/0", "images/2"]
    assert [fault.path.name for fault in opened.faults] == ["1.png"]


def test_ids_among_more_masks_than_are_surveyed_are_left_out_and_told(tmp_path, monkeypatch):
    monkeypatch.setattr("domains.formats.label_meanings.SURVEYED", 2)
    masks = [(discs(i) > 0).astype(np.uint8) for i in range(3)]
    opened = open_folder(folder(tmp_path, masks[0], discs(1), masks[1], masks[2]))
    assert [record.name for record in opened.records] == ["images/0", "images/2", "images/3"]
    assert "wanted a mask of one number" in opened.faults[0].reason


def test_label_sets_are_small_when_pickled_and_say_the_same(tmp_path):
    root = folder(tmp_path, discs(0), discs(1))
    among = LabelSet(sorted((root / "masks").iterdir()))
    picture = LabelPicture(among.paths[0], among)
    picture.truth()
    again = pickle.loads(pickle.dumps(picture))
    assert again == picture and again.among.meaning() == among.meaning()


def test_options_are_checked_and_reach_the_layout(tmp_path):
    folder(tmp_path, *(np.where(discs(i) > 0, 1 + discs(i) % 3, 0).astype(np.uint8) for i in range(3)))
    assert said("mask", "255") == {"labels": "mask", "void": 255} and said(None, "none")["void"] == "none"
    with pytest.raises(InputError, match="labels is 'maks'.*did you mean 'mask'"):
        said("maks", None)
    with pytest.raises(InputError, match="void is 'x'"):
        said(None, "x")
    assert build_domain("natural", tmp_path, labels="ids").dataset("all")[0].truth.count == 3
    assert check_folder(tmp_path, reading=Reading(labels="mask")).total.entities == 60
    with pytest.raises(InputError, match="domain.labels is 'ids', but 'coco' says what its labels mean"):
        all_layouts()["coco"].with_reading(Reading(labels="ids"))


def test_a_ground_that_has_a_number_of_its_own_is_told(tmp_path):
    ids = discs()
    folder(tmp_path / "numbered", ids + 1, ids + 1)
    folder(tmp_path / "without", (ids - 1).astype(np.int32), (ids - 1).astype(np.int32), suffix=".tif")
    for name, reason in (("numbered", GROUND), ("without", UNLABELLED_GROUND)):
        assert reason in [fault.reason for fault in open_folder(tmp_path / name).faults]


def test_planes_of_which_the_first_is_empty_are_told(tmp_path):
    ids = discs()
    folder(tmp_path, np.stack([ids * 0, ids]).astype(np.uint16), suffix=".tif")
    assert [fault.reason for fault in open_folder(tmp_path).faults] == [PLANES]
