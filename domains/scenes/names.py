"""Names of files as text: printable anywhere, and alike however their accents are composed."""

from __future__ import annotations

import unicodedata


def printable(name: str) -> str:
    r"""A file name as text for any terminal, CSV or JSON: a tab becomes `\t`, a byte that is no UTF-8 `\udce9`."""
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in name)


def composed(name: str) -> str:
    """A name with its accents composed (NFC): a Mac takes them apart (NFD), and the two are one name to people."""
    return unicodedata.normalize("NFC", name)


def slashed(name: str) -> str:
    r"""A path as Windows or anybody else writes it, with slashes alone: `C:\data\a.png` becomes `C:/data/a.png`."""
    return name.replace("\\", "/")
