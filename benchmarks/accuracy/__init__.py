"""How good the adapters are on real images, beside what a user would do instead."""
