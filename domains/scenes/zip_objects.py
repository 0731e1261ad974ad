"""Entries of a zip that is read by ranges: its directory, then of each entry what is asked for.

Entries that lie there as they are (`zip -0`) are read by ranges of their own. Those that are compressed by deflate can
be read from their beginning alone, so they are held in memory whole, when their size is no more than `LARGEST`.
"""

from __future__ import annotations

import zipfile
import zlib
from struct import unpack

from domains.scenes.ranges import LARGEST, Cursor, Held, Missing, Ranges, Reply, Slice, Unreachable, check_size

DIRECTORY = 2**26  # bytes of a directory, at most: that of a million entries
HEADER = 30  # bytes of an entry's, before its name (APPNOTE.TXT 4.3.7)
PIECE = 2**20  # bytes that are decompressed at a time
ENCRYPTED = 1  # bit 0 of the flags


class ZipObjects:
    """What lies in a zip, below `inner`. name: for people. Raises `Unreachable` for what is no zip."""

    def __init__(self, file: Ranges, name: str, inner: str) -> None:
        self.file, self.name, self.inner = file, name, inner
        try:
            with zipfile.ZipFile(Cursor(file, name, DIRECTORY)) as archive:
                self.entries = {info.filename: info for info in archive.infolist() if not info.is_dir()}
        except Unreachable:
            raise
        except Exception as error:  # zipfile raises anything on what is damaged
            raise Unreachable(f"{name!r}: wanted a zip, got none or a damaged one; copy it again") from error

    def get(self, key: str = "", span: str = "") -> Reply:
        """As `Objects.get`."""
        entry = self.entry(key)
        begin, _, stop = span.partition("-")
        start = int(begin or 0) if begin or not span else max(0, entry.size - int(stop))
        end = min(int(stop) + 1, entry.size) if begin and stop else entry.size
        check_size(self.name, end - start)
        return Reply(entry.pread(end - start, start), entry.size, entry.tag)

    def entry(self, key: str = "") -> Ranges:
        """An entry as a file. Raises `Missing`, and `Unreachable` for one that is encrypted, damaged or too large."""
        name = f"{self.inner}/{key}".strip("/")
        if name not in self.entries:
            raise Missing(f"{self.name!r} holds no {name!r}; name what lies in it, with its folders")
        info = self.entries[name]
        header = self.file.pread(HEADER, info.header_offset)
        methods = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED
        if header[:4] != b"PK\3\4" or info.flag_bits & ENCRYPTED or info.compress_type not in methods:
            raise Unreachable(
                f"{self.name!r}: {name!r} is damaged, encrypted or not compressed by deflate; store it by zip -0"
            )
        start = info.header_offset + HEADER + sum(unpack("<HH", header[26:30]))
        stored = Slice(self.file, start, info.compress_size)
        return stored if info.compress_type == zipfile.ZIP_STORED else Held(self._inflated(info, stored), stored.tag)

    def is_compressed(self) -> bool:
        """Whether the entry that the address names is held whole."""
        return self.entries[self.inner].compress_type != zipfile.ZIP_STORED

    def _inflated(self, info: zipfile.ZipInfo, stored: Ranges) -> bytes:
        """The bytes of a compressed entry: no more than its directory says, whatever its data claim."""
        check_size(f"{self.name}: {info.filename}", info.file_size, LARGEST)
        inflater, content, position = zlib.decompressobj(-zlib.MAX_WBITS), bytearray(), 0
        try:
            while not inflater.eof and len(content) <= info.file_size:
                piece = inflater.unconsumed_tail or stored.pread(PIECE, position)
                position += 0 if inflater.unconsumed_tail else len(piece)
                if not piece:
                    content += inflater.flush()
                    break
                content += inflater.decompress(piece, PIECE)
        except zlib.error:
            content.clear()
        if len(content) != info.file_size or zlib.crc32(content) != info.CRC:
            raise Unreachable(f"{self.name!r}: {info.filename!r} in it is damaged; copy it again")
        return bytes(content)
