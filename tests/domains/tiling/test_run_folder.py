"""The folder of a run, held by one process at a time."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from domains.errors import InputError
from domains.tiling import run_folder
from domains.tiling.run_folder import is_there, locked


def test_a_folder_is_held_until_the_end_and_removed_where_it_is_empty(tmp_path: Path) -> None:
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / "lock").read_text() == f"{os.getpid()}\n"
        held = pytest.raises(InputError, match=f"is being predicted into by process {os.getpid()}; wait for its end")
        with held, locked(tmp_path / "run"):
            pass
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused = pytest.raises(InputError, match="cannot make the folder .*; name an --out that can be written")
    with refused, locked(tmp_path / "file" / "run"):
        pass


@pytest.mark.parametrize("moment", ["before it is opened", "before it is held"])
def test_a_folder_that_another_process_removes_at_its_end_is_made_again(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, times = tmp_path / "run", []
    make, hold = Path.mkdir, run_folder.hold

    def removed() -> None:
        for path in (folder / "lock", folder):
            path.unlink() if path.is_file() else path.rmdir()

    def mkdir(path: Path, **options: bool) -> None:
        make(path, **options)
        if path == folder and not times:
            times.append(moment)
            removed()

    def held(file, path: Path) -> None:
        hold(file, path)
        if not times:
            times.append(moment)
            removed()
            assert not is_there(file, folder / "lock")

    monkeypatch.setattr(*((Path, "mkdir", mkdir) if "opened" in moment else (run_folder, "hold", held)))
    with locked(folder):
        assert (folder / "lock").read_text() == f"{os.getpid()}\n"
    assert times == [moment]


@pytest.mark.parametrize("system", ["without locks", "whose disk has none"])
def test_where_there_are_no_locks_a_run_goes_on_without(system: str, tmp_path: Path, monkeypatch) -> None:
    class Disk:
        LOCK_EX = LOCK_NB = 0

        @staticmethod
        def flock(file: object, operation: int) -> None:
            raise OSError(errno.ENOLCK, "no locks available")

    monkeypatch.setattr(run_folder, "fcntl", None if system == "without locks" else Disk)
    with locked(tmp_path / "run"):
        assert (tmp_path / "run" / "lock").is_file()
