"""What every test has of its own."""

from collections.abc import Iterator
from decimal import localcontext

import pytest


@pytest.fixture(autouse=True)
def decimal_context() -> Iterator[None]:
    """Leave the decimal context as it was: ccxt, which some tests compare with, changes that of its caller."""
    with localcontext():
        yield
