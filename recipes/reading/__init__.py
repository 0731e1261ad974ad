"""Recipes read: composed, checked against their schema, said again."""
