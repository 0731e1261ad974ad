"""What a registry says of its entities, and what merging and forgetting leave of them."""

from pathlib import Path

import numpy as np
import pytest

from adapters.tracking.entries import entries, forget, last_mask, merge, resolved
from adapters.tracking.registry import Registry
from adapters.tracking.visit import Visit
from domains.errors import InputError
from tests.adapters.tracking.test_recognising import cropped, scene_of


@pytest.fixture
def registry(tmp_path: Path):
    with Registry(tmp_path / "registry.sqlite") as registry:
        view, _ = cropped(scene_of(0), 0, 0, 400)
        Visit(registry, "first.mp4").ids(view, mask=lambda row: np.eye(3, 5 + row, dtype=bool))
        Visit(registry, "second.mp4").ids(view)
        yield registry


def test_an_entry_says_when_and_where(registry: Registry):
    entry = next(entries(registry, [4]))
    assert (entry.id, entry.times, entry.sources, entry.former) == (4, 2, ("first.mp4", "second.mp4"), ())
    assert entry.first_seen <= entry.last_seen and entry.area > 0
    assert [entry.id for entry in entries(registry)] == registry.ids.tolist()


def test_the_last_mask_comes_back_as_it_was(tmp_path: Path):
    view, _ = cropped(scene_of(1), 0, 0, 400)
    masks = [np.random.default_rng(row).random((3 + row, 7)) < 0.5 for row in range(len(view))]
    with Registry(tmp_path / "masks.sqlite") as registry:
        ids = Visit(registry, "clip").ids(view, mask=lambda row: masks[row])
        for number, mask in zip(ids.tolist(), masks, strict=True):
            kept = last_mask(registry, number)
            assert kept is not None and np.array_equal(kept, mask)


@pytest.mark.parametrize("mask", [b"\1", b"\xff" * 8 + b"x", b"\3\0\0\0\3\0\0\0junk", b"\0" * 9])
def test_a_mask_that_is_damaged_is_one_line(registry: Registry, mask: bytes):
    registry.ask("UPDATE entity SET mask = ? WHERE id = 1", (mask,))
    with pytest.raises(InputError, match="damaged: the mask of entity 1"):
        last_mask(registry, 1)


def test_entities_that_are_merged_go_by_one_id_and_the_former_leads_to_it(registry: Registry):
    count = len(registry.ids)
    merge(registry, 2, 5)
    merge(registry, 7, 2)  # and what went by 2 goes by 7
    assert len(registry.ids) == count - 2
    assert [resolved(registry, number) for number in (2, 5, 7)] == [7, 7, 7]
    entry = next(entries(registry, [5]))
    assert (entry.id, entry.former, entry.times) == (7, (2, 5), 6)
    assert np.linalg.norm(registry.looks[registry.place(np.array([7]))]) == pytest.approx(1, abs=1e-2)
    with pytest.raises(InputError, match="already what the two are"):
        merge(registry, 7, 5)


def test_what_is_forgotten_is_gone_and_its_id_is_not_given_again(registry: Registry):
    view, _ = cropped(scene_of(2), 0, 0, 400)
    highest = int(registry.ids.max())
    with pytest.raises(InputError, match="knows no entity 12345"):
        forget(registry, [1, 12345])
    assert forget(registry, [highest, highest, 1]) == 2
    assert 1 not in registry.ids
    assert min(Visit(registry, "third.mp4").ids(view)) == highest + 1
    forget(registry, registry.ids.tolist())
    assert registry.ask("SELECT count(*) FROM sighting") == registry.ask("SELECT count(*) FROM moment") == [(0,)]
