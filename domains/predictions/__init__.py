"""Predictions of scenes that do not fit into memory: written as they come, taken up again where they were stopped."""
