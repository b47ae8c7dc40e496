"""Kraken Futures' public wire: contracts with their margin levels, prices with funding, and order books.

Wire: docs.kraken.com, "Futures REST", `instruments`, `tickers`, `orderbook` (read 2026-11).
"""

from collections.abc import Mapping
from decimal import Decimal

import msgspec

from engine.accounts import Tier
from engine.depth import Depth, Level
from engine.record import record
from providers.errors import Malformed
from providers.http import decode
from providers.kraken_futures.signing import VENUE
from providers.kraken_futures.wire import ZERO, Held, clean, finite, positive
from providers.margin_tiers import continuous_tiers

HOURS_PER_YEAR = 24 * 365


@record
class Market:
    """One contract's rules and prices. Tiers' floors are notional in dollars; `step` is the least quantity.

    `funding_rate` is annual, of what a long pays.
    """

    tiers: tuple[Tier, ...] = ()
    tick: Decimal | None = None
    step: Decimal = Decimal(1)
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    funding_rate: Decimal | None = None
    predicted_funding_rate: Decimal | None = None
    next_funding_ns: int | None = None
    is_suspended: bool = False


class _Level(msgspec.Struct, frozen=True):
    maintenanceMargin: Decimal
    contracts: Decimal | None = None
    numNonContractUnits: Decimal | None = None


class _Instrument(msgspec.Struct, frozen=True):
    symbol: str
    tickSize: Decimal | None = None
    contractSize: Decimal | None = None
    contractValueTradePrecision: int | None = None
    marginLevels: list[_Level] = []


class _Instruments(msgspec.Struct, frozen=True):
    instruments: list[_Instrument]


class _Ticker(msgspec.Struct, frozen=True):
    symbol: str
    markPrice: Decimal | None = None
    indexPrice: Decimal | None = None
    fundingRate: Decimal | None = None
    fundingRatePrediction: Decimal | None = None
    suspended: bool = False


class _Tickers(msgspec.Struct, frozen=True):
    tickers: list[_Ticker]


class _Book(msgspec.Struct, frozen=True):
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]


class _OrderBook(msgspec.Struct, frozen=True):
    orderBook: _Book


def parse_instruments(raw: bytes) -> Mapping[str, Market]:
    """Return the rules of every contract of an `instruments` reply; raises `Malformed`."""
    found = {}
    for row in decode(VENUE, "instruments", raw, _Instruments).instruments:
        name = clean(row.symbol)
        if not row.marginLevels:
            continue
        precision = row.contractValueTradePrecision
        step = Decimal(1).scaleb(-precision) if precision is not None and abs(precision) <= 18 else Decimal(1)
        found[name] = Market(_tiers(row, name), positive(row.tickSize, f"tick of {name}"), step)
    return found


def parse_tickers(raw: bytes) -> Mapping[str, Market]:
    """Return the prices of every contract of a `tickers` reply; raises `Malformed`.

    Its funding is absolute, in dollars an hour for a whole coin; over the index price that is a rate. For inverse
    contracts it is in coins, which no page describes in full: theirs is taken from the feed alone.
    """
    found = {}
    for row in decode(VENUE, "tickers", raw, _Tickers).tickers:
        name = clean(row.symbol)
        mark = positive(row.markPrice, f"mark price of {name}")
        index = positive(row.indexPrice, f"index price of {name}")
        is_linear = name.startswith("PF_") and index is not None
        rates = (
            None if value is None or not is_linear or index is None else value / index * HOURS_PER_YEAR
            for value in (
                finite(row.fundingRate, f"funding of {name}"),
                finite(row.fundingRatePrediction, f"predicted funding of {name}"),
            )
        )
        now, predicted = rates
        found[name] = Market(
            mark_price=mark,
            index_price=index,
            funding_rate=now,
            predicted_funding_rate=predicted,
            is_suspended=row.suspended,
        )
    return found


def parse_book(raw: bytes, contract: str, now_ns: int) -> Depth:
    """Return an `orderbook` reply, in base quantities; raises `Malformed`."""
    wire = decode(VENUE, "orderbook", raw, _OrderBook).orderBook
    held = Held(contract, Decimal(1))

    def levels(rows: list[tuple[Decimal, Decimal]], falling: int) -> tuple[Level, ...]:
        found = []
        for at, amount in rows:
            price, size = positive(at, f"price in {contract}"), positive(amount, f"size in {contract}")
            if price is None or size is None:
                raise Malformed(VENUE, f"order book of {contract}: a level of 0")
            found.append(Level(price, size / price if held.is_inverse else size))
        return tuple(sorted(found, key=lambda level: falling * level.price))

    return Depth(VENUE, contract, held.coin, levels(wire.bids, -1), levels(wire.asks, 1), now_ns)


def _tiers(row: _Instrument, name: str) -> tuple[Tier, ...]:
    """Return tiers with floors in dollars: PF_ tells them as such, PI_ and FI_ in contracts of so many dollars."""
    size = row.contractSize if row.contractSize is not None else Decimal(1)
    steps = []
    for level in row.marginLevels:
        floor = level.numNonContractUnits
        if floor is None and level.contracts is not None:
            floor = level.contracts * size
        if floor is None:
            raise Malformed(VENUE, f"margin levels of {name}: one without a lower bound")
        steps.append((finite(floor, f"margin level of {name}") or ZERO, level.maintenanceMargin))
    try:
        return continuous_tiers(steps)
    except (ValueError, ArithmeticError) as error:
        raise Malformed(VENUE, f"margin levels of {name}: {error}") from error
