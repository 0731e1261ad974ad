"""Names for entities: a class of each, with a probability, or that it is none that is known. After entities, never
inside a decoder."""
