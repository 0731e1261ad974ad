from __future__ import annotations

import pytest

from domains.errors import InputError
from domains.tiling.image_journal import ROWS, ImageJournal, state_of
from domains.tiling.run_folder import open_run


def written(path, names="ab"):
    journal = ImageJournal(path)
    journal.start({"plan": {"x": 1}, "overwrite": False})
    for name in names:
        journal.begin(name, f"{name}.png", [1, 2], [f"{name}.txt"])
        journal.write("csv", ([name, i] for i in range(ROWS + 3)))
        (path.parent.parent / f"{name}.txt").write_text(name)
        journal.wrote(path.parent.parent / f"{name}.txt")
        journal.done(entities=3)
    journal.close()
    return path


@pytest.fixture
def path(tmp_path):
    (tmp_path / ".predict").mkdir()
    return tmp_path / ".predict" / "journal"


def test_what_was_written_is_read_again(path):
    journal = ImageJournal(written(path))
    assert [(entry.name, entry.scene, entry.done, entry.values) for entry in journal.images] == [
        ("a", "a.png", True, {"entities": 3}), ("b", "b.png", True, {"entities": 3}),
    ]  # fmt: skip
    assert list(journal.rows("b", "csv")) == [["b", i] for i in range(ROWS + 3)]
    assert list(journal.rows("b", "coco")) == [] and journal.plan == {"plan": {"x": 1}, "overwrite": False}


def test_a_journal_cut_anywhere_has_the_images_before_and_goes_on(path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda file: None)
    whole = written(path).read_bytes()
    for length in range(0, len(whole), 499):
        path.write_bytes(whole[:length])
        journal = ImageJournal(path)
        done = [entry.name for entry in journal.images if entry.done]
        assert done in ([], ["a"], ["a", "b"])
        journal.begin("c")
        journal.write("csv", [[1]])
        journal.done()
        journal.close()
        again = ImageJournal(path)
        assert [entry.name for entry in again.images if entry.done] == [*done, "c"]
        assert list(again.rows("c", "csv")) == [[1]]
        again.close()


def test_only_what_is_as_it_was_left_is_owned(path, tmp_path):
    journal = ImageJournal(written(path))
    assert journal.owns(tmp_path / "a.txt") and not journal.owns(tmp_path / "c.txt")
    (tmp_path / "a.txt").write_text("edited")
    assert not journal.owns(tmp_path / "a.txt") and journal.owns(tmp_path / "b.txt")
    journal.begin("c", files=["c.txt"])
    assert journal.owns(tmp_path / "c.txt")  # whatever it is by now: it was free when it was begun


def test_rows_that_were_damaged_since_are_refused(path):
    content = bytearray(written(path).read_bytes())
    journal = ImageJournal(path)
    position = journal.entries["a"].rows["csv"][0]
    content[position + 30] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="the rows of 'a'; predict again with --overwrite"):
        list(journal.rows("a", "csv"))


def test_thousands_of_images_are_read_again_without_their_rows(path, monkeypatch):
    monkeypatch.setattr("os.fsync", lambda file: None)
    journal = ImageJournal(path)
    journal.start({"plan": {}, "overwrite": False})
    for i in range(3000):
        journal.begin(str(i), f"{i}.png", [1, 2], [f"{i}.txt"], {"path": f"/in/{i}.png"})
        journal.write("csv", [[0.5] * 12] * 10)
        journal.done(entities=10)
    journal.close()
    again = ImageJournal(path)
    assert len(again.images) == 3000 and all(entry.done for entry in again.images)


def test_a_plan_binds_from_the_first_image_on(tmp_path):
    with open_run(tmp_path, {"--format": ["csv"], "adapter": "a"}):
        pass
    assert not list(tmp_path.iterdir())
    with open_run(tmp_path, {"--format": ["csv"], "adapter": "a"}) as journal:
        journal.begin("a")
    other = open_run(tmp_path, {"--format": [], "adapter": "a", "--square": True})
    with pytest.raises(InputError, match="another --format, --square; repeat that command"), other:
        pass
    with open_run(tmp_path, {"--format": [], "adapter": "a"}, overwrite=True) as journal:
        assert not journal.images


def test_a_journal_that_cannot_be_opened_or_written_is_told(path, monkeypatch):
    (path.parent / "file").write_text("")
    with pytest.raises(InputError, match="cannot open .*; name another --out"):
        ImageJournal(path.parent / "file" / "journal")
    assert state_of(path.parent / "nowhere") == [] and len(state_of(path.parent / "file")) == 2
