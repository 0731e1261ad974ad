"""Scenes larger than memory: their tiles, what joins their entities, and the journal of a run."""
