"""What lies behind an address: a file that is read by ranges, or the objects of a folder."""

from __future__ import annotations

import logging
import os
import weakref
from functools import lru_cache
from pathlib import Path
from typing import Any

from domains.errors import InputError
from domains.scenes.address import Address, check_installed
from domains.scenes.http_objects import HttpObjects
from domains.scenes.ranges import Missing, Objects, Ranges, RemoteFile, Unreachable
from domains.scenes.s3_objects import S3Objects
from domains.scenes.zip_objects import ZipObjects

METADATA = ("zarr.json", ".zgroup", ".zattrs")
"""Files of which a folder of OME-Zarr has one."""


class LocalFile:
    """A file of this machine, closed when nobody has it any more. Raises `Missing`."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise Missing(f"{str(path)!r} cannot be opened: {error.strerror}; check the path") from error
        weakref.finalize(self, os.close, self._file)
        about = os.fstat(self._file)
        self.size, self.tag = about.st_size, str(about.st_mtime_ns)

    def pread(self, count: int, offset: int) -> bytes:
        """As `Ranges.pread`."""
        return os.pread(self._file, count, offset)


def objects_of(address: Address) -> Objects:
    """What lies at and below an address. Raises InputError, also where what reads it is not installed."""
    check_installed(address)
    if address.inner is None:
        return plain_objects(address.url)
    name = str(Address(address.url))
    file = RemoteFile(plain_objects(address.url), name) if address.protocol else LocalFile(Path(address.url))
    return ZipObjects(file, name, address.inner)


def plain_objects(url: str) -> Objects:
    """What lies at and below an address without a zip."""
    return S3Objects(url) if url.startswith("s3://") else HttpObjects(url)


def file_of(address: Address, objects: Objects) -> Ranges:
    """The file behind an address. Raises InputError, `Missing` where there is none; warns of one that is held whole."""
    if not isinstance(objects, ZipObjects):
        return RemoteFile(objects, str(address))
    entry = objects.entry()
    if objects.is_compressed():
        warn_held(str(address), entry.size)
    return entry


@lru_cache(maxsize=256)
def warn_held(name: str, size: int) -> None:
    """Warns once for each file, however often it is opened."""
    logging.getLogger(__name__).warning(
        f"{name!r} is compressed in its zip, so all {size / 2**20:.0f} MiB of it are read and held; store it by zip -0 "
        "to have it read by ranges"
    )


def metadata_of(objects: Objects, prefix: str = "") -> tuple[int, str] | None:
    """(size, tag) of the metadata of a folder of OME-Zarr, None where it is none. prefix: of the folder, with a slash.

    Raises `Unreachable`: a bucket that nobody may list refuses what is not there, so this is of all names, or none.
    """
    refusal: Unreachable | None = None
    for name in METADATA:
        try:
            reply = objects.get(f"{prefix}{name}")
            return reply.size, reply.tag
        except Missing:
            continue
        except Unreachable as error:
            refusal = error
    if refusal is not None:
        raise refusal
    return None


def is_folder(address: Address) -> bool:
    """Whether an address is probably that of a folder: by what it is called."""
    inside = address.url if address.inner is None else address.inner
    return inside.endswith("/") or inside == "" or any(step.endswith(".zarr") for step in address.place.parts)


def state_of(address: Address) -> list[Any]:
    """Size and tag of a file, of a zip or of the metadata of a folder, by which one that was changed is told; nothing
    for what cannot be reached.
    """
    try:
        objects = objects_of(address)
        if isinstance(objects, ZipObjects):
            return [objects.file.size, objects.file.tag]
        if is_folder(address) and (metadata := metadata_of(objects)) is not None:
            return [*metadata]
        try:
            reply = objects.get("", "0-0")
        except Missing:
            return [*(metadata_of(objects) or ())]
        return [reply.size, reply.tag]
    except InputError:
        return []
