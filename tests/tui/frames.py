"""One frozen market for the screens' tests: invented accounts, judged by the real engine at one fixed moment."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from desk.snapshot import AccountState, AssetState, Snapshot, SourceState
from engine.accounts import (
    Account,
    Collateral,
    Debt,
    Kind,
    MarginCall,
    MarginMode,
    Position,
    Session,
    Tier,
    VenueReport,
)
from engine.alerts import Alert, AlertPhase, AlertRule
from engine.assess import assess
from engine.assessment import Severity
from engine.consensus import consensus
from engine.prices import AssetPrice, Consensus, OraclePrice, Quote
from providers.ports import LinkState
from tui import order
from tui.view import Frame, UiSettings, View

S = 1_000_000_000
NOW = 1_795_341_614 * S  # 2026-11-22 10:00:14 UTC
D = Decimal
VENUES = ("binance", "coinbase", "kraken")


def asset_price(
    oracle: str, market: str | None, age_s: int = 12, volatility: str | None = None, *, stable: bool = False
) -> AssetPrice:
    """Return an asset with a Chainlink-like oracle and three venues that agree on `market`."""
    updated = OraclePrice(D(oracle), NOW - age_s * S, NOW, D(3600), D(50), source="chainlink")
    quotes = ()
    if market is not None:
        quotes = tuple(Quote(venue, D(market) - D("0.1"), D(market) + D("0.1"), NOW - S // 2) for venue in VENUES)
        if stable:
            quotes = tuple(Quote(venue, D(market), D(market), NOW - S // 2) for venue in VENUES)
    return AssetPrice(updated, quotes, D(volatility) if volatility else None, stable)


PRICES: dict[str, AssetPrice] = {
    "ETH": asset_price("2481", "2459.4", volatility="0.62"),
    "BTC": asset_price("61130", "61092", 41, "0.5"),
    "SOL": asset_price("138.21", "138.02", 4, "0.8"),
    "USDC": asset_price("1", "0.9998", 180, stable=True),
}

MAIN = Account(
    name="main",
    kind=Kind.LOAN,
    provider="aave-v3",
    chain_id=1,
    collateral=(Collateral("ETH", D("24.15"), D("0.83"), D("0.805"), D("0.015"), D("0.05")),),
    debt=(Debt("USDC", D("45900"), D("0.052")),),
    close_factor=D("0.5"),
    venue="aave-v3 eth",
    note="0x7a3f..c21e",
)
SHORT = Account(
    name="hl-short",
    kind=Kind.PERP,
    provider="hyperliquid",
    mode=MarginMode.CROSS,
    quote="USDC",
    balance=D(5000),
    positions=(Position("BTC", D("-0.5"), (Tier(D(0), D("0.0125")),), D(60000), D(61130), margin_used=D(1500)),),
    venue="hyperliquid",
)
LOST = Account(
    name="bybit-sol",
    kind=Kind.PERP,
    provider="bybit",
    mode=MarginMode.ISOLATED,
    quote="USDT",
    balance=D(900),
    positions=(Position("SOL", D(40), (Tier(D(0), D("0.01")),), D(140), D("138.21")),),
    venue="bybit iso",
)
SAFE = Account(
    name="spark",
    kind=Kind.LOAN,
    provider="spark",
    chain_id=1,
    collateral=(Collateral("ETH", D(20), D("0.83"), D("0.805")),),
    debt=(Debt("USDC", D(12000)),),
    venue="spark eth",
)
IDLE = Account(
    name="vault-old",
    kind=Kind.LOAN,
    provider="aave-v3",
    collateral=(Collateral("USDC", D(6900), D("0.78")),),
    venue="aave-v3 eth",
)
CAST = (MAIN, SHORT, LOST, SAFE, IDLE)

SCANNED = Account(
    name="bn-pm",
    kind=Kind.PERP,
    provider="binance-pm",
    mode=MarginMode.PORTFOLIO,
    quote="USD",
    collateral=(Collateral("ETH", D(12), D("0.95")),),
    positions=(
        Position(
            "ETH",
            D(-20),
            (Tier(D(0), D("0.05")),),
            D(2400),
            D(2480),
            contract="ETHUSDT",
            adl_rank=5,
            funding_rate=D("-0.09"),
            predicted_funding_rate=D("-0.11"),
            next_funding_ns=NOW + 7_500 * S,
            funding_paid=D("-41.7"),
        ),
    ),
    liquidation_multiple=D("1.05"),
    reported=VenueReport(equity=D(28172), maintenance_requirement=D(2480), directions={"venue's scan": D("-0.31")}),
    order_margin=D(310),
    estimated="the venue scans the whole book: its requirement is held constant",
    venue="binance pm",
)
INVERSE = Account(
    name="drb:BTC",
    kind=Kind.PERP,
    provider="deribit",
    mode=MarginMode.CROSS,
    quote="USD",
    collateral=(Collateral("BTC", D("0.35"), D(1)),),
    positions=(
        Position(
            "BTC",
            D("1.5"),
            (Tier(D(0), D("0.01")),),
            D(60000),
            D(61120),
            funding_rate=D("0.04"),
            venue_liquidation_price=D("48600"),
            inverse=True,
            contract="BTC-PERPETUAL",
        ),
    ),
    oracles={"BTC": OraclePrice(D(61100))},
    reported=VenueReport(equity=D(22950)),
    venue="deribit",
)
CALLED = Account(
    name="ib",
    kind=Kind.BROKER,
    provider="ibkr",
    balance=D(-31000),
    cash_rate=D("0.058"),
    positions=(Position("SPY", D(100), (Tier(D(0), D("0.25")),), D(480), D(430), contract="SPY"),),
    reported=VenueReport(equity=D(12000), maintenance_requirement=D(10750)),
    initial_requirement=D(21500),
    estimated="the broker tells one maintenance requirement: it is taken as a share of each position's value",
    margin_call=MarginCall(D(1500), NOW + 5 * 3600 * S, "excess is below 0 after the next margin change"),
    session=Session(False, NOW + 4 * 3600 * S),
    venue="ibkr",
)
VENUE_CAST = (MAIN, SHORT, SCANNED, INVERSE, CALLED)
"""Accounts of every kind: a loan, a hedge of it elsewhere, a scanned book, coin margin, a broker that calls."""


def agreed(prices: dict[str, AssetPrice]) -> dict[str, Consensus]:
    return {asset: consensus(price.quotes, NOW) for asset, price in prices.items()}


def state(
    account: Account, *, age_s: float = 12, is_stale: bool = False, prices: dict[str, AssetPrice] | None = None
) -> AccountState:
    """Return an account judged at `NOW`; a stale one keeps what was last known."""
    known = prices or PRICES
    judged = assess(account, known, NOW, consensus_of=agreed(known), is_stale=is_stale)
    history = tuple(
        (NOW - hours * 3600 * S, float(judged.health_factor or 0) + hours * 0.02) for hours in range(24, -1, -1)
    )
    return AccountState(
        source=account.name,
        account=account,
        assessment=judged,
        observed_at_ns=NOW - int(age_s * S),
        is_stale=is_stale,
        health_history=history if judged.has_debt else (),
    )


ALERTS = (
    Alert(
        "severity:main", AlertRule.SEVERITY, "main", Severity.DANGER, "main is danger: health_factor 1.08", NOW - 90 * S
    ),
    Alert(
        "feed-lost:account/bybit-sol",
        AlertRule.FEED_LOST,
        "bybit-sol",
        Severity.UNKNOWN,
        "bybit-sol: no reading for over 60 s",
        NOW - 252 * S,
        phase=AlertPhase.ACKNOWLEDGED,
        changed_at_ns=NOW - 100 * S,
        delivery="push ok",
    ),
)
SOURCES = (
    SourceState("main", "account", LinkState.LIVE, NOW - 12 * S),
    SourceState("bybit-sol", "account", LinkState.DOWN, NOW - 252 * S, "connection refused", NOW + 8 * S),
    SourceState("binance", "prices", LinkState.LIVE, NOW - S // 2, dropped=3),
    SourceState("notify", "notify", LinkState.LIVE, NOW - 180 * S),
)


def snapshot(states: Sequence[AccountState] | None = None, **changes: object) -> Snapshot:
    """Return the frozen market; `changes` replace fields of it."""
    chosen = states if states is not None else default_states()
    divided = agreed(PRICES)
    made = Snapshot(
        sequence=1,
        taken_at_ns=NOW,
        accounts={each.account.name: each for each in chosen},
        prices={asset: AssetState(asset, price, divided[asset]) for asset, price in PRICES.items()},
        sources=SOURCES,
        alerts=ALERTS,
    )
    return replace(made, **changes)  # type: ignore[arg-type]  # tests name the fields they change


def default_states() -> tuple[AccountState, ...]:
    return (
        state(MAIN),
        state(SHORT, age_s=0.4),
        state(LOST, age_s=252, is_stale=True),
        state(SAFE),
        state(IDLE),
    )


def frame(taken: Snapshot | None = None, view: View | None = None, settings: UiSettings | None = None) -> Frame:
    """Return a frame in true order."""
    shown = taken if taken is not None else snapshot()
    ranking = order.worst_first(shown.accounts)
    return Frame(shown, view or View(), settings or UiSettings(), ranking, ranking)


class HandDesk:
    """A desk moved by hand: tests set its snapshot and read what was asked of it."""

    def __init__(self, taken: Snapshot) -> None:
        self.snapshot = taken
        self.acknowledged: list[str] = []
        self.refreshed = 0

    async def run(self) -> None:
        """Wait until cancelled."""
        await asyncio.Event().wait()

    def acknowledge(self, key: str) -> None:
        """Take note."""
        self.acknowledged.append(key)

    def acknowledge_all(self) -> None:
        """Take note of all."""
        self.acknowledged.extend(alert.key for alert in self.snapshot.alerts)

    def refresh(self) -> None:
        """Take note."""
        self.refreshed += 1
