"""The objects behind an address as a store of zarr, for reading alone.

zarr's own store over fsspec takes every answer that is no object, from a bucket that refuses as well, for a chunk that
was never written; and it shows addresses with their signatures in what it raises.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import NoReturn

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store
from zarr.core.buffer import Buffer, BufferPrototype

from domains.scenes.ranges import Missing, Objects, Unreachable

METADATA = frozenset({"zarr.json", ".zgroup", ".zattrs", ".zarray", ".zmetadata"})
"""Names that are looked for in turn; a bucket that nobody may list refuses those that are not there."""


class RemoteStore(Store):
    """Keys are looked up below the address of the objects."""

    def __init__(self, objects: Objects) -> None:
        super().__init__(read_only=True)
        self.objects = objects

    def __eq__(self, value: object) -> bool:
        return isinstance(value, RemoteStore) and value.objects is self.objects

    @property
    def supports_writes(self) -> bool:
        """Never."""
        return False

    @property
    def supports_deletes(self) -> bool:
        """Never."""
        return False

    @property
    def supports_listing(self) -> bool:
        """Never: what lies behind https:// cannot be listed."""
        return False

    def with_read_only(self, read_only: bool = True) -> RemoteStore:
        """The store itself: it is for reading alone."""
        return self

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """The bytes of a key, None where there are none. Raises `Unreachable`."""
        try:
            reply = await asyncio.to_thread(self.objects.get, key, span_of(byte_range))
        except Missing:
            return None
        except Unreachable:
            if key.rpartition("/")[2] in METADATA:
                return None
            raise
        return prototype.buffer.from_bytes(reply.content)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Those of several keys, in their order."""
        return [await self.get(key, prototype, byte_range) for key, byte_range in key_ranges]

    async def exists(self, key: str) -> bool:
        """Whether a key is there."""
        try:
            await asyncio.to_thread(self.objects.get, key, "0-0")
        except Missing:
            return False
        return True

    async def set(self, key: str, value: Buffer) -> NoReturn:
        """Raises ValueError."""
        raise ValueError("an address is read, and never written to")

    async def delete(self, key: str) -> NoReturn:
        """Raises ValueError."""
        raise ValueError("an address is read, and never written to")

    async def list(self) -> AsyncIterator[str]:
        """Nothing: what lies behind an address is not listed."""
        for key in ():
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Nothing, as `list`."""
        for key in ():
            yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Nothing, as `list`."""
        for key in ():
            yield key


def span_of(byte_range: ByteRequest | None) -> str:
    """A range as HTTP spells it, "" for all."""
    if byte_range is None:
        return ""
    if isinstance(byte_range, RangeByteRequest):
        return f"{byte_range.start}-{byte_range.end - 1}"
    return f"{byte_range.offset}-" if isinstance(byte_range, OffsetByteRequest) else f"-{byte_range.suffix}"
