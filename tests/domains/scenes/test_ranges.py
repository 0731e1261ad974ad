"""Files that are read by ranges: bytes in memory, of an object, and a cursor over them."""

from __future__ import annotations

import pytest

from domains.scenes import ranges
from domains.scenes.ranges import Cursor, Held, RemoteFile, Reply, Unreachable

CONTENT = bytes(range(256)) * 20


class Memory:
    """Objects that count what is asked of them."""

    def __init__(self) -> None:
        self.spans: list[str] = []
        self.content = CONTENT

    def get(self, key: str = "", span: str = "") -> Reply:
        self.spans.append(span)
        start, _, end = span.partition("-")
        return Reply(self.content[int(start) : int(end) + 1], len(self.content), "")


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranges, "BLOCK", 64)
    monkeypatch.setattr(ranges, "KEPT", 8)


def test_any_stretch_is_the_content_and_few_blocks_are_kept(small_blocks: None) -> None:
    memory = Memory()
    file = RemoteFile(memory, "a")
    for count, offset in ((10, 0), (100, 60), (64, 64), (1000, 3), (5000, 5100), (1, 5119)):
        assert file.pread(count, offset) == CONTENT[offset : offset + count]
    assert file.pread(10, 5120) == file.pread(0, 7) == b""
    for offset in range(0, 2048, 64):
        file.pread(64, offset)
    assert len(file._blocks) <= 8
    memory.spans.clear()
    file.pread(1000, 0)  # more than half of what is kept: in one request, past the blocks
    assert memory.spans == ["0-999"]


def test_an_object_that_changes_while_it_is_read_is_told(small_blocks: None) -> None:
    memory = Memory()
    file = RemoteFile(memory, "a")
    memory.content = CONTENT[:-1]
    with pytest.raises(Unreachable, match="'a' was changed while it was read"):
        file.pread(10, 0)


def test_a_cursor_reads_as_a_file_does() -> None:
    cursor = Cursor(Held(CONTENT, ""), "a")
    assert cursor.readable() and cursor.seekable() and cursor.tell() == 0
    assert cursor.read(3) == CONTENT[:3] and cursor.seek(-2, 2) == len(CONTENT) - 2 and cursor.read() == CONTENT[-2:]
    with pytest.raises(OSError, match="before the start"):
        cursor.seek(-1)
