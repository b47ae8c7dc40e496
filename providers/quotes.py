"""What every price venue needs: where it is reached, quotes that are sure to be prices, REST reads in parallel."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from decimal import Decimal, InvalidOperation

from engine.record import record
from providers.errors import Malformed, ProviderError, RateLimited, Refused, Unreachable
from providers.http import Budget, HttpTransport, checked_url, shared_budget
from providers.ports import LinkChange, LinkState, PriceTick, VenueOptions
from providers.symbols import Market, Markets
from providers.ws import Signal, Subscription, stream

_DAY_MS = 86_400_000
_LEAST, _TOO_MUCH = Decimal("1e-29"), Decimal("1e30")
_AT_ONCE = 4  # REST reads of one venue under way at a time


@record
class Endpoint:
    """Where and how one venue is reached: configured URLs in place of the public ones."""

    venue: str
    rest_url: str
    ws_url: str
    stale_after_s: float
    tls_ca: str | None
    budget: Budget
    used_header: str | None = None

    def http(self) -> HttpTransport:
        """Return a transport on the venue's shared budget; the caller closes it."""
        return HttpTransport(
            self.venue, self.rest_url, budget=self.budget, used_header=self.used_header, tls_ca=self.tls_ca
        )


def endpoint(
    venue: str,
    options: VenueOptions,
    *,
    rest_url: str,
    ws_url: str,
    stale_after_s: float,
    weight: float,
    period_s: float,
    used_header: str | None = None,
) -> Endpoint:
    """Return the endpoint of `venue`; `options` win over the public URLs and the default staleness.

    The venue allows `weight` request units every `period_s` seconds. Raises `ConfigError` for a URL that is none.
    """
    rest = checked_url(venue, options.rest_url or rest_url, "https", "http")
    return Endpoint(
        venue,
        rest,
        checked_url(venue, options.ws_url or ws_url, "wss", "ws"),
        stale_after_s if options.stale_after_s is None else options.stale_after_s,
        options.tls_ca,
        shared_budget(venue, rest, weight, period_s),
        used_header,
    )


def is_price(value: Decimal) -> bool:
    """Return whether `value` is finite, positive and of a size that arithmetic survives."""
    return value.is_finite() and _LEAST <= value < _TOO_MUCH


def quotes(
    venue: str, markets: Iterable[Market], bid: Decimal, ask: Decimal, observed_at_ns: int
) -> Sequence[PriceTick]:
    """Return a tick for each of `markets`, which share one symbol of the venue.

    Raises `Malformed` unless both are prices and not crossed.
    """
    if bid.is_finite() and ask.is_finite() and _LEAST <= bid <= ask < _TOO_MUCH:
        return [PriceTick(venue, market.asset, bid, ask, observed_at_ns, market.quote_currency) for market in markets]
    symbol = next((market.symbol for market in markets), "")
    raise Malformed(venue, f"{symbol}: bid {str(bid)[:24]} and ask {str(ask)[:24]} are no quote")


def number(venue: str, field: str, text: str | None) -> Decimal | None:
    """Return `text` as a number, `None` when the venue left it out or empty; raises `Malformed`."""
    if not text:
        return None
    try:
        return Decimal(text)
    except InvalidOperation as error:
        raise Malformed(venue, f"{field}: {text[:24]!r} is no number") from error


async def each_symbol(
    symbols: Iterable[str], read: Callable[[str], Awaitable[Sequence[PriceTick]]]
) -> Sequence[PriceTick]:
    """Return the ticks of every symbol, read a few at a time; one that fails or has no quote is left out.

    Raises the first error when not one could be read. Stops asking when the venue is out of reach or tells us to wait.
    """
    gate = asyncio.Semaphore(_AT_ONCE)
    errors: list[ProviderError] = []

    async def one(symbol: str) -> Sequence[PriceTick]:
        async with gate:
            if errors and isinstance(errors[-1], Unreachable | RateLimited):
                return ()
            try:
                return await read(symbol)
            except ProviderError as error:
                errors.append(error)
                return ()

    ticks = [tick for batch in await asyncio.gather(*map(one, symbols)) for tick in batch]
    if errors and not ticks:
        raise errors[0]
    return ticks


async def all_symbols(
    symbols: Sequence[str], read: Callable[[Sequence[str]], Awaitable[Sequence[PriceTick]]]
) -> Sequence[PriceTick]:
    """Return the ticks of every symbol by one request, or one by one where the venue refuses the list."""
    if not symbols:
        return ()
    try:
        return await read(symbols)
    except Refused:
        if len(symbols) == 1:
            raise
    return await each_symbol(symbols, lambda symbol: read((symbol,)))


def finished_closes(
    venue: str, candles: Iterable[tuple[Decimal, Decimal]], days: int, *, unit_ms: int = 1
) -> Sequence[Decimal]:
    """Return the closes of the last `days` finished UTC days, oldest first, of (opening time, close) pairs.

    Opening times count in units of `unit_ms` milliseconds. Raises `Malformed` for a close that is no price and when
    there is no finished day at all.
    """
    latest = Decimal((time.time_ns() // 1_000_000 - _DAY_MS) // unit_ms)
    finished = [(opened, close) for opened, close in candles if is_price(opened) and opened <= latest]
    if not finished or not all(is_price(close) for _, close in finished):
        raise Malformed(venue, "daily candles without a usable close")
    return [close for _, close in sorted(finished)[-days:]]


def ticks_of(
    at: Endpoint,
    by_symbol: Markets,
    *,
    url: str,
    parser: Callable[[], Callable[[bytes, int], Sequence[PriceTick | Signal]]],
    snapshot: Callable[[frozenset[str]], Awaitable[Sequence[PriceTick]]],
    subscribe: Sequence[str] = (),
    subscribe_singly: Sequence[str] = (),
    keepalive: tuple[str, float] | None = None,
) -> AsyncIterator[PriceTick | LinkChange]:
    """Yield the quotes of `by_symbol` and link changes for ever; see `Subscription` for the rest."""
    if not by_symbol:
        return _nothing_to_quote(at.venue)
    return stream(
        Subscription(
            source=at.venue,
            url=url,
            parser=parser,
            key=lambda tick: tick.asset,
            keys=frozenset(market.asset for group in by_symbol.values() for market in group),
            silence_after_s=at.stale_after_s,
            subscribe=subscribe,
            subscribe_singly=subscribe_singly,
            keepalive=keepalive,
            snapshot=snapshot,
            tls_ca=at.tls_ca,
        )
    )


async def _nothing_to_quote(venue: str) -> AsyncIterator[PriceTick | LinkChange]:
    yield LinkChange(venue, LinkState.CONNECTING, time.time_ns(), "lists none of the watched assets")
    await asyncio.Event().wait()
