"""Micro-batches: read, checked, counted, split, repeated in the same order."""
