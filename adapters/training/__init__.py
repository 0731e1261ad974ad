"""How an adapter learns."""
