"""Decoders: from features to entities."""

from __future__ import annotations

from adapters.decoders.decoder import Decoder
from adapters.decoders.dense import Dense, DenseDecoder
from adapters.decoders.patch_memory import Memory, MemoryDecoder
from adapters.decoders.prompted import PromptedDecoder, Sam
from adapters.decoders.query import Query, QueryDecoder
from adapters.options.decoders import DecoderOptions

DECODERS: dict[str, type[Dense] | type[Query] | type[Memory] | type[Sam]] = {
    kind.name: kind for kind in (Dense, Query, Memory, Sam)
}


def decoder_options(options: DecoderOptions) -> Dense | Query | Memory | Sam:
    """The options that build their decoder."""
    return DECODERS[options.name](**vars(options))


__all__ = [
    "DECODERS",
    "Decoder",
    "Dense",
    "DenseDecoder",
    "Memory",
    "MemoryDecoder",
    "PromptedDecoder",
    "Query",
    "QueryDecoder",
    "Sam",
    "decoder_options",
]
