"""Hyperliquid accounts of any address, read-only: nothing but the address is needed and nothing is ever signed.

Wire: `POST /info` and the WebSocket of hyperliquid.gitbook.io, "API" (read 2026-11); shapes in `hyperliquid_wire`.
`rest_url` replaces `https://api.hyperliquid.xyz` ("/info" is appended), `ws_url` replaces
`wss://api.hyperliquid.xyz/ws` as it stands. With a `rest_url` of another network and no `ws_url` the account is polled:
figures of two networks must never meet.

How it is read: who holds the collateral (`userAbstraction`), the state of every dex, the markets of the dexes in use.
While positions are open a WebSocket brings newer states and marks, and REST reconciles; without it, or when it is
lost, REST alone keeps the reading fresh.
"""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable

from engine.accounts import Kind
from providers.errors import ConfigError
from providers.http import HttpTransport, checked_url, shared_budget
from providers.hyperliquid_reader import Reader
from providers.hyperliquid_watch import UserWatch
from providers.hyperliquid_wire import VENUE
from providers.mailbox import Mailbox
from providers.ports import AccountOptions, LinkChange, PositionSource, ProviderInfo, Reading

INFO = ProviderInfo(
    VENUE,
    "Hyperliquid perpetuals",
    kinds=frozenset({Kind.PERP}),
    reads=("positions", "margin tiers", "funding", "venue liquidation price"),
    rescues=("add-margin",),
    required=frozenset({"address"}),
    settings=frozenset({"rest_url", "ws_url", "poll_s", "stale_after_s", "tls_ca"}),
)

MAIN_REST, MAIN_WS = "https://api.hyperliquid.xyz", "wss://api.hyperliquid.xyz/ws"
TEST_REST, TEST_WS = "https://api.hyperliquid-testnet.xyz", "wss://api.hyperliquid-testnet.xyz/ws"

_WEIGHT_PER_MINUTE = 1200
_POLL_S = 5.0


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one address; raises `ConfigError` for what is not one."""
    return HyperliquidAccounts(options)


class HyperliquidAccounts:
    """Reads one user's accounts; a `providers.ports.PositionSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._name = options.name
        self._user = _address(options)
        self._clock = clock
        self._poll_s = _POLL_S if options.poll_s is None else options.poll_s
        if not self._poll_s > 0:
            raise ConfigError(f"{options.name}: poll_s must be above 0")
        self._stale_after_s = options.stale_after_s or max(3 * self._poll_s, 15.0)
        self._tls_ca = options.tls_ca
        rest_url = (options.rest_url or MAIN_REST).rstrip("/")
        ws_url = options.ws_url or {MAIN_REST: MAIN_WS, TEST_REST: TEST_WS}.get(rest_url)
        self._ws_url = None if ws_url is None else checked_url(VENUE, ws_url, "wss", "ws")
        budget = shared_budget(VENUE, rest_url, _WEIGHT_PER_MINUTE, 60)
        self._http = HttpTransport(VENUE, rest_url, budget=budget, tls_ca=options.tls_ca)
        self._reader = Reader(self._name, self._user, self._http)

    @property
    def name(self) -> str:
        """Return the configured account name."""
        return self._name

    @property
    def stale_after_s(self) -> float:
        """Return the age beyond which a reading no longer counts: three polls, or as configured."""
        return self._stale_after_s

    @property
    def pushed_from(self) -> str | None:
        """Return the WebSocket that pushes to this source, `None` when it only polls."""
        return self._ws_url

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def read(self) -> Reading:
        """Return the user's accounts now, everything read anew; raises `ProviderError`."""
        await self._reader.refresh(everything=True)
        return self._reader.reading(self._clock())

    async def watch(self) -> AsyncGenerator[Reading | LinkChange, None]:
        """Yield a reading at start and after every push and poll, and link changes; raises only `Refused`."""
        mailbox: Mailbox[Reading | LinkChange] = Mailbox(1)
        following = UserWatch(
            self._name,
            self._user,
            self._reader,
            mailbox,
            poll_s=self._poll_s,
            stale_after_s=self._stale_after_s,
            ws_url=self._ws_url,
            tls_ca=self._tls_ca,
            clock=self._clock,
        )
        tasks = [
            asyncio.create_task(work, name=f"{self._name} hyperliquid") for work in (following.poll(), following.push())
        ]
        for task in tasks:
            task.add_done_callback(lambda _: mailbox.stir())
        try:
            while True:
                await mailbox.wait()
                while mailbox:
                    yield mailbox.take()
                for task in tasks:
                    if task.done():
                        task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def _address(options: AccountOptions) -> str:
    """Return the address in lower case, as the venue compares it; raises `ConfigError`."""
    address = (options.address or "").strip().lower()
    digits = address.removeprefix("0x")
    if len(address) != 42 or len(digits) != 40 or any(c not in "0123456789abcdef" for c in digits):
        raise ConfigError(f"{options.name}: hyperliquid needs address, 0x and 40 hex digits, of a user or sub-account")
    return address
