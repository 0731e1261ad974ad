"""Defects of inspected surfaces, and the data sets that were published of them."""

PLACE = 2
"""In lists of domains, and of its layouts among those of the others; a domain without one comes after all these."""
