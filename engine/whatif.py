"""What a screen shows of stress, for all accounts at once: common moves, crashes of the past, the market factor."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from engine.accounts import Account
from engine.prices import AssetPrice
from engine.record import record
from engine.replays import REPLAYS, replayed
from engine.shocks import scenario
from engine.stress import FactorMove, Outcome, factor_move, first_to_go, market_of, stressed

MOVES = tuple(Decimal(percent) / 100 for percent in (-50, -40, -30, -20, -10, -5, 5, 10, 20, 30, 50))
"""Common moves of all assets that are not stable."""


@record
class Row:
    """One account under each of `MOVES`: health, `None` when nothing is owed or `reason` says why it is unknown."""

    name: str
    healths: tuple[Decimal | None, ...]
    reason: str = ""


@record
class Crash:
    """One crash of the past: how far ETH fell at worst, who is gone in their order, and every account's outcome."""

    name: str
    fall: Decimal | None
    gone: tuple[str, ...]
    outcomes: Mapping[str, Outcome]
    source: str


@record
class WhatIf:
    """Everything at one moment."""

    rows: tuple[Row, ...]
    crashes: tuple[Crash, ...]
    factor: Mapping[str, FactorMove]


def what_if(accounts: Sequence[Account], prices: Mapping[str, AssetPrice]) -> WhatIf:
    """Return every account under common moves and crashes of the past; takes a while, so call it off the loop."""
    market = market_of(accounts, prices, {})
    rows = []
    for account in accounts:
        volatile = sorted(account.assets - market.stable)
        found = [stressed(account, prices, scenario("", dict.fromkeys(volatile, move))) for move in MOVES]
        reason = next((each.reason for each in found if each.reason), "")
        rows.append(Row(account.name, tuple(each.health_factor for each in found), reason))
    crashes = []
    for one in REPLAYS.values():
        spread = replayed(one, market)
        outcomes = [stressed(account, prices, spread) for account in accounts]
        falls = [step.moves["ETH"] for step in spread.steps if "ETH" in step.moves]
        gone = tuple(first_to_go(outcomes))
        crashes.append(Crash(one.name, min(falls, default=None), gone, {o.name: o for o in outcomes}, one.source))
    factor = {account.name: factor_move(account, prices, market) for account in accounts}
    return WhatIf(tuple(rows), tuple(crashes), factor)
