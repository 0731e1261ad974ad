"""From a decoder's outputs to entities."""
