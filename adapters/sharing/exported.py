"""What an exported network says of itself: the JSON text in the metadata of an ONNX, TorchScript or safetensors file.

Another program needs nothing else to predict as `predict` does: how images are shown to the network, what its outputs
are called, and by which numbers they become entities. Files come from anybody, so the text is read as `entity.json` is.
Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field, Strict

from adapters.options.decoders import Dense
from adapters.options.section import Options, adapter_of, checked
from adapters.sharing.info import MAX_PROBE, MAX_TEXT_BYTES, AdapterInfo, Word
from adapters.sharing.texts import parse_json
from domains.errors import InputError

KEY = "entity_adapters"
"""Of the text in a file's metadata; in TorchScript the name of the file that is kept beside the graph."""
IMAGES = "images"
"""The graph's input, (B, C, H, W) float32 in [0, 1]."""
AGAIN = "export the adapter again"

Numbers = Annotated[tuple[float, ...], Strict(False), Field(min_length=1, max_length=2**16)]


@dataclass(frozen=True, kw_only=True)
class Exported(Options):
    """The contract of an exported network."""

    SOURCE: ClassVar[str] = "export "

    schema_version: Literal[1] = 1
    version: Word
    """Of entity-adapters."""
    fields: Annotated[tuple[Word, ...], Strict(False), Field(max_length=16)]
    """The graph's outputs in their order, each (B, 1, H, W) logits; empty where the file holds weights alone."""
    side_multiple: Annotated[int, Field(ge=8, le=512, multiple_of=8)]
    """Height and width of the images are multiples of this."""
    weights: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", json_schema_extra={"wanted": "32 hexadecimal digits"})]
    """BLAKE2b over all weights and the decoder's options, as `predict` has it in its journal."""
    probe: Annotated[tuple[float, ...], Strict(False), Field(max_length=MAX_PROBE)] = ()
    """What the fields are on the probe image."""
    scorer: Annotated[dict[Word, Numbers], Field(max_length=32)] | None = None
    """Tensor -> its numbers, row by row, of the small network that scores regions; null where the watershed decides."""
    adapter: AdapterInfo
    """`entity.json`: scale, tiles, bands, pixel size, thresholds, base, and the adapter's digest."""

    def check_agreement(self) -> None:
        """Raises InputError for a graph of a decoder that has no fields."""
        if self.fields and not isinstance(self.adapter.decoder, Dense):
            raise self.wrong("fields", f"decoder.name is {self.adapter.decoder.name!r}, which has none")

    def json_text(self) -> str:
        """The text that goes into the file, on one line."""
        return adapter_of(Exported).dump_json(self, exclude={"adapter": self.adapter.absent}).decode()


def shareable(info: AdapterInfo) -> AdapterInfo:
    """The info without the place of a base that lay on its maker's machine."""
    return replace(info, backbone=replace(info.backbone, name=info.backbone.bare_name))


def exported_of(metadata: Mapping[str, str], source: str) -> Exported:
    """The contract in a file's metadata. Raises InputError that opens with `source`: none, too long, out of range."""
    text: Any = metadata.get(KEY)
    if text is None:
        raise InputError(f"{source} says nothing of entity-adapters; wanted a file that `adapters export` wrote")
    if len(text) > MAX_TEXT_BYTES:
        raise InputError(f"{source}: its contract has {len(text)} signs; wanted at most {MAX_TEXT_BYTES}; {AGAIN}")
    values = parse_json(text, source)
    if not isinstance(values, dict) or values.get("schema_version") != 1:
        raise InputError(f"{source} has a contract of another schema, this version reads 1; {AGAIN}")
    return checked(Exported, values, f"{source}: ")
