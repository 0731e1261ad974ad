"""Folders of images as data sets: domains, splits, checks, cards."""
