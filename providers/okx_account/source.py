"""OKX trading accounts (v5), read with a key: every account level, net and long/short mode, linear and inverse.

Wire: okx.com/docs-v5 (read 2026-11). `rest_url` replaces `https://www.okx.com` (EEA: `https://eea.okx.com`, US:
`https://us.okx.com`), `ws_url` the base `wss://ws.okx.com:8443` ("/ws/v5/private" and "/ws/v5/public" are appended).
With a `rest_url` that is not one of the venue's own and no `ws_url` the account is polled: figures of two networks must
never meet. `wallet = "demo"` is demo trading: the same host, its own keys and its own WebSocket.

The key needs the permission "Read", no more; rescues need "Trade". Both need its passphrase.
"""

import time
from collections.abc import Callable, Mapping

from engine.accounts import Kind
from engine.depth import Depth
from providers.errors import ConfigError, Refused
from providers.following import FollowedAccounts
from providers.http import HttpTransport, checked_url, shared_budget
from providers.okx_account.markets import Contract, parse_book, parse_contract
from providers.okx_account.reader import Reader
from providers.okx_account.signing import READ_RIGHT, RESCUE_RIGHT, VENUE, ask_time, demo_headers, judge_for, signer
from providers.okx_account.watch import Push, UserFeed
from providers.ports import AccountOptions, DepthSource, PositionSource, ProviderInfo
from providers.signed_reads import SignedReads
from providers.venue_clock import VenueClock

INFO = ProviderInfo(
    VENUE,
    "OKX trading account",
    kinds=frozenset({Kind.PERP}),
    reads=(
        "positions",
        "hedge mode",
        "inverse contracts",
        "equity by currency",
        "collateral discounts",
        "position tiers",
        "funding",
        "adl rank",
        "order margin",
        "margin ratio",
        "venue liquidation price",
        "permissions",
    ),
    rescues=("add-margin", "reduce"),
    required=frozenset({"key", "secret", "passphrase"}),
    settings=frozenset({"rest_url", "ws_url", "wallet", "poll_s", "stale_after_s", "tls_ca"}),
    live="websocket",
    permissions={"read": READ_RIGHT, "rescue": RESCUE_RIGHT},
    depth=True,
)

MAIN_REST = "https://www.okx.com"
# REST host -> base of the WebSockets, for real and for demo trading.
_SOCKETS = {
    MAIN_REST: ("wss://ws.okx.com:8443", "wss://wspap.okx.com:8443"),
    "https://eea.okx.com": ("wss://wseea.okx.com:8443", "wss://wseeapap.okx.com:8443"),
    "https://us.okx.com": ("wss://wsus.okx.com:8443", None),
}
# Every endpoint has a limit of its own, 10 requests in 2 s for the account's; all of ours together stay near that.
_REQUESTS, _PERIOD_S = 20, 2
_POLL_S = 5.0


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one account; raises `ConfigError` when key, secret or passphrase are missing."""
    return OkxAccounts(options)


def depth_source(options: AccountOptions) -> DepthSource:
    """Return the order books of this venue; no key is needed."""
    return OkxDepth(options)


def is_demo(options: AccountOptions) -> bool:
    """Return whether the account is of demo trading; raises `ConfigError` for any other `wallet`."""
    if options.wallet not in (None, "demo"):
        raise ConfigError(f'{options.name}: wallet is either "demo" or left out at okx, not {options.wallet[:24]!r}')
    return options.wallet == "demo"


def transport(options: AccountOptions) -> HttpTransport:
    """Return the transport of one account, within the budget that everything of this process shares."""
    rest_url = (options.rest_url or MAIN_REST).rstrip("/")
    budget = shared_budget(VENUE, rest_url, _REQUESTS, _PERIOD_S)
    return HttpTransport(VENUE, rest_url, budget=budget, tls_ca=options.tls_ca, judge=judge_for(options.credentials))


def signed_reads(options: AccountOptions, http: HttpTransport, clock: Callable[[], int] = time.time_ns) -> SignedReads:
    """Return reads signed with the account's key; raises `ConfigError` when a part of it is not set."""
    credentials, parts = options.credentials, ("key", "secret", "passphrase")
    missing = [part for part in parts if credentials is None or not credentials.has(part)]
    if credentials is None or missing:
        raise ConfigError(f'{options.name}: okx needs {" and ".join(missing)}; write where it is: key = "env:NAME"')
    sign = signer(is_demo=is_demo(options))
    return SignedReads(http, VenueClock(clock=clock), credentials, sign, ask_time, now_ns=clock)


class OkxAccounts(FollowedAccounts[Push]):
    """Reads one trading account; a `providers.ports.PositionSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        http = transport(options)
        demo = is_demo(options)
        rest_url = (options.rest_url or MAIN_REST).rstrip("/")
        ws_url = options.ws_url or _SOCKETS.get(rest_url, (None, None))[demo]
        pushed_from = None if ws_url is None else checked_url(VENUE, ws_url, "wss", "ws")
        feed = None if pushed_from is None else UserFeed(options.name, pushed_from, options.tls_ca, clock)
        reader = Reader(options.name, signed_reads(options, http, clock), feed, demo_headers(is_demo=demo))
        super().__init__(options, reader, (http,), poll_s=_POLL_S, pushed_from=pushed_from, clock=clock)


class OkxDepth:
    """Reads order books; a `providers.ports.DepthSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._http, self._clock = transport(options), clock
        self._headers = demo_headers(is_demo=is_demo(options))

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def depth(self, contract: str, levels: int = 50) -> Depth:
        """Return the book of `contract` in base quantities; raises `ProviderError`."""
        if not contract:
            raise Refused(VENUE, "no contract to read the book of")
        known = await contract_of(self._http, contract, self._headers)
        params: dict[str, str | int] = {"instId": contract, "sz": max(1, min(levels, 400))}
        raw = await self._http.get("/api/v5/market/books", params=params, headers=self._headers)
        bids, asks = parse_book(raw, known)
        return Depth(
            VENUE, contract, known.base, bids, asks, self._clock(), "USD" if known.is_inverse else known.settle
        )


async def contract_of(http: HttpTransport, name: str, headers: Mapping[str, str]) -> Contract:
    """Return one swap or future; raises `ProviderError`."""
    kind = "SWAP" if name.endswith("-SWAP") else "FUTURES"
    raw = await http.get("/api/v5/public/instruments", params={"instType": kind, "instId": name}, headers=headers)
    return parse_contract(raw, name)
