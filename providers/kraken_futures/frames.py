"""Kraken Futures' WebSocket frames: pure functions from bytes to what changed.

Wire: docs.kraken.com, "Futures WebSocket", feeds `open_positions`, `balances`, `ticker` (read 2026-11). Every
`open_positions` frame holds all positions; a `balances` frame holds the wallets that changed. Frames carry the venue's
time, by which an old one is told from a new one.
"""

from decimal import Decimal

import msgspec

from engine.record import record
from providers.http import decode
from providers.kraken_futures.markets import HOURS_PER_YEAR, Market
from providers.kraken_futures.signing import VENUE
from providers.kraken_futures.wire import (
    ZERO,
    Currency,
    Held,
    Purse,
    Single,
    Wallets,
    clean,
    coin_of,
    coins_of,
    finite,
    margin,
    positive,
    purse_of,
)


@record
class TickPush:
    """One contract's prices from the feed, with the time that the venue put on them."""

    contract: str
    market: Market
    at_ms: int


@record
class HeldPush:
    """All open positions, from the feed."""

    held: tuple[Held, ...]
    at_ms: int


@record
class WalletPush:
    """Wallets of which something changed; what the feed leaves out is as before."""

    wallets: Wallets
    at_ms: int


class _FeedPosition(msgspec.Struct, frozen=True):
    instrument: str
    balance: Decimal
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    liquidation_threshold: Decimal | None = None
    initial_margin: Decimal | None = None
    maintenance_margin: Decimal | None = None


class _FeedPositions(msgspec.Struct, frozen=True):
    positions: list[_FeedPosition]
    timestamp: int = 0


class _FeedPurse(msgspec.Struct, frozen=True):
    margin_equity: Decimal | None = None
    portfolio_value: Decimal | None = None
    pnl: Decimal | None = None
    unrealized_funding: Decimal | None = None
    initial_margin: Decimal | None = None
    initial_margin_without_orders: Decimal | None = None
    maintenance_margin: Decimal | None = None


class _FeedFlex(_FeedPurse, frozen=True):
    currencies: dict[str, Currency] = {}
    cross: _FeedPurse | None = None
    isolated: dict[str, _FeedPurse] = {}


class _FeedSingle(msgspec.Struct, frozen=True):
    pair: str = ""
    unit: str = ""
    portfolio_value: Decimal | None = None
    pnl: Decimal | None = None
    unrealized_funding: Decimal | None = None
    maintenance_margin: Decimal | None = None
    initial_margin: Decimal | None = None


class _FeedBalances(msgspec.Struct, frozen=True):
    holding: dict[str, Decimal] = {}
    futures: dict[str, _FeedSingle] = {}
    flex_futures: _FeedFlex | None = None
    timestamp: int = 0


class _FeedTicker(msgspec.Struct, frozen=True):
    product_id: str
    markPrice: Decimal | None = None
    index: Decimal | None = None
    relative_funding_rate: Decimal | None = None
    relative_funding_rate_prediction: Decimal | None = None
    next_funding_rate_time: int | None = None
    suspended: bool = False
    time: int = 0


def parse_held(raw: bytes) -> HeldPush:
    """Return an `open_positions` frame, which always holds all of them; raises `Malformed`."""
    frame = decode(VENUE, "open_positions", raw, _FeedPositions)
    found = []
    for row in frame.positions:
        name = clean(row.instrument)
        size = finite(row.balance, f"size of {name}") or ZERO
        if not size:
            continue
        found.append(
            Held(
                name,
                size,
                positive(row.entry_price, f"entry price of {name}"),
                positive(row.mark_price, f"mark price of {name}"),
                positive(row.liquidation_threshold, f"liquidation threshold of {name}"),
                margin(row.initial_margin, f"initial margin of {name}"),
                margin(row.maintenance_margin, f"maintenance margin of {name}"),
            )
        )
    return HeldPush(tuple(found), frame.timestamp)


def parse_wallets(raw: bytes) -> WalletPush:
    """Return a `balances` or `balances_snapshot` frame; raises `Malformed`."""
    frame = decode(VENUE, "balances", raw, _FeedBalances)
    flex = frame.flex_futures
    singles = tuple(
        Single(
            f"FI_{clean(row.pair).replace('/', '')}",
            coin_of(row.unit),
            purse_of(
                row.portfolio_value,
                row.pnl,
                row.unrealized_funding,
                row.initial_margin,
                None,
                row.maintenance_margin,
            ),
        )
        for row in frame.futures.values()
        if row.pair
    )
    cash = {coin_of(coin): finite(amount, f"cash in {clean(coin)}") or ZERO for coin, amount in frame.holding.items()}
    if flex is None:
        return WalletPush(Wallets(None, {}, singles, cash), frame.timestamp)
    isolated = {clean(name): _purse(row) for name, row in flex.isolated.items()}
    cross = None if flex.cross is None else _purse(flex.cross)
    wallets = Wallets(_purse(flex), coins_of(flex.currencies), singles, cash, cross, isolated)
    return WalletPush(wallets, frame.timestamp)


def parse_tick(raw: bytes) -> TickPush:
    """Return a `ticker` frame; raises `Malformed`."""
    row = decode(VENUE, "ticker", raw, _FeedTicker)
    name = clean(row.product_id)
    now, predicted = (
        None if value is None else value * HOURS_PER_YEAR
        for value in (
            finite(row.relative_funding_rate, f"funding of {name}"),
            finite(row.relative_funding_rate_prediction, f"predicted funding of {name}"),
        )
    )
    market = Market(
        mark_price=positive(row.markPrice, f"mark price of {name}"),
        index_price=positive(row.index, f"index price of {name}"),
        funding_rate=now,
        predicted_funding_rate=predicted,
        next_funding_ns=None if row.next_funding_rate_time is None else row.next_funding_rate_time * 1_000_000,
        is_suspended=row.suspended,
    )
    return TickPush(name, market, row.time)


def _purse(row: _FeedPurse) -> Purse:
    return purse_of(
        row.margin_equity,
        row.pnl,
        row.unrealized_funding,
        row.initial_margin_without_orders if row.initial_margin_without_orders is not None else row.initial_margin,
        row.initial_margin,
        row.maintenance_margin,
        row.portfolio_value,
    )
