"""Decoders: from features to entities."""

from __future__ import annotations

from adapters.decoders.decoder import Decoder
from adapters.decoders.dense import Dense, DenseDecoder
from adapters.decoders.patch_memory import Memory, MemoryDecoder
from adapters.decoders.query import Query, QueryDecoder
from adapters.options.decoders import DecoderOptions

DECODERS: dict[str, type[Dense] | type[Query] | type[Memory]] = {kind.name: kind for kind in (Dense, Query, Memory)}


def decoder_options(options: DecoderOptions) -> Dense | Query | Memory:
    """The options that build their decoder."""
    return DECODERS[options.name](**vars(options))


__all__ = [
    "DECODERS",
    "Decoder",
    "Dense",
    "DenseDecoder",
    "Memory",
    "MemoryDecoder",
    "Query",
    "QueryDecoder",
    "decoder_options",
]
