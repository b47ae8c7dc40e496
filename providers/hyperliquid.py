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
from providers.hyperliquid_depth import HyperliquidDepth
from providers.hyperliquid_reader import Reader
from providers.hyperliquid_watch import MOST_USERS, Push, UserFeed, place_for
from providers.hyperliquid_wire import NEEDED, VENUE
from providers.ports import AccountOptions, PositionSource, ProviderInfo

INFO = ProviderInfo(
    VENUE,
    "Hyperliquid perpetuals",
    kinds=frozenset({Kind.PERP}),
    reads=(
        "positions",
        "margin tiers",
        "funding",
        "venue liquidation price",
        "every perp dex",
        "unified and portfolio margin",
        "margin of open orders",
    ),
    rescues=("add-margin", "reduce"),
    required=frozenset({"address"}),
    settings=frozenset({"rest_url", "ws_url", "poll_s", "stale_after_s", "tls_ca"}),
    live="websocket, else poll 5 s",
    permissions={"rescue": NEEDED},
    depth=True,
)

MAIN_REST, MAIN_WS = "https://api.hyperliquid.xyz", "wss://api.hyperliquid.xyz/ws"
TEST_REST, TEST_WS = "https://api.hyperliquid-testnet.xyz", "wss://api.hyperliquid-testnet.xyz/ws"

_WEIGHT_PER_MINUTE = 1200
_POLL_S = 5.0


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one address; raises `ConfigError` for what is not one."""
    return HyperliquidAccounts(options)


def depth_source(options: AccountOptions) -> HyperliquidDepth:
    """Return the order books of the network that an account is on."""
    return HyperliquidDepth(_transport(options))


def _transport(options: AccountOptions) -> HttpTransport:
    rest_url = (options.rest_url or MAIN_REST).rstrip("/")
    budget = shared_budget(VENUE, rest_url, _WEIGHT_PER_MINUTE, 60)
    return HttpTransport(VENUE, rest_url, budget=budget, tls_ca=options.tls_ca)


class HyperliquidAccounts(FollowedAccounts[Push]):
    """Reads one user's accounts; a `providers.ports.PositionSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        user = _address(options)
        rest_url = (options.rest_url or MAIN_REST).rstrip("/")
        ws_url = options.ws_url or {MAIN_REST: MAIN_WS, TEST_REST: TEST_WS}.get(rest_url)
        pushed_from = None if ws_url is None else checked_url(VENUE, ws_url, "wss", "ws")
        http = _transport(options)
        self._place = None if pushed_from is None else place_for(pushed_from, user)
        feed = None
        if pushed_from is not None and self._place is not None:
            feed = UserFeed(options.name, user, pushed_from, options.tls_ca, clock)
        reader = Reader(options.name, user, http, feed, clock=clock)
        if pushed_from is not None and feed is None:
            pushed_from = None
            reader.warnings = (f"polled: the venue pushes to {MOST_USERS + 1} connections, others have them",)
        super().__init__(options, reader, (http,), poll_s=_POLL_S, pushed_from=pushed_from, clock=clock)
        if feed is not None:
            feed.silence_after_s = max(self.stale_after_s, 2 * self.poll_s)

    async def aclose(self) -> None:
        """Close every connection and leave the place among those that the venue pushes to."""
        if self._place is not None:
            self._place()
            self._place = None
        await super().aclose()


def _address(options: AccountOptions) -> str:
    """Return the address in lower case, as the venue compares it; raises `ConfigError`."""
    address = (options.address or "").strip().lower()
    digits = address.removeprefix("0x")
    if len(address) != 42 or len(digits) != 40 or any(c not in "0123456789abcdef" for c in digits):
        raise ConfigError(f"{options.name}: hyperliquid needs address, 0x and 40 hex digits, of a user or sub-account")
    return address
