"""Bybit's unified trading account (v5), read with a key: every margin mode, linear and inverse contracts.

Wire: bybit-exchange.github.io/docs/v5 (read 2026-11). `rest_url` replaces `https://api.bybit.com`, `ws_url` the base
`wss://stream.bybit.com` of both WebSockets ("/v5/private" and "/v5/public/..." are appended). With a `rest_url` that is
not one of the venue's own and no `ws_url` the account is polled: figures of two networks must never meet.

The key needs to read the account, no more. Rescues need the rights to add margin and to place orders ("Contracts -
Positions", "- Orders") and to move money between the owner's own wallets ("Wallet - Account Transfer").
"""

import time
from collections.abc import Callable
from contextlib import suppress

from engine.accounts import Kind
from engine.depth import Depth
from providers.bybit_account.markets import Contract, parse_book, parse_contract
from providers.bybit_account.reader import Reader
from providers.bybit_account.signing import READ_RIGHT, RESCUE_RIGHTS, VENUE, ask_time, judge_for, sign
from providers.bybit_account.watch import Push, UserFeed
from providers.errors import ConfigError, Malformed, Refused
from providers.following import FollowedAccounts
from providers.http import HttpTransport, checked_url, shared_budget
from providers.ports import AccountOptions, DepthSource, PositionSource, ProviderInfo
from providers.signed_reads import SignedReads
from providers.venue_clock import VenueClock

INFO = ProviderInfo(
    VENUE,
    "Bybit unified trading account",
    kinds=frozenset({Kind.PERP}),
    reads=(
        "positions",
        "hedge mode",
        "inverse contracts",
        "margin balance",
        "collateral weights",
        "risk limits",
        "funding",
        "adl rank",
        "order margin",
        "venue liquidation price",
        "permissions",
    ),
    rescues=("add-margin", "reduce"),
    required=frozenset({"key", "secret"}),
    settings=frozenset({"rest_url", "ws_url", "poll_s", "stale_after_s", "tls_ca"}),
    live="websocket",
    permissions={"read": READ_RIGHT, "rescue": RESCUE_RIGHTS},
    depth=True,
)

MAIN_REST = "https://api.bybit.com"
_STREAM = "wss://stream.bybit.com"
# REST host -> bases of the private and the public WebSocket; the demo venue has the real market's prices.
_SOCKETS = {
    MAIN_REST: (_STREAM, _STREAM),
    "https://api.bytick.com": (_STREAM, _STREAM),
    "https://api-testnet.bybit.com": ("wss://stream-testnet.bybit.com", "wss://stream-testnet.bybit.com"),
    "https://api-demo.bybit.com": ("wss://stream-demo.bybit.com", _STREAM),
}
_REQUESTS, _PERIOD_S = 600, 5
_POLL_S = 5.0
_CATEGORIES, _INSTRUMENTS = ("linear", "inverse"), "/v5/market/instruments-info"


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one account; raises `ConfigError` when key or secret are missing."""
    return BybitAccounts(options)


def depth_source(options: AccountOptions) -> DepthSource:
    """Return the order books of this venue; no key is needed."""
    return BybitDepth(options)


def transport(options: AccountOptions) -> HttpTransport:
    """Return the transport of one account, within the budget that everything of this process shares."""
    rest_url = (options.rest_url or MAIN_REST).rstrip("/")
    budget = shared_budget(VENUE, rest_url, _REQUESTS, _PERIOD_S)
    return HttpTransport(VENUE, rest_url, budget=budget, tls_ca=options.tls_ca, judge=judge_for(options.credentials))


def signed_reads(options: AccountOptions, http: HttpTransport, clock: Callable[[], int] = time.time_ns) -> SignedReads:
    """Return reads signed with the account's key; raises `ConfigError` when it is not set."""
    credentials = options.credentials
    missing = [part for part in ("key", "secret") if credentials is None or not credentials.has(part)]
    if credentials is None or missing:
        raise ConfigError(f'{options.name}: bybit needs {" and ".join(missing)}; write where it is: key = "env:NAME"')
    return SignedReads(http, VenueClock(clock=clock), credentials, sign, ask_time, now_ns=clock)


class BybitAccounts(FollowedAccounts[Push]):
    """Reads one unified account; a `providers.ports.PositionSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        http = transport(options)
        rest_url = (options.rest_url or MAIN_REST).rstrip("/")
        private, public = _SOCKETS.get(rest_url, (None, None))
        if options.ws_url is not None:
            private = public = checked_url(VENUE, options.ws_url, "wss", "ws")
        feed = None
        if private is not None and public is not None:
            feed = UserFeed(options.name, private, public, options.tls_ca, clock)
        reader = Reader(options.name, signed_reads(options, http, clock), feed)
        super().__init__(options, reader, (http,), poll_s=_POLL_S, pushed_from=private, clock=clock)


class BybitDepth:
    """Reads order books; a `providers.ports.DepthSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._http, self._clock = transport(options), clock

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def depth(self, contract: str, levels: int = 50) -> Depth:
        """Return the book of `contract` in base quantities; raises `ProviderError`."""
        known = await self._contract(contract)
        where = {"category": known.category, "symbol": contract}
        raw = await self._http.get("/v5/market/orderbook", params={**where, "limit": max(1, min(levels, 500))})
        bids, asks = parse_book(raw, is_inverse=known.is_inverse)
        return Depth(
            VENUE, contract, known.base, bids, asks, self._clock(), "USD" if known.is_inverse else known.settle
        )

    async def _contract(self, symbol: str) -> Contract:
        """Return the contract, linear or inverse: its name alone does not tell which."""
        for category in _CATEGORIES:
            with suppress(Malformed, Refused):
                raw = await self._http.get(_INSTRUMENTS, params={"category": category, "symbol": symbol})
                return parse_contract(raw, category, symbol)
        raise Refused(VENUE, f"no contract {symbol[:32]!r}")
