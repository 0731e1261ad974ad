"""Objects on the ground seen from above, and the data sets that were published of them."""

PLACE = 3
"""In lists of domains, and of its layouts among those of the others; a domain without one comes after all these."""
