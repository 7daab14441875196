"""Reads a model that was built elsewhere, and never changes it."""
