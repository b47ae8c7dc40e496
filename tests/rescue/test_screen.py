"""A rescue by one key, in a real terminal, on the real contracts: the feed falls, the alert fires, one key lands it."""

import shutil
from collections.abc import Iterator
from decimal import Decimal

import pytest

from tests.chain.rescuing import OWNER
from tests.rescue.house import KEYS, House
from tests.terminal.conftest import need
from tests.terminal.programs import running
from tests.terminal.tmux import Terminal

PATIENCE_S = 30.0


@pytest.fixture
def screen(house: House) -> Iterator[Terminal]:
    """The dashboard of the indebted owner, armed."""
    need(None if shutil.which("tmux") else "tmux is not installed")
    house.give("USDC", 10_000)
    with running("dashboard", "--config", house.config, size=(200, 50), until="main", **KEYS) as terminal:
        terminal.wait_for("1.383", PATIENCE_S)
        terminal.press("A")
        terminal.wait_for("type arm")
        terminal.type("arm")
        terminal.press("Enter")
        terminal.wait_for("ARMED")
        yield terminal


def fall(house: House, terminal: Terminal) -> None:
    """Let the ETH feed fall until the account is in danger, the alert says so, and the standing plan is there."""
    house.market.set_price("WETH", 2000 * 10**8)
    picture = terminal.wait_for(lambda shown: "DANGER" in shown and "is danger" in shown, PATIENCE_S)
    assert "main" in picture.line_with("is danger")
    terminal.wait_for(lambda shown: shown.line_with("aave-v3").endswith("approve"), PATIENCE_S)


def landed(house: House, terminal: Terminal, sent: int, target: str) -> None:
    """Assert that something was mined, and that the contract stands at `target` or at most 2 % above it."""
    terminal.wait_for("CONFIRMED", PATIENCE_S)
    assert house.sent(OWNER.address) > sent
    assert Decimal(target) <= house.health <= Decimal(target) * Decimal("1.02")


def test_the_plan_of_t_is_carried_out_by_enter(house: House, screen: Terminal) -> None:
    fall(house, screen)
    sent = house.sent(OWNER.address)
    screen.press("t")
    screen.wait_for(lambda shown: "rescue main to health 1.53" in shown and "ready" in shown, PATIENCE_S)
    screen.press("Enter")
    landed(house, screen, sent, "1.53")


def test_the_standing_plan_of_shift_t_is_carried_out_after_its_countdown(house: House, screen: Terminal) -> None:
    fall(house, screen)
    sent = house.sent(OWNER.address)
    screen.press("T")
    landed(house, screen, sent, "1.53")


def test_esc_stops_the_countdown_and_nothing_is_sent(house: House, screen: Terminal) -> None:
    fall(house, screen)
    sent = house.sent(OWNER.address)
    screen.press("T")
    screen.wait_for("SENDS IN", PATIENCE_S)
    screen.press("Escape")
    screen.wait_for(lambda shown: "SENDS IN" not in shown, PATIENCE_S)
    screen.press("6")
    screen.wait_for("no action", PATIENCE_S)
    assert house.sent(OWNER.address) == sent


def test_arming_can_be_asked_for_at_the_start(house36: House) -> None:
    need(None if shutil.which("tmux") else "tmux is not installed")
    with running("dashboard", "--arm", "--config", house36.config, until="type arm", **KEYS) as terminal:
        terminal.type("arm")
        terminal.press("Enter")
        terminal.wait_for("ARMED")


def test_arming_without_a_signer_is_refused_before_the_screen_opens(house36: House) -> None:
    house36.settings = {}
    done = house36.run("dashboard", "--arm")
    assert done.code == 2
    assert "no account has a signer" in done.err
