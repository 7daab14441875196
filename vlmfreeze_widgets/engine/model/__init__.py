"""Reads a model that somebody else built, and never changes it."""
