"""Deribit: futures and options accounts of one API key, standard and portfolio margin, segregated and cross collateral.

Wire: docs.deribit.com, JSON-RPC 2.0, API 2.1.1 (read 2026-11). `rest_url` replaces `https://www.deribit.com` and
`ws_url` `wss://www.deribit.com/ws/api/v2`; a path that is left out is added. With a `rest_url` of another network and
no `ws_url` the account is polled: figures of two networks must never meet.

The key needs the scopes account:read and trade:read. To move margin it needs wallet:read_write and the main account's
key, with `subaccount` the number of the subaccount that margin comes from; to reduce, trade:read_write.
"""

import time
from collections.abc import Callable
from urllib.parse import urlsplit

from engine.accounts import Kind
from providers.credentials import Credentials
from providers.deribit.market import DeribitMarket
from providers.deribit.reader import Client, Reader
from providers.deribit.signing import CREDITS, MOVE_SCOPE, ORDER_SCOPE, READ_SCOPES, REFILL_S, VENUE, judge
from providers.deribit.watch import LoginFeed, Push
from providers.errors import ConfigError
from providers.following import FollowedAccounts
from providers.http import HttpTransport, checked_url, shared_budget
from providers.ports import AccountOptions, DepthSource, OptionChain, PositionSource, ProviderInfo, VenueOptions
from providers.venue_clock import VenueClock

INFO = ProviderInfo(
    VENUE,
    "Deribit futures and options",
    kinds=frozenset({Kind.PERP}),
    reads=(
        "positions",
        "inverse contracts",
        "options as deltas",
        "equity and maintenance",
        "venue liquidation price",
        "funding",
        "order margin",
    ),
    required=frozenset({"key", "secret"}),
    settings=frozenset({"rest_url", "ws_url", "poll_s", "stale_after_s", "tls_ca", "subaccount"}),
    live="websocket",
    permissions={"read": " ".join(READ_SCOPES), "rescue": MOVE_SCOPE, "reduce": ORDER_SCOPE},
    rescues=("add-margin", "reduce"),
    depth=True,
    options=True,
)

MAIN_REST, MAIN_WS = "https://www.deribit.com", "wss://www.deribit.com/ws/api/v2"
TEST_REST, TEST_WS = "https://test.deribit.com", "wss://test.deribit.com/ws/api/v2"
_API, _WS = "/api/v2", "/ws/api/v2"
_POLL_S = 5.0


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one login; raises `ConfigError` for a missing key."""
    return DeribitAccounts(options)


class DeribitAccounts(FollowedAccounts[Push]):
    """Reads one login's accounts; a `providers.ports.PositionSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        credentials = key_of(options)
        base = rest_base(options.rest_url)
        url = ws_of(base, options.ws_url)
        http = transport(options, credentials)
        venue_clock = VenueClock(clock=clock)
        feed = None
        if url is not None:
            feed = LoginFeed(options.name, credentials, url, options.tls_ca, venue_clock, clock)
        reader = Reader(options.name, Client(http, credentials, venue_clock, clock), credentials, feed)
        super().__init__(options, reader, (http,), poll_s=_POLL_S, pushed_from=url, clock=clock)
        if feed is not None:
            feed.silence_after_s = max(self.stale_after_s, 2 * self.poll_s)


def depth_source(options: AccountOptions | VenueOptions) -> DepthSource:
    """Return the order books of the host that `options` name; no key is needed."""
    return _market(options)


def option_chain(options: AccountOptions | VenueOptions) -> OptionChain:
    """Return the listed options of the host that `options` name; no key is needed."""
    return _market(options)


def _market(options: AccountOptions | VenueOptions) -> DeribitMarket:
    return DeribitMarket(transport(options))


def key_of(options: AccountOptions) -> Credentials:
    """Return the account's key; raises `ConfigError` naming what is not set."""
    held = options.credentials
    missing = [part for part in ("key", "secret") if held is None or not held.has(part)]
    if held is None or missing:
        raise ConfigError(f'{options.name}: {VENUE} needs {" and ".join(missing)}, as in {missing[0]} = "env:NAME"')
    return held


def transport(options: AccountOptions | VenueOptions, credentials: Credentials | None = None) -> HttpTransport:
    """Return what asks one host, within the credits that the venue gives to this process."""
    base = rest_base(options.rest_url)
    budget = shared_budget(VENUE, base, CREDITS, REFILL_S)
    return HttpTransport(VENUE, base, budget=budget, tls_ca=options.tls_ca, judge=judge(credentials))


def rest_base(rest_url: str | None) -> str:
    """Return the host that is asked: with or without the API's path in the config."""
    return (rest_url or MAIN_REST).rstrip("/").removesuffix(_API)


def ws_of(base: str, ws_url: str | None) -> str | None:
    """Return the WebSocket to follow: as configured, that of the venue's own hosts, or none."""
    if ws_url is None:
        return {MAIN_REST: MAIN_WS, TEST_REST: TEST_WS}.get(base)
    url = checked_url(VENUE, ws_url, "wss", "ws")
    return url if urlsplit(url).path.strip("/") else f"{url}{_WS}"
