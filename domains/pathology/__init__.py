"""Nuclei in stained tissue and in fluorescence, and the data sets that were published of them."""

PLACE = 1
"""In lists of domains, and of its layouts among those of the others; a domain without one comes after all these."""
