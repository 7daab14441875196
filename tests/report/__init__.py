"""Tests of the package's folder of that name."""
