"""Adapters by what users call them, wherever they are. Nothing here imports torch."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from adapters.sharing.door import read_info
from adapters.sharing.hub import hub_id, pulled
from adapters.sharing.info import FILES, present
from adapters.sharing.package import unpack
from adapters.sharing.shelf import no_adapter, shelved
from domains.errors import InputError, printable


@contextmanager
def opened(path: Path) -> Iterator[Path]:
    """The folder of an adapter by what a user calls it: a folder, a name on the shelf, an id on the Hub, or a packed
    file, which is unpacked for the while.

    An InputError that comes through names the file that was given, not the folder that it is unpacked to.
    """
    path = Path(path)
    if path.is_dir():
        yield path
    elif path.is_file():
        with tempfile.TemporaryDirectory() as parent:
            folder = Path(parent) / "adapter"
            try:
                unpack(path, folder)
                yield folder
            except InputError as error:
                error.args = (str(error).replace(str(folder), str(path)),)
                raise
    else:
        yield elsewhere(str(path))


def elsewhere(name: str) -> Path:
    """The folder of an adapter that is named by the shelf or the Hub. Raises InputError where neither knows it."""
    if (folder := shelved(name)) is not None:
        return folder
    if (asked := hub_id(name)) is not None:
        return pulled(asked)
    raise no_adapter(name)


def show(path: Path) -> str:
    """A few lines for the terminal."""
    with opened(path) as folder:
        info = read_info(folder)
        size = sum((folder / name).stat().st_size for name in FILES if present(folder, name))
    options = ", ".join(f"{k} {v}" for k, v in info.method.options().items() if v is not None)
    contract = info.input
    lines = [
        f"backbone  {info.backbone.name} (fingerprint {info.fingerprint[:12]})",
        f"method    {info.method.name}" + (f" ({options})" if options else ""),
        f"decoder   {info.decoder.name}",
        f"domain    {info.domain}, fitted on {info.data}",
        f"input     scale {contract.scale:g}, tiles of {contract.tile_px} px, overlap {contract.overlap_px} px",
        f"size      {size / 1e6:.2f} MB",
    ]
    if info.mixture is not None:
        domains = (f"{name} ({member.domain}, scale {member.input.scale:g})" for name, member in info.mixture.items())
        lines[4] = f"domains   {', '.join(domains)}"
        methods = [f"{name} {x.method.name}" for name, x in info.mixture.items() if x.method and x.branch == name]
        if methods:
            lines[1] = f"method    of each decoder over the frozen base: {', '.join(methods)}"
    if info.labels is not None:
        lines.append(f"classes   {', '.join(info.labels.vocabulary)} (told by {info.labels.kind})")
    if info.memory is not None:
        lines.append("clips     followed by a memory decoder of its own (--track name=memory)")
    if (learnt := info.learnt_from) is not None:
        lines.append(f"learnt    from {learnt.train.images} images, {learnt.val.images} to validate, kept as digests")
    for state, values in info.metrics.items():
        lines.append(f"{state:<9} " + "  ".join(f"{k} {v:.3f}" for k, v in values.items() if v is not None))
    return "\n".join(map(printable, lines))
