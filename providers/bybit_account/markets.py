"""What Bybit says of its markets: contracts, maintenance tiers, prices and funding, collateral weights, order books.

Shapes: bybit-exchange.github.io/docs/v5 market/instrument, market/risk-limit, market/tickers, market/orderbook,
spot-margin-uta/tier-collateral-ratio, websocket/public/ticker (read 2026-11). Tiers are given by their upper bound, in
the settle coin; maintenance = value x rate - `mmDeduction`. The documented rate is in percent, the one that is served
has been a fraction: which of them it is shows in initial margin x maximum leverage, 100 or 1.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

import msgspec

from engine.accounts import Tier
from engine.depth import Level
from engine.record import record
from providers.bybit_account.signing import VENUE
from providers.errors import Malformed
from providers.http import decode
from providers.loose_numbers import NO_NUMBER, not_negative, number, positive, whole
from providers.margin_tiers import continuous_tiers
from providers.text import inert

_Num = msgspec.Raw
_HOURS_PER_YEAR = Decimal(24 * 365)
_PERCENT_FROM = Decimal("0.2")


@record
class Contract:
    """One contract: `tick` and `lot` are the steps of its price and quantity. Sizes of an inverse one are in USD."""

    symbol: str
    category: str
    base: str
    quote: str
    settle: str
    tick: Decimal
    lot: Decimal
    lowest: Decimal | None = None
    funding_hours: Decimal | None = None

    @property
    def is_inverse(self) -> bool:
        """Return whether it pays in its base coin."""
        return self.category == "inverse"


@record
class Price:
    """Prices of one contract; `funding_rate` is annual. What is `None` was not told, and is unchanged in a delta."""

    symbol: str
    mark_price: Decimal | None = None
    index_price: Decimal | None = None
    funding_rate: Decimal | None = None
    next_funding_ns: int | None = None

    def over(self, old: "Price | None") -> "Price":
        """Return this, with what it does not tell from `old`."""
        if old is None:
            return self
        return Price(
            self.symbol,
            old.mark_price if self.mark_price is None else self.mark_price,
            old.index_price if self.index_price is None else self.index_price,
            old.funding_rate if self.funding_rate is None else self.funding_rate,
            old.next_funding_ns if self.next_funding_ns is None else self.next_funding_ns,
        )


Weights = Sequence[tuple[Decimal, Decimal]]
"""Collateral ratios by the amount from which on they hold, lowest first."""


class _LotFilter(msgspec.Struct, frozen=True, rename="camel"):
    qty_step: _Num = NO_NUMBER
    min_order_qty: _Num = NO_NUMBER


class _PriceFilter(msgspec.Struct, frozen=True, rename="camel"):
    tick_size: _Num = NO_NUMBER


class _Instrument(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    base_coin: str
    quote_coin: str
    settle_coin: str
    lot_size_filter: _LotFilter
    price_filter: _PriceFilter
    funding_interval: _Num = NO_NUMBER


class _Instruments(msgspec.Struct, frozen=True):
    list: tuple[_Instrument, ...]


class _InstrumentsReply(msgspec.Struct, frozen=True):
    result: _Instruments


class _Limit(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str
    risk_limit_value: _Num
    maintenance_margin: _Num
    initial_margin: _Num = NO_NUMBER
    max_leverage: _Num = NO_NUMBER
    mm_deduction: _Num = NO_NUMBER


class _Limits(msgspec.Struct, frozen=True):
    list: tuple[_Limit, ...]


class _LimitsReply(msgspec.Struct, frozen=True):
    result: _Limits


class _Ticker(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str = ""
    mark_price: _Num = NO_NUMBER
    index_price: _Num = NO_NUMBER
    funding_rate: _Num = NO_NUMBER
    next_funding_time: _Num = NO_NUMBER
    funding_interval_hour: _Num = NO_NUMBER


class _Tickers(msgspec.Struct, frozen=True):
    list: tuple[_Ticker, ...]


class _TickersReply(msgspec.Struct, frozen=True):
    result: _Tickers


class _RatioTier(msgspec.Struct, frozen=True, rename="camel"):
    min_qty: _Num
    collateral_ratio: _Num


class _Ratio(msgspec.Struct, frozen=True, rename="camel"):
    currency: str
    collateral_ratio_list: tuple[_RatioTier, ...] = ()


class _Ratios(msgspec.Struct, frozen=True):
    list: tuple[_Ratio, ...]


class _RatiosReply(msgspec.Struct, frozen=True):
    result: _Ratios


class _Fee(msgspec.Struct, frozen=True, rename="camel"):
    symbol: str = ""
    taker_fee_rate: _Num = NO_NUMBER


class _Fees(msgspec.Struct, frozen=True):
    list: tuple[_Fee, ...]


class _FeesReply(msgspec.Struct, frozen=True):
    result: _Fees


class _Borrow(msgspec.Struct, frozen=True, rename="camel"):
    currency: str
    hourly_borrow_rate: _Num = NO_NUMBER


class _Borrows(msgspec.Struct, frozen=True):
    list: tuple[_Borrow, ...]


class _BorrowsReply(msgspec.Struct, frozen=True):
    result: _Borrows


class _Book(msgspec.Struct, frozen=True):
    b: tuple[tuple[_Num, _Num], ...] = ()
    a: tuple[tuple[_Num, _Num], ...] = ()


class _BookReply(msgspec.Struct, frozen=True):
    result: _Book


def parse_contract(raw: bytes, category: str, symbol: str) -> Contract:
    """Return one contract of `/v5/market/instruments-info`; raises `Malformed` when it is not there."""
    rows = decode(VENUE, "instruments", raw, _InstrumentsReply).result.list
    row = next((each for each in rows if each.symbol == symbol), None)
    if row is None:
        raise Malformed(VENUE, f"no contract {symbol}")
    tick = positive(VENUE, f"tickSize of {symbol}", row.price_filter.tick_size)
    lot = positive(VENUE, f"qtyStep of {symbol}", row.lot_size_filter.qty_step)
    if tick is None or lot is None:
        raise Malformed(VENUE, f"{symbol}: no tick or lot size")
    minutes = positive(VENUE, f"fundingInterval of {symbol}", row.funding_interval)
    return Contract(
        symbol,
        category,
        row.base_coin[:24],
        row.quote_coin[:24],
        row.settle_coin[:24],
        tick,
        lot,
        positive(VENUE, f"minOrderQty of {symbol}", row.lot_size_filter.min_order_qty),
        None if minutes is None else minutes / 60,
    )


def parse_tiers(raw: bytes, symbol: str) -> tuple[Tier, ...]:
    """Return the maintenance tiers of `symbol`, in the settle coin; empty where there are none."""
    rows = [each for each in decode(VENUE, "risk limits", raw, _LimitsReply).result.list if each.symbol == symbol]
    limits = sorted((_limit(row) for row in rows), key=lambda each: each[0])
    if not limits:
        return ()
    scale = Decimal("0.01") if _is_percent(rows, limits) else Decimal(1)
    floors = [Decimal(0), *(upper for upper, _, _ in limits[:-1])]
    try:
        joined = continuous_tiers((floor, rate * scale) for floor, (_, rate, _) in zip(floors, limits, strict=True))
    except (ValueError, ArithmeticError) as error:
        raise Malformed(VENUE, f"risk limits of {symbol}: {error}") from error
    return tuple(
        tier if told is None else Tier(tier.notional_floor, tier.maintenance_rate, told)
        for tier, (_, _, told) in zip(joined, limits, strict=True)
    )


def parse_prices(raw: bytes, hours: Decimal | None = None) -> tuple[Price, ...]:
    """Return the prices of a REST tickers reply; `hours` lie between two fundings unless the reply says so itself."""
    return tuple(price_of(row, hours) for row in decode(VENUE, "tickers", raw, _TickersReply).result.list)


def parse_weights(raw: bytes) -> dict[str, Weights]:
    """Return the collateral ratios of every coin."""
    found: dict[str, Weights] = {}
    for row in decode(VENUE, "collateral ratios", raw, _RatiosReply).result.list:
        tiers = []
        for tier in row.collateral_ratio_list:
            ratio = not_negative(VENUE, f"collateralRatio of {row.currency}", tier.collateral_ratio)
            floor = not_negative(VENUE, f"minQty of {row.currency}", tier.min_qty)
            if ratio is None or ratio > 1:
                raise Malformed(VENUE, f"collateral ratio of {inert(row.currency, 24)} is not a fraction")
            tiers.append((floor or Decimal(0), ratio))
        found[row.currency] = sorted(tiers)
    return found


def parse_fee(raw: bytes, symbol: str) -> Decimal | None:
    """Return the taker fee of `symbol` as a fraction, `None` where it is not told."""
    rows = decode(VENUE, "fee rate", raw, _FeesReply).result.list
    row = next((each for each in rows if each.symbol in (symbol, "")), None)
    return None if row is None else number(VENUE, f"takerFeeRate of {symbol}", row.taker_fee_rate)


def parse_borrow_rates(raw: bytes) -> dict[str, Decimal]:
    """Return the annual borrow rate of every coin that has one."""
    found: dict[str, Decimal] = {}
    for row in decode(VENUE, "collateral information", raw, _BorrowsReply).result.list:
        hourly = not_negative(VENUE, f"hourlyBorrowRate of {row.currency}", row.hourly_borrow_rate)
        if hourly is not None:
            found[row.currency] = hourly * _HOURS_PER_YEAR
    return found


def parse_book(raw: bytes, *, is_inverse: bool = False) -> tuple[tuple[Level, ...], tuple[Level, ...]]:
    """Return bids and asks of `/v5/market/orderbook`, best first, in base coins (an inverse book is in USD)."""
    book = decode(VENUE, "order book", raw, _BookReply).result
    return _levels(book.b, is_inverse=is_inverse), _levels(book.a, is_inverse=is_inverse)


def price_of(row: _Ticker, hours: Decimal | None) -> Price:
    """Return the prices of one ticker, of REST or of the WebSocket."""
    what = row.symbol[:32]
    rate = number(VENUE, f"fundingRate of {what}", row.funding_rate)
    told = positive(VENUE, f"fundingIntervalHour of {what}", row.funding_interval_hour)
    every = hours if told is None else told
    next_ms = whole(VENUE, f"nextFundingTime of {what}", row.next_funding_time)
    return Price(
        what,
        positive(VENUE, f"markPrice of {what}", row.mark_price),
        positive(VENUE, f"indexPrice of {what}", row.index_price),
        None if rate is None or every is None else rate * _HOURS_PER_YEAR / every,
        next_ms * 1_000_000 if next_ms else None,
    )


def weight_of(tiers: Weights, amount: Decimal) -> Decimal:
    """Return the share of `amount` that counts: each part at the ratio of its tier."""
    if amount <= 0 or not tiers:
        return tiers[0][1] if tiers else Decimal(0)
    counted = Decimal(0)
    for index, (floor, ratio) in enumerate(tiers):
        upper = tiers[index + 1][0] if index + 1 < len(tiers) else amount
        counted += max(min(amount, upper) - floor, Decimal(0)) * ratio
    return counted / amount


def in_quote(tiers: Sequence[Tier], price: Decimal) -> tuple[Tier, ...]:
    """Return tiers that are told in a coin worth `price` in quote currency."""
    return tuple(Tier(t.notional_floor * price, t.maintenance_rate, t.deduction * price) for t in tiers)


def _limit(row: _Limit) -> tuple[Decimal, Decimal, Decimal | None]:
    """Return (upper bound, rate as told, deduction)."""
    upper = positive(VENUE, f"riskLimitValue of {row.symbol}", row.risk_limit_value)
    rate = positive(VENUE, f"maintenanceMargin of {row.symbol}", row.maintenance_margin)
    if upper is None or rate is None:
        raise Malformed(VENUE, f"risk limit of {inert(row.symbol, 32)} without bound or rate")
    return upper, rate, not_negative(VENUE, f"mmDeduction of {row.symbol}", row.mm_deduction)


def _is_percent(rows: Sequence[_Limit], limits: Sequence[tuple[Decimal, Decimal, Decimal | None]]) -> bool:
    for row in rows:
        initial = positive(VENUE, f"initialMargin of {row.symbol}", row.initial_margin)
        leverage = positive(VENUE, f"maxLeverage of {row.symbol}", row.max_leverage)
        if initial is not None and leverage is not None:
            return initial * leverage > 10
    return limits[0][1] >= _PERCENT_FROM


def _levels(rows: Sequence[tuple[_Num, _Num]], *, is_inverse: bool) -> tuple[Level, ...]:
    levels = []
    for price, quantity in rows:
        at, size = positive(VENUE, "level price", price), positive(VENUE, "level size", quantity)
        if at is not None and size is not None:
            levels.append(Level(at, size / at if is_inverse else size))
    return tuple(levels)


class _Data(msgspec.Struct, frozen=True):
    topic: str = ""
    data: msgspec.Raw = msgspec.Raw(b"null")


def parse_pushed_price(raw: bytes, hours: Mapping[str, Decimal | None]) -> Price | None:
    """Return the prices of a `tickers` frame, a delta or not; `None` for any other frame."""
    frame = decode(VENUE, "stream", raw, _Data)
    if not frame.topic.startswith("tickers."):
        return None
    row = decode(VENUE, "stream", bytes(frame.data), _Ticker)
    symbol = frame.topic.removeprefix("tickers.")
    price = price_of(row, hours.get(symbol))
    return Price(symbol[:32], price.mark_price, price.index_price, price.funding_rate, price.next_funding_ns)
