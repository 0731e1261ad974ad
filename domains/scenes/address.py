"""Addresses of images: `s3://BUCKET/KEY`, `https://HOST/PATH`, and `zip://INNER::` before one of these or a local zip.

What lists of strangers name must not reach everything that a library can open: another protocol than these is refused,
and so is a chain of more than one zip. An address may hold secrets, a password before the host or a signature in the
query; what is shown or written anywhere has neither (`str(address)`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path, PurePosixPath
from urllib.parse import quote, unquote, urlsplit

from domains.errors import InputError

INSTALL = 'pip install "entity-adapters[remote]"'
SUPPORTED = "s3://BUCKET/KEY, https://HOST/PATH, and zip://INNER:: before one of these or before a local zip"
CLIENTS = {"https": "aiohttp", "http": "aiohttp", "s3": "s3fs"}
"""Protocols, and the module that each wants beside fsspec."""
_PROTOCOL = re.compile(r"([a-z][a-z0-9+.-]*):(?://|:)", re.IGNORECASE)
_RESERVED = "!#$%&'()*+,/:;=?@[]~"  # signs that are not to be quoted again, percent signs among them


@dataclass(frozen=True, repr=False)
class Address:
    """What `open_scene` reads by ranges. `str` of it is without secrets, and what it is called everywhere.

    url: with whatever secrets were in it; of a zip on this machine its absolute path. inner: what is meant in the zip
    that lies there, "" for all of it; None where it is no zip.
    """

    url: str
    inner: str | None = None

    def __str__(self) -> str:
        return f"{'' if self.inner is None else f'zip://{self.inner}::'}{public(self.url)}"

    def __repr__(self) -> str:
        return f"Address({str(self)!r})"

    @property
    def word(self) -> str:
        """What `source_of` makes this address of, secrets included."""
        return self.url if self.inner is None else f"zip://{self.inner}::{self.url}"

    @property
    def protocol(self) -> str:
        """`https`, `http` or `s3`; "" for a zip on this machine."""
        return protocol_of(self.url)

    @property
    def place(self) -> PurePosixPath:
        """An absolute path that begins with the host or the bucket, as names of results are taken from it."""
        if self.protocol in ("https", "http"):
            address = urlsplit(self.url)
            outer = f"{address.hostname}/{unquote(address.path)}"
        else:
            outer = Path(self.url).as_posix().removeprefix("s3:/")
        steps = f"{outer}/{self.inner or ''}".split("/")
        return PurePosixPath("/", *(step for step in steps if step not in ("", ".", "..")))

    @property
    def name(self) -> str:
        """The last word of the path."""
        return self.place.name

    @property
    def stem(self) -> str:
        """The name without its suffix."""
        return self.place.stem

    @property
    def suffix(self) -> str:
        """The end of the name from its last dot on."""
        return self.place.suffix

    def resolve(self) -> Address:
        """The address itself, which is absolute."""
        return self

    def absolute(self) -> Address:
        """The address itself, which is absolute."""
        return self

    def __truediv__(self, name: str) -> Address:
        """What lies below; a query stays, which may be the signature of all that lies there."""
        if self.inner is not None:
            return Address(self.url, f"{self.inner.rstrip('/')}/{name}".lstrip("/"))
        return Address(below(self.url, name))


Source = Path | Address
"""Where an image is read from: a file or folder of this machine, or an address."""


def source_of(word: str | Path, folder: Path | None = None) -> Source:
    """A path, or an address where the word begins as one and no such file is there. folder: from which relative paths
    go on, of a list for example.

    Raises InputError for a protocol that is not supported, and for what is no address; without its secrets.
    """
    base = folder or Path()
    if isinstance(word, Path):
        return base / word
    protocol = _PROTOCOL.match(word)
    if protocol is None or (base / word).exists():
        return base / word
    if protocol[1].lower() == "zip":
        inner, chained, outer = word[len("zip://") :].partition("::")
        if not word[3:].startswith("://") or not chained or not outer:
            raise InputError(f"an address zip:// wants what lies in which zip: zip://INNER::ADDRESS; use {SUPPORTED}")
        return Address(archive_of(outer, base), checked(inner.strip("/")))
    return Address(url_of(word))


def archive_of(word: str, base: Path) -> str:
    """The address, or the absolute path, of a zip. Raises InputError."""
    return url_of(word) if _PROTOCOL.match(word) and not (base / word).exists() else str((base / word).absolute())


def url_of(word: str) -> str:
    """An address without a zip, quoted as a request wants it. Raises InputError."""
    protocol, separator, remainder = word.partition("://")
    protocol = protocol.lower()
    if not separator or "::" in protocol or protocol not in CLIENTS:
        name = re.split(r"[^a-z0-9+.-]", protocol)[0]
        raise InputError(f"the protocol {name!r} of an address is not supported; use {SUPPORTED}")
    try:
        address = urlsplit(f"{protocol}://{checked(remainder)}")
        host, _ = address.hostname, address.port
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"an address {protocol}:// has no host and port that can be read; use {SUPPORTED}") from None
    if not host or not address.path.strip("/"):
        raise InputError(f"an address {protocol}:// wants a host or bucket, and a path behind it; use {SUPPORTED}")
    if protocol == "s3":
        if "@" in address.netloc or ":" in address.netloc:
            raise InputError(
                f"{public(word)!r}: credentials of s3:// come from the environment or ~/.aws, and its endpoint from "
                "AWS_ENDPOINT_URL; leave them out of the address"
            )
        return f"s3://{remainder}"
    if not may_be_asked(f"{protocol}://{address.netloc}"):
        raise InputError(f"{public(word)!r}: http:// is read from this machine alone; use https://")
    return quote(f"{protocol}://{remainder}", safe=_RESERVED)


def checked(text: str) -> str:
    """The text. Raises InputError for signs that no terminal shows, quoted or not, and for a chain."""
    if not unquote(text).isprintable():
        raise InputError(f"an address holds signs that cannot be printed; use {SUPPORTED}")
    if "::" in re.sub(r"\[[0-9a-fA-F:.]*\]", "", text):  # an address of IPv6 has them too
        raise InputError(f"an address chains more than one zip and where it lies; use {SUPPORTED}")
    return text


def public(url: str) -> str:
    """An address without what comes before the host, the query and the fragment; a path as it is."""
    if not protocol_of(url):
        return url
    protocol, _, remainder = url.partition("://")
    host, slash, path = remainder.partition("/")
    visible = path if protocol == "s3" else re.split("[?#]", path)[0]  # a key of S3 has no query
    return f"{protocol}://{host.rpartition('@')[2]}{slash}{visible}"


def below(url: str, key: str) -> str:
    """The address of what lies below another; "" is that itself. A query stays."""
    if not key:
        return url
    if protocol_of(url) == "s3":
        return f"{url.rstrip('/')}/{key}"
    address = urlsplit(url)
    return address._replace(path=f"{address.path.rstrip('/')}/{quote(key)}", fragment="").geturl()


def protocol_of(url: str) -> str:
    """`https`, `http` or `s3`; "" for a path."""
    protocol = url.partition("://")[0]
    return protocol if protocol in CLIENTS else ""


def may_be_asked(url: str) -> bool:
    """Whether nobody on the way can read or change what an address says: https, or http within this machine."""
    address = urlsplit(url)
    if address.scheme != "http":
        return address.scheme == "https"
    try:
        return address.hostname == "localhost" or ip_address(address.hostname or "").is_loopback
    except ValueError:
        return False


def check_installed(address: Address) -> None:
    """Raises InputError where what an address is read by is not installed."""
    client = CLIENTS.get(address.protocol)
    lacking = [module for module in ("fsspec", client) if module and find_spec(module) is None]
    if client and lacking:
        raise InputError(f"{str(address)!r} wants {lacking[0]}, which is not installed: {INSTALL}")
