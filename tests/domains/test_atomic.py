from __future__ import annotations

import errno
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from domains.atomic import atomic_path
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
