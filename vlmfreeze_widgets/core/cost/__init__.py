"""Arithmetic of memory, time and file sizes. Tracing a model's own code is in ``engine.cost``."""
