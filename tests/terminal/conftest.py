"""Real terminals need tmux, remote ones sshd: without them these tests skip and say why.

With `MARGINLINE_REQUIRE_SYSTEM=1` they fail instead, so that a machine that is meant to have them cannot lose them.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.terminal.sshd import Sshd
from tests.terminal.sshd import missing as sshd_missing

HERE = Path(__file__).resolve().parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.terminal)


def need(reason: str | None) -> None:
    """Skip with `reason`, or fail where this machine is meant to have everything; `None` is no reason."""
    if reason is None:
        return
    if os.environ.get("MARGINLINE_REQUIRE_SYSTEM") == "1":
        pytest.fail(f"MARGINLINE_REQUIRE_SYSTEM=1, but {reason}", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(autouse=True)
def tmux() -> None:
    """Every test here needs tmux."""
    need(None if shutil.which("tmux") else "tmux is not installed")


@pytest.fixture(scope="module")
def sshd() -> Iterator[Sshd]:
    """A running sshd on a loopback port, for this user alone."""
    need(sshd_missing())
    with Sshd() as running:
        yield running
