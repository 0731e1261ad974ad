"""Decoders: from features to entities."""

from __future__ import annotations

from adapters.decoders.decoder import Decoder
from adapters.decoders.dense import Dense, DenseDecoder
from adapters.decoders.prompted import PromptedDecoder, Sam
from adapters.decoders.query import Query, QueryDecoder
from adapters.options.decoders import DecoderOptions

DECODERS: dict[str, type[Dense] | type[Query] | type[Sam]] = {kind.name: kind for kind in (Dense, Query, Sam)}


def decoder_options(options: DecoderOptions) -> Dense | Query | Sam:
    """The options that build their decoder."""
    return DECODERS[options.name](**vars(options))


__all__ = [
    "DECODERS",
    "Decoder",
    "Dense",
    "DenseDecoder",
    "PromptedDecoder",
    "Query",
    "QueryDecoder",
    "Sam",
    "decoder_options",
]
