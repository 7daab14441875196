"""Fixtures of the launched runs."""

import pytest

from tests.launch.forks import Forks


@pytest.fixture(scope="package")
def forks():
    """Starts runs as processes that need import nothing any more."""
    made = Forks()
    yield made
    made.close()
