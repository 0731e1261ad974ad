"""Photographs cut into regions, and the data set that was published of them."""

PLACE = 4
"""In lists of domains, and of its layouts among those of the others; a domain without one comes after all these."""
