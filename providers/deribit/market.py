"""Deribit's listed options and order books, public: no key is needed.

Wire: docs.deribit.com, `public/get_instruments`, `public/get_book_summary_by_currency`, `public/get_order_book` (API
2.1.1, read 2026-11). An inverse option is quoted in its coin: times the price of its underlying that is the premium in
dollars. A linear one ("BTC_USDC-...") is quoted in its settlement currency. The list of instruments may be asked for
once a second and changes by the day, so it is kept; quotes are read anew for every chain.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from decimal import Decimal

import msgspec

from engine.depth import Depth, Level
from engine.options import OptionQuote, Right
from engine.record import record
from providers.deribit.signing import COST, INSTRUMENTS_COST, VENUE, public_call
from providers.deribit.wire import clean, finite, name_of, positive, result_of
from providers.errors import Malformed, Refused
from providers.http import HttpTransport
from providers.venue_clock import MS_NS

_LINEAR = ("USDC", "USDT")
_KEPT_S = 600.0
_PERCENT = Decimal(100)
_DEPTHS = (1, 5, 10, 20, 50, 100, 1000, 10000)
_RIGHTS = {"put": Right.PUT, "call": Right.CALL}


@record
class Listed:
    """One listed option, without its prices."""

    name: str
    coin: str
    quote: str
    right: Right
    strike: Decimal
    expires_ns: int
    lot: Decimal
    is_inverse: bool


class _Instrument(msgspec.Struct, frozen=True):
    instrument_name: str
    kind: str = ""
    option_type: str = ""
    strike: Decimal | None = None
    expiration_timestamp: int | None = None
    min_trade_amount: Decimal | None = None
    base_currency: str = ""
    quote_currency: str = ""
    settlement_currency: str = ""
    instrument_type: str = ""
    is_active: bool = True
    state: str = "open"


class _Summary(msgspec.Struct, frozen=True):
    instrument_name: str
    bid_price: Decimal | None = None
    ask_price: Decimal | None = None
    mark_price: Decimal | None = None
    mark_iv: Decimal | None = None
    underlying_price: Decimal | None = None


class _Book(msgspec.Struct, frozen=True):
    bids: list[tuple[Decimal, Decimal]]
    asks: list[tuple[Decimal, Decimal]]
    instrument_name: str = ""
    underlying_price: Decimal | None = None
    index_price: Decimal | None = None


def parse_instruments(raw: bytes, now_ns: int) -> tuple[Listed, ...]:
    """Return the options of a `get_instruments` reply that trade at `now_ns`; raises `Malformed`."""
    found = []
    for row in result_of(raw, "get_instruments", list[_Instrument]):
        name = clean(row.instrument_name)
        right = _RIGHTS.get(row.option_type)
        if right is None or row.strike is None or row.expiration_timestamp is None:
            continue
        strike, lot = positive(row.strike, f"strike of {name}"), positive(row.min_trade_amount, f"lot of {name}")
        expires_ns = row.expiration_timestamp * MS_NS
        if strike is None or lot is None or expires_ns <= now_ns or not row.is_active or row.state != "open":
            continue
        is_inverse = row.instrument_type == "reversed" or (not row.instrument_type and name_of(name).inverse)
        quote = "USD" if is_inverse else clean(row.settlement_currency or row.quote_currency)
        coin = clean(row.base_currency or name_of(name).coin)
        found.append(Listed(name, coin, quote, right, strike, expires_ns, lot, is_inverse))
    return tuple(found)


def parse_quotes(raw: bytes, listed: Sequence[Listed], now_ns: int) -> tuple[OptionQuote, ...]:
    """Return `listed` with the prices of a `get_book_summary_by_currency` reply; those without any are left out.

    Raises `Malformed`.
    """
    rows = {clean(row.instrument_name): row for row in result_of(raw, "get_book_summary", list[_Summary])}
    return tuple(_quote(each, rows[each.name], now_ns) for each in listed if _is_priced(rows.get(each.name)))


def parse_depth(raw: bytes, contract: str, now_ns: int) -> Depth:
    """Return a `get_order_book` reply with base quantities and prices in quote currency; raises `Malformed`.

    Inverse futures are traded in dollars, inverse options quoted in coins.
    """
    wire, name = result_of(raw, "get_order_book", _Book), name_of(contract)
    is_option = contract.endswith(("-C", "-P"))
    rate = Decimal(1)
    if is_option and name.inverse:
        underlying = positive(wire.underlying_price or wire.index_price, f"underlying of {contract}")
        if underlying is None:
            raise Malformed(VENUE, f"order book of {contract}: no price of the underlying")
        rate = underlying

    def levels(rows: Sequence[tuple[Decimal, Decimal]], falling: int) -> tuple[Level, ...]:
        found = []
        for at, amount in rows:
            price, size = positive(at, f"price in {contract}"), positive(amount, f"amount in {contract}")
            if price is None or size is None:
                raise Malformed(VENUE, f"order book of {contract}: a level of 0")
            is_face = name.inverse and not is_option
            found.append(Level(price * rate, size / price if is_face else size))
        return tuple(sorted(found, key=lambda level: falling * level.price))

    quote = "USD" if name.inverse else name.currency
    return Depth(VENUE, contract, name.coin, levels(wire.bids, -1), levels(wire.asks, 1), now_ns, quote)


class DeribitMarket:
    """A `providers.ports.OptionChain` and `DepthSource`. `clock` is UTC now in ns."""

    def __init__(self, http: HttpTransport, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._http, self._clock = http, clock
        self._listed: dict[str, tuple[float, tuple[Listed, ...]]] = {}
        self._asking = asyncio.Lock()

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def options(self, underlying: str) -> Sequence[OptionQuote]:
        """Return every option on `underlying` that trades now, in its coin and in stablecoins.

        Raises `Refused` when the venue lists none, and any other `ProviderError`.
        """
        found: list[OptionQuote] = []
        for currency in (underlying.upper(), *_LINEAR):
            listed = [each for each in await self._instruments(currency) if each.coin == underlying.upper()]
            if not listed:
                continue
            raw = await self._ask("public/get_book_summary_by_currency", COST, currency=currency, kind="option")
            found += parse_quotes(raw, listed, self._clock())
        if not found:
            raise Refused(VENUE, f"no options on {underlying} are listed")
        return found

    async def depth(self, contract: str, levels: int = 50) -> Depth:
        """Return the book of one contract ("BTC-PERPETUAL"); raises `ProviderError`."""
        wanted = next((depth for depth in _DEPTHS if depth >= levels), _DEPTHS[-1])
        raw = await self._ask("public/get_order_book", COST, instrument_name=contract, depth=str(wanted))
        return parse_depth(raw, contract, self._clock())

    async def _instruments(self, currency: str) -> tuple[Listed, ...]:
        """Return the options that settle in `currency`, kept for ten minutes; none where the venue has no such word."""
        async with self._asking:
            now_s = asyncio.get_running_loop().time()
            read_s, listed = self._listed.get(currency, (0.0, None))
            if listed is not None and now_s < read_s + _KEPT_S:
                now_ns = self._clock()
                return tuple(each for each in listed if each.expires_ns > now_ns)
            try:
                raw = await self._ask(
                    "public/get_instruments", INSTRUMENTS_COST, currency=currency, kind="option", expired="false"
                )
                listed = parse_instruments(raw, self._clock())
            except Refused:
                listed = ()
            self._listed[currency] = (now_s, listed)
            return listed

    async def _ask(self, method: str, weight: int, **params: str) -> bytes:
        call = public_call(method, params)
        return await self._http.call(lambda: call, is_read=True, weight=weight)


def _is_priced(row: _Summary | None) -> bool:
    return row is not None and row.underlying_price is not None and row.underlying_price > 0


def _quote(listed: Listed, row: _Summary, now_ns: int) -> OptionQuote:
    name = listed.name
    underlying = positive(row.underlying_price, f"underlying of {name}")
    if underlying is None:
        raise Malformed(VENUE, f"underlying of {name}: 0")
    rate = underlying if listed.is_inverse else Decimal(1)

    def priced(value: Decimal | None, what: str) -> Decimal | None:
        price = positive(value, f"{what} of {name}")
        return None if price is None else price * rate

    volatility = finite(row.mark_iv, f"volatility of {name}")
    return OptionQuote(
        VENUE,
        name,
        listed.coin,
        listed.right,
        listed.strike,
        listed.expires_ns,
        listed.lot,
        underlying,
        now_ns,
        quote=listed.quote,
        is_inverse=listed.is_inverse,
        bid=priced(row.bid_price, "bid"),
        ask=priced(row.ask_price, "ask"),
        mark=priced(row.mark_price, "mark"),
        mark_volatility=volatility / _PERCENT if volatility else None,
    )
