"""Decoders: from features to entities."""

from __future__ import annotations

from adapters.decoders.decoder import Decoder
from adapters.decoders.dense import Dense, DenseDecoder
from adapters.decoders.query import Query, QueryDecoder

DECODERS: dict[str, type[Dense] | type[Query]] = {"dense": Dense, "query": Query}

__all__ = ["DECODERS", "Decoder", "Dense", "DenseDecoder", "Query", "QueryDecoder"]
