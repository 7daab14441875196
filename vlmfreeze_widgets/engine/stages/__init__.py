"""Strategies one after another on one model."""
