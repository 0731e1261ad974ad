"""What a user did wrong, in one clear line: what was wanted, what came, what to do."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """Wrong input. The command line prints it as one line and exits with 2."""


class RunError(RuntimeError):
    """What ended a run that was asked for rightly. The command line prints it as one line and exits with 1."""


class SkippedFilesError(InputError):
    """A file that a reader can do without, met under `strict`."""


def suggest(word: str, known: Iterable[str]) -> str:
    """`known: a, b (did you mean 'a'?)`, for the end of an error line."""
    names = sorted(known)
    near = get_close_matches(word, names, n=1)
    return f"known: {', '.join(names)}" + (f" (did you mean {near[0]!r}?)" if near else "")


def printable(text: str) -> str:
    """The text as a terminal may be given it: what is no sign to be seen (colours, cursor moves, other directions of
    writing, halves of a pair) is spelled out.
    """
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in text)
