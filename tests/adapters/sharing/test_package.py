"""Packed adapters as strangers may make them: looked at before anything is unpacked, refused in one line."""

from __future__ import annotations

import errno
import json
import os
import stat
import struct
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from adapters.options.section import checked
from adapters.sharing.door import sealed
from adapters.sharing.info import CARD, FILES, INFO, PEFT, RECIPE, AdapterInfo
from adapters.sharing.opening import opened, show
from adapters.sharing.package import pack, unpack
from domains.errors import InputError
from tests.adapters.sharing.conftest import VALUES


@pytest.fixture
def folder(adapter_folder: Path) -> Path:
    return adapter_folder


@pytest.fixture
def packed(folder: Path, tmp_path: Path) -> Path:
    pack(folder, tmp_path / "adapter.zip")
    return tmp_path / "adapter.zip"


def rewritten(file: Path, change: Callable[[dict[str, bytes]], object], **options: int) -> None:
    with zipfile.ZipFile(file) as archive:
        contents = {name: archive.read(name) for name in archive.namelist()}
    change(contents)
    with zipfile.ZipFile(file, "w", **({"compression": zipfile.ZIP_DEFLATED} | options)) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)


def in_directory(field: int, form: str, number: int) -> Callable[[Path], None]:
    """Set a field of every member, in the directory and in the header before it."""

    def change(file: Path) -> None:
        content = bytearray(file.read_bytes())
        at = content.find(b"PK\1\2")
        while at >= 0:
            (local,) = struct.unpack_from("<I", content, at + 42)
            struct.pack_into(form, content, at + field, number)
            if field < 38:
                struct.pack_into(form, content, local + field - 2, number)
            at = content.find(b"PK\1\2", at + 4)
        file.write_bytes(content)

    return change


def bad_block(file: Path) -> None:
    content = bytearray(file.read_bytes())
    at = content.find(INFO.encode()) + len(INFO)
    content[at : at + 8] = b"\xff" * 8
    file.write_bytes(content)


def twice(file: Path) -> None:
    with zipfile.ZipFile(file, "a") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr(INFO, "{}")


def named(name: str) -> Callable[[Path], None]:
    def change(file: Path) -> None:
        member = zipfile.ZipInfo("x")
        member.filename = name
        with zipfile.ZipFile(file, "a") as archive:
            archive.writestr(member, "evil")

    return change


def many(file: Path) -> None:
    with zipfile.ZipFile(file, "a") as archive:
        for number in range(2000):
            archive.writestr(f"{number}", b"")


def longer_directory(file: Path) -> None:
    content = file.read_bytes()
    end = content.rfind(b"PK\5\6")
    record = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, 45, 45, 0, 0, 2**40, 2**40, 2**40, 0)
    file.write_bytes(content[:end] + record + struct.pack("<4sIQI", b"PK\6\7", 0, end, 1) + content[end:])


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a bad block": (bad_block, "is damaged"),
    "encrypted": (in_directory(8, "<H", 1), "is encrypted; wanted it without a password"),
    "an unknown method": (in_directory(10, "<H", 99), "is compressed by method 99; wanted deflate"),
    "lzma": (lambda file: rewritten(file, lambda _: 0, compression=zipfile.ZIP_LZMA), "compressed by method 14"),
    "a wrong sum": (in_directory(16, "<I", 1), "is damaged"),
    "a link": (in_directory(38, "<I", (stat.S_IFLNK | 0o777) << 16), "is a link or no plain file"),
    "a file twice": (twice, "holds 'entity.json' twice"),
    "a path up": (named("../evil.txt"), r"holds '\.\./evil.txt'"),
    "an absolute path": (named("/tmp/evil.txt"), "holds '/tmp/evil.txt'"),
    "an end that is not seen": (named(f"{PEFT}\0.txt"), "holds 'adapter_config.json.x00.txt'"),
    "thousands of members": (many, "holds more than the 10 files of one"),
    "a longer directory": (longer_directory, "holds more than the 10 files of one"),
    "half of it": (lambda file: os.truncate(file, file.stat().st_size // 2), "it has no directory"),
    "no info": (lambda file: rewritten(file, lambda contents: contents.pop(INFO)), "it has no entity.json"),
    "too deep": (lambda file: rewritten(file, lambda c: c.update({INFO: b"[" * 10**5})), "nested deeper than 16"),
    "not UTF-8": (lambda file: rewritten(file, lambda c: c.update({INFO: b"\xff"})), "is no UTF-8"),
    "a long text": (lambda file: rewritten(file, lambda c: c.update({CARD: b" " * 2**21})), "wanted at most 1048576"),
    "heavy weights": (
        lambda file: rewritten(file, lambda c: c.update({"entity_decoder.safetensors": bytes(2**26)})),
        r"entity_decoder.safetensors has 67108864 bytes; its options need at most \d+",
    ),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_a_damaged_file_is_one_line_that_names_it_and_nothing_is_unpacked(case: str, packed: Path, tmp_path) -> None:
    damage, message = DAMAGE[case]
    damage(packed)
    with pytest.raises(InputError, match=message) as error, opened(packed):
        pass
    assert str(error.value).startswith(f"'{packed}") and "\n" not in str(error.value)
    with pytest.raises(InputError):
        unpack(packed, tmp_path / "out" / "again")
    assert not any((tmp_path / "out").iterdir())


def test_a_bomb_that_says_it_is_small_takes_no_memory(packed: Path) -> None:
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive, archive.open(INFO, "w") as member:
        for _ in range(2**9):
            member.write(bytes(2**20))
    in_directory(24, "<I", 10)(packed)
    script = f"""
from pathlib import Path
from adapters.sharing.opening import show
try:
    show(Path({str(packed)!r}))
except ValueError as error:
    print(error)
peak = [line for line in open("/proc/self/status") if line.startswith("VmHWM")]  # ru_maxrss knows the parent's too
print(int(peak[0].split()[1]) // 1024)
"""
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    reason, mib = told.stdout.splitlines()
    assert "damaged" in reason and int(mib) < 150


def link(folder: Path, name: str) -> None:
    (folder / name).rename(folder / "away")
    (folder / name).symlink_to(folder / "away")


def pipe(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)


@pytest.mark.parametrize("name", [INFO, RECIPE, CARD, "entity_decoder.safetensors"])
@pytest.mark.parametrize(("change", "message"), [(link, "is a link"), (pipe, "is no plain file")])
def test_what_is_not_the_file_itself_is_refused(folder: Path, tmp_path, name: str, change, message: str) -> None:
    change(folder, name)
    for act in (show, lambda path: pack(path, tmp_path / "adapter.zip")):
        with pytest.raises(InputError, match=f"{name}' {message}; wanted the file itself"):
            act(folder)
    assert not (tmp_path / "adapter.zip").exists()


def test_what_cannot_be_read_is_named_and_not_what_is_written(folder: Path, tmp_path: Path, monkeypatch) -> None:
    """A disk that breaks between the look at the seal and the copy."""
    opening, opened_before = Path.open, []

    def breaks(path: Path, mode: str = "r", **options: Any) -> Any:
        if path.name == "entity_decoder.safetensors" and mode == "rb":
            if opened_before:
                raise OSError(errno.EIO, "Input/output error", str(path))
            opened_before.append(path)
        return opening(path, mode, **options)

    monkeypatch.setattr(Path, "open", breaks)
    with pytest.raises(InputError, match="cannot read '.*entity_decoder.safetensors': Input/output error"):
        pack(folder, tmp_path / "adapter.zip")
    assert not (tmp_path / "adapter.zip").exists()


def test_a_file_of_a_terabyte_is_refused_before_it_is_read(folder: Path) -> None:
    os.truncate(folder / "entity_decoder.safetensors", 2**40)  # a hole
    start = time.process_time()
    with pytest.raises(InputError, match="its options need at most"):
        show(folder)
    assert time.process_time() - start < 1


def test_what_is_shown_is_no_command_to_a_terminal(folder: Path) -> None:
    info = checked(AdapterInfo, {**VALUES, "data": "\x1b[2J\nimages", "metrics": {"\x07": {"\u202eap": 0.5}}})
    (folder / INFO).write_text(sealed(folder, info).json_text())
    shown = show(folder)
    assert "fitted on \\x1b[2J\\nimages" in shown and "\\x07" in shown and "\\u202eap 0.500" in shown
    assert len(shown.splitlines()) == 7


def test_an_adapter_without_a_seal_is_read_where_it_says_so(folder: Path) -> None:
    """Schema 1 had none. A seal that is cut off, or left on, is refused."""
    values = json.loads((folder / INFO).read_text())
    digest = values.pop("digest")
    for schema, seal, message in ((2, None, "lacks a digest"), (1, digest, "has a digest")):
        changed = {**values, "schema_version": schema} | ({} if seal is None else {"digest": seal})
        (folder / INFO).write_text(json.dumps(changed))
        with pytest.raises(InputError, match=message):
            show(folder)
    (folder / INFO).write_text(json.dumps({**values, "schema_version": 1}))
    assert "natural" in show(folder)


def test_the_seal_covers_what_decides_and_leaves_what_does_not(folder: Path) -> None:
    (folder / CARD).write_text("another card")
    (folder / INFO).write_text(json.dumps(json.loads((folder / INFO).read_text())))
    (folder / RECIPE).write_text("method:\n  name: decoder_only\ndomain: {name: natural, data: /home/me/images}\n")
    assert show(folder)
    (folder / RECIPE).write_text("domain: {name: natural, strict: true}\nmethod: {name: decoder_only}\n")
    with pytest.raises(InputError, match="is not as it was saved"):
        show(folder)


def test_sharing_imports_nothing_heavy() -> None:
    script = "import sys, cli, adapters.sharing.package, recipes.shared; print({'torch', 'numpy'} & sys.modules.keys())"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=Path(__file__).parents[3])
    assert told.stdout == "set()\n"


def test_packed_files_are_all_that_an_adapter_has(packed: Path, folder: Path) -> None:
    with zipfile.ZipFile(packed) as archive:
        assert set(archive.namelist()) == {file.name for file in folder.iterdir()} <= set(FILES)
