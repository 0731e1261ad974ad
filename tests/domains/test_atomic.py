from __future__ import annotations

import errno
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from domains.atomic import _started, atomic_folder, atomic_path, temporary_prefix
from domains.errors import InputError


def test_a_file_appears_whole_and_nothing_else_stays(tmp_path):
    with atomic_path(tmp_path / "a.txt") as path:
        path.write_text("new")
        assert path.parent == tmp_path and path.suffix == ".txt" and not (tmp_path / "a.txt").exists()
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "new")]


def test_a_failure_leaves_the_old_file_and_no_partial_one(tmp_path):
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_path(tmp_path / "a.txt") as path:
        path.write_text("half")
        raise KeyboardInterrupt
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_full_disk_is_one_clear_line(tmp_path):
    with pytest.raises(InputError) as caught, atomic_path(tmp_path / "a.txt") as path:
        path.write_text("half")
        raise OSError(errno.ENOSPC, "No space left on device")
    assert str(caught.value) == (
        f"cannot write {str(tmp_path / 'a.txt')!r}: No space left on device; free some space or write to another disk"
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of files")
def test_a_real_write_past_the_limit_of_the_system_leaves_nothing(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from domains.atomic import atomic_path; from domains.errors import InputError\n"
        "try:\n"
        "    with atomic_path(Path(sys.argv[1])) as path: path.write_bytes(bytes(100_000))\n"
        "except InputError as error: print(error)\n"
    )

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))

    root = Path(__file__).parents[2]
    command = [sys.executable, "-B", "-c", code, str(tmp_path / "a.bin")]
    done = subprocess.run(command, cwd=root, preexec_fn=limit, capture_output=True, text=True)
    assert "File too large; free some space" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("folder", ["missing", "file.txt"])
def test_a_folder_that_is_not_one_is_named(tmp_path, folder):
    (tmp_path / "file.txt").write_text("")
    with (
        pytest.raises(InputError, match="a.txt.*is the folder there"),
        atomic_path(tmp_path / folder / "a.txt") as path,
    ):
        path.write_text("new")


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("within", [None, "beside"])
def test_a_folder_takes_the_place_of_another_when_it_is_whole_and_asked_to(tmp_path, within):
    out, beside = tmp_path / "results" / "out", within and tmp_path / within
    with atomic_folder(out, beside) as folder:
        (folder / "a.txt").write_text("old")
    with pytest.raises(KeyboardInterrupt), atomic_folder(out, beside, overwrite=True) as folder:
        (folder / "b.txt").write_text("half")
        raise KeyboardInterrupt
    with pytest.raises(OSError, match="not empty"), atomic_folder(out, beside) as folder:
        (folder / "b.txt").write_text("unasked")
    assert contents(tmp_path) == {"results/out/a.txt": "old"}
    with atomic_folder(out, beside, overwrite=True) as folder:
        assert folder.parents[1] == (beside or out.parent)
        (folder / "b.txt").write_text("new")
    assert contents(tmp_path) == {"results/out/b.txt": "new"}
    assert not [path for path in tmp_path.rglob(".*")]


def test_a_folder_whose_place_cannot_be_taken_is_there_again(tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("old")
    rename = os.rename

    def refused(source: Path, target: Path) -> None:
        if source.name == "new":
            raise OSError(errno.EIO, "Input/output error")
        rename(source, target)

    monkeypatch.setattr("domains.atomic.os.rename", refused)
    with pytest.raises(OSError, match="Input/output"), atomic_folder(tmp_path / "out", overwrite=True) as folder:
        (folder / "b.txt").write_text("new")
    assert contents(tmp_path) == {"out/a.txt": "old"}


@pytest.mark.skipif(sys.platform != "linux", reason="tells by /proc which process has ended")
def test_what_a_killed_process_left_is_removed_and_nothing_else(tmp_path):
    machine = temporary_prefix().split("-")[2]
    kept = [
        ".entity-adapters-mine.txt",
        ".0123456789ab.png",
        f".entity-adapters-{machine}-1-{_started(1)}-x.txt",  # of a process that lives
        ".entity-adapters-00000000-1-1-x.txt",  # of another machine
        f"{temporary_prefix()}x.txt",
    ]
    for name in kept:
        (tmp_path / name).write_text("")
    (tmp_path / f".entity-adapters-{machine}-4194305-17-x.txt").write_text("")  # beyond the largest number
    (tmp_path / f".entity-adapters-{machine}-1-1-folder").mkdir()  # its number belongs to another process now
    (tmp_path / f".entity-adapters-{machine}-1-1-folder" / "file").write_text("")
    old = tmp_path / ".entity-adapters-00000000-1-2-x.txt"
    old.write_text("")
    os.utime(old, (0, 0))
    with atomic_path(tmp_path / "a.txt") as path:
        path.write_text("new")
    assert {path.name for path in tmp_path.iterdir()} == {*kept, "a.txt"}


@pytest.mark.skipif(sys.platform != "linux", reason="tells by /proc which process has ended")
def test_a_kill_between_the_two_names_of_an_overwritten_folder_loses_neither(tmp_path):
    machine = temporary_prefix().split("-")[2]
    left = tmp_path / f".entity-adapters-{machine}-4194305-17-folder"
    for name in ("given_way", "replaced"):
        (left / "old" / name).mkdir(parents=True)
        (left / "old" / name / "a.txt").write_text("old")
    (tmp_path / "replaced").mkdir()
    (tmp_path / "replaced" / "a.txt").write_text("new")
    with atomic_path(tmp_path / "b.txt") as path:
        path.write_text("b")
    assert contents(tmp_path) == {"given_way/a.txt": "old", "replaced/a.txt": "new", "b.txt": "b"}
