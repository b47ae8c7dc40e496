"""Kraken Futures: the margin accounts of one API key, multi-collateral ("flex") and single-collateral.

Wire: docs.kraken.com, "Futures REST" and "Futures WebSocket" (read 2026-11). `rest_url` replaces
`https://futures.kraken.com` and `ws_url` `wss://futures.kraken.com/ws/v1`; a path that is left out is added. With a
`rest_url` of another network and no `ws_url` the account is polled: figures of two networks must never meet.

The key is one of the futures venue. It needs read access of its General API, and full access to move margin or reduce.
"""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from engine.accounts import Kind
from engine.depth import Depth
from providers.credentials import Credentials
from providers.errors import ConfigError
from providers.following import FollowedAccounts
from providers.http import HttpTransport, checked_url, shared_budget
from providers.kraken_futures.markets import parse_book
from providers.kraken_futures.reader import Client, Reader
from providers.kraken_futures.signing import BUDGET, MOVE_RIGHT, PERIOD_S, READ_RIGHT, VENUE, judge
from providers.kraken_futures.watch import KeyFeed, Push
from providers.ports import AccountOptions, DepthSource, PositionSource, ProviderInfo, VenueOptions

INFO = ProviderInfo(
    VENUE,
    "Kraken Futures",
    kinds=frozenset({Kind.PERP}),
    reads=(
        "positions",
        "inverse contracts",
        "margin tiers",
        "equity and maintenance",
        "venue liquidation price",
        "funding",
        "order margin",
    ),
    required=frozenset({"key", "secret"}),
    settings=frozenset({"rest_url", "ws_url", "poll_s", "stale_after_s", "tls_ca"}),
    live="websocket",
    permissions={"read": READ_RIGHT, "rescue": MOVE_RIGHT},
    rescues=("add-margin", "reduce"),
    depth=True,
)

MAIN_REST, MAIN_WS = "https://futures.kraken.com", "wss://futures.kraken.com/ws/v1"
TEST_REST, TEST_WS = "https://demo-futures.kraken.com", "wss://demo-futures.kraken.com/ws/v1"
_PATHS, _WS = ("/api/v3", "/derivatives"), "/ws/v1"
_POLL_S = 5.0


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one key; raises `ConfigError` for a missing one."""
    return KrakenFuturesAccounts(options)


def depth_source(options: AccountOptions | VenueOptions) -> DepthSource:
    """Return the order books of the host that `options` name; no key is needed."""
    return KrakenFuturesBooks(Client(transport(options), None))


class KrakenFuturesAccounts(FollowedAccounts[Push]):
    """Reads one key's accounts; a `providers.ports.PositionSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        credentials = key_of(options)
        url = ws_of(rest_base(options.rest_url), options.ws_url)
        http = transport(options, credentials)
        feed = None if url is None else KeyFeed(options.name, credentials, url, options.tls_ca, clock)
        reader = Reader(options.name, Client(http, credentials), feed)
        super().__init__(options, reader, (http,), poll_s=_POLL_S, pushed_from=url, clock=clock)
        reader.prices_old_after_s = self.stale_after_s
        if feed is not None:
            feed.silence_after_s = max(self.stale_after_s, 2 * self.poll_s)


class KrakenFuturesBooks:
    """A `providers.ports.DepthSource`. `clock` is UTC now in ns."""

    def __init__(self, client: Client, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._client, self._clock = client, clock

    async def aclose(self) -> None:
        """Close every connection."""
        await self._client.aclose()

    async def depth(self, contract: str, levels: int = 50) -> Depth:
        """Return the book of one contract ("PF_XBTUSD"), its best `levels`; raises `ProviderError`."""
        book = parse_book(await self._client.public("orderbook", symbol=contract), contract, self._clock())
        return Depth(
            book.venue, contract, book.asset, book.bids[:levels], book.asks[:levels], book.observed_at_ns, book.quote
        )


def key_of(options: AccountOptions) -> Credentials:
    """Return the account's key; raises `ConfigError` naming what is not set."""
    held = options.credentials
    missing = [part for part in ("key", "secret") if held is None or not held.has(part)]
    if held is None or missing:
        raise ConfigError(f'{options.name}: {VENUE} needs {" and ".join(missing)}, as in {missing[0]} = "env:NAME"')
    return held


def transport(options: AccountOptions | VenueOptions, credentials: Credentials | None = None) -> HttpTransport:
    """Return what asks one host, within the budget that the venue gives to this process."""
    base = rest_base(options.rest_url)
    budget = shared_budget(VENUE, base, BUDGET, PERIOD_S)
    return HttpTransport(VENUE, base, budget=budget, tls_ca=options.tls_ca, judge=judge(credentials))


def rest_base(rest_url: str | None) -> str:
    """Return the host that is asked: with or without the API's path in the config."""
    base = (rest_url or MAIN_REST).rstrip("/")
    for path in _PATHS:
        base = base.removesuffix(path)
    return base


def ws_of(base: str, ws_url: str | None) -> str | None:
    """Return the WebSocket to follow: as configured, that of the venue's own hosts, or none."""
    if ws_url is None:
        return {MAIN_REST: MAIN_WS, TEST_REST: TEST_WS}.get(base)
    url = checked_url(VENUE, ws_url, "wss", "ws")
    return url if urlsplit(url).path.strip("/") else f"{url}{_WS}"
