"""Fixtures of the chain tests: one node per test process, a market of each version on it, every test on its own state.

Without the npm packages or node these tests skip and say why; with `MARGINLINE_REQUIRE_CHAIN=1` they fail instead.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chain.contracts import missing
from tests.chain.deploy import deploy
from tests.chain.market import Market
from tests.chain.node import Anvil

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.chain)


@pytest.fixture(scope="session")
def node() -> Iterator[Anvil]:
    """The process's own anvil node."""
    reason = missing()
    if reason is not None:
        if os.environ.get("MARGINLINE_REQUIRE_CHAIN") == "1":
            pytest.fail(f"MARGINLINE_REQUIRE_CHAIN=1, but {reason}", pytrace=False)
        pytest.skip(reason)
    with Anvil() as running:
        yield running


@pytest.fixture(scope="session")
def deployed(node: Anvil) -> dict[str, Market]:
    """Both markets, deployed once."""
    return {version: deploy(node, version) for version in ("3.0", "3.6")}


@pytest.fixture
def anvil(node: Anvil, deployed: dict[str, Market]) -> Iterator[Anvil]:
    """The node with both markets as deployed; whatever the test does to it is undone."""
    mark = node.snapshot()
    yield node
    node.rpc.call(
        "anvil_dropAllTransactions"
    )  # what still waits outlives the revert, and would be mined by the next test
    node.revert(mark)


@pytest.fixture
def market30(anvil: Anvil, deployed: dict[str, Market]) -> Market:
    """Aave v3.0 as deployed."""
    return deployed["3.0"]


@pytest.fixture
def market36(anvil: Anvil, deployed: dict[str, Market]) -> Market:
    """Aave v3.6 as deployed."""
    return deployed["3.6"]


@pytest.fixture(params=["3.0", "3.6"])
def market(request: pytest.FixtureRequest, anvil: Anvil, deployed: dict[str, Market]) -> Market:
    """Each version in turn."""
    return deployed[request.param]
