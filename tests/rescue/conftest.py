"""The rescue tests run on the chain tests' markets, every test on its own state."""

from pathlib import Path

import pytest

from tests.chain.conftest import anvil, deployed, market, market36, node
from tests.chain.market import Market
from tests.rescue.house import House

__all__ = ["anvil", "deployed", "market", "market36", "node"]

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.chain)


@pytest.fixture
def house(market: Market, tmp_path: Path) -> House:
    """An indebted owner on each version in turn, and a config to rescue it by."""
    return House.of(market, tmp_path)


@pytest.fixture
def house36(market36: Market, tmp_path: Path) -> House:
    """The same on Aave v3.6 alone, for what does not depend on the version."""
    return House.of(market36, tmp_path)
