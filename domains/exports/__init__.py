"""What a prediction is written as."""

from domains.exports.destination import Destination, output_names
from domains.exports.formats import FORMATS, Exports, open_exports

__all__ = ["FORMATS", "Destination", "Exports", "open_exports", "output_names"]
