"""What a prediction is written as."""

from domains.exports.destination import Destination, output_names
from domains.exports.formats import DEFAULT, DEFAULT_STREAMED, FORMATS, STREAMED, Exports, open_exports

__all__ = [
    "DEFAULT", "DEFAULT_STREAMED", "FORMATS", "STREAMED", "Destination", "Exports", "open_exports", "output_names",
]  # fmt: skip
