"""Hyperliquid accounts of any address, read-only: nothing but the address is needed and nothing is ever signed.

Wire: `POST /info` and the WebSocket of hyperliquid.gitbook.io, "API" (read 2026-11); shapes in `hyperliquid_wire`.
`rest_url` replaces `https://api.hyperliquid.xyz` ("/info" is appended), `ws_url` replaces
`wss://api.hyperliquid.xyz/ws` as it stands. With a `rest_url` of another network and no `ws_url` the account is polled:
figures of two networks must never meet.

How it is read: who holds the collateral (`userAbstraction`), the state of every dex, the markets of the dexes in use.
While positions are open a WebSocket brings newer states and marks, and REST reconciles; without it, or when it is
lost, REST alone keeps the reading fresh.
"""

import time
from collections.abc import Callable

from engine.accounts import Kind
from providers.errors import ConfigError
from providers.following import FollowedAccounts
from providers.http import HttpTransport, checked_url, shared_budget
from providers.hyperliquid_reader import Reader
from providers.hyperliquid_watch import Push, UserFeed
from providers.hyperliquid_wire import NEEDED, VENUE
from providers.ports import AccountOptions, PositionSource, ProviderInfo

INFO = ProviderInfo(
    VENUE,
    "Hyperliquid perpetuals",
    kinds=frozenset({Kind.PERP}),
    reads=("positions", "margin tiers", "funding", "venue liquidation price"),
    rescues=("add-margin",),
    required=frozenset({"address"}),
    settings=frozenset({"rest_url", "ws_url", "poll_s", "stale_after_s", "tls_ca"}),
    live="websocket, else poll 5 s",
    permissions={"rescue": NEEDED},
)

MAIN_REST, MAIN_WS = "https://api.hyperliquid.xyz", "wss://api.hyperliquid.xyz/ws"
TEST_REST, TEST_WS = "https://api.hyperliquid-testnet.xyz", "wss://api.hyperliquid-testnet.xyz/ws"

_WEIGHT_PER_MINUTE = 1200
_POLL_S = 5.0


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one address; raises `ConfigError` for what is not one."""
    return HyperliquidAccounts(options)


class HyperliquidAccounts(FollowedAccounts[Push]):
    """Reads one user's accounts; a `providers.ports.PositionSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        user = _address(options)
        rest_url = (options.rest_url or MAIN_REST).rstrip("/")
        ws_url = options.ws_url or {MAIN_REST: MAIN_WS, TEST_REST: TEST_WS}.get(rest_url)
        pushed_from = None if ws_url is None else checked_url(VENUE, ws_url, "wss", "ws")
        budget = shared_budget(VENUE, rest_url, _WEIGHT_PER_MINUTE, 60)
        http = HttpTransport(VENUE, rest_url, budget=budget, tls_ca=options.tls_ca)
        feed = None if pushed_from is None else UserFeed(options.name, user, pushed_from, options.tls_ca, clock)
        reader = Reader(options.name, user, http, feed)
        super().__init__(options, reader, (http,), poll_s=_POLL_S, pushed_from=pushed_from, clock=clock)
        if feed is not None:
            feed.silence_after_s = max(self.stale_after_s, 2 * self.poll_s)


def _address(options: AccountOptions) -> str:
    """Return the address in lower case, as the venue compares it; raises `ConfigError`."""
    address = (options.address or "").strip().lower()
    digits = address.removeprefix("0x")
    if len(address) != 42 or len(digits) != 40 or any(c not in "0123456789abcdef" for c in digits):
        raise ConfigError(f"{options.name}: hyperliquid needs address, 0x and 40 hex digits, of a user or sub-account")
    return address
