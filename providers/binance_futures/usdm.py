"""Binance USD-M futures of one API key: cross, isolated, hedged and multi-assets accounts; reading needs no more.

Wire: developers.binance.com, "USDS-M Futures" (read 2026-11); shapes in `wire`, hosts in `hosts`, signatures in
`client`. `rest_url` and `ws_url` replace the public hosts by the rule in `hosts`. While the account exists its user
stream says when it changed, and while positions are open their marks are pushed; REST reads account and positions.
"""

import time
from collections.abc import Callable

from engine.accounts import Kind
from engine.depth import Depth
from providers.binance_futures.accounts import PROVIDER
from providers.binance_futures.client import Client
from providers.binance_futures.hosts import hosts_of
from providers.binance_futures.numbers import name
from providers.binance_futures.reader import Reader
from providers.binance_futures.streams import ListenKey, Push, Streams
from providers.binance_futures.wire import parse_depth
from providers.credentials import Credentials
from providers.errors import ConfigError
from providers.following import FollowedAccounts
from providers.http import HttpTransport, shared_budget
from providers.ports import AccountOptions, DepthSource, PositionSource, ProviderInfo

INFO = ProviderInfo(
    PROVIDER,
    "Binance USD-M futures",
    kinds=frozenset({Kind.PERP}),
    reads=(
        "positions",
        "hedge mode",
        "equity and maintenance",
        "margin tiers",
        "mark prices",
        "venue liquidation price",
        "predicted funding",
        "auto-deleverage rank",
        "order margin",
        "key permissions",
    ),
    rescues=("add-margin", "reduce"),
    required=frozenset({"key", "secret"}),
    settings=frozenset({"rest_url", "ws_url", "poll_s", "stale_after_s", "tls_ca"}),
    live="websocket",
    permissions={
        "read": "Enable Reading",
        "rescue": "Enable Futures",
        "transfer from spot": "Permits Universal Transfer",
    },
    depth=True,
)

_POLL_S = 5.0
_LEVELS = ((5, 2), (10, 2), (20, 2), (50, 2), (100, 5), (500, 10), (1000, 20))
"""How many levels a book is asked with, and what that weighs."""


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one key's account; raises `ConfigError` without key and secret."""
    return UsdmAccounts(options)


def depth_source(options: AccountOptions) -> DepthSource:
    """Return the order books of the network that `options` name; needs no key."""
    return FuturesDepth(options)


class UsdmAccounts(FollowedAccounts[Push]):
    """Reads one key's futures accounts; a `providers.ports.PositionSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        credentials = credentials_of(options)
        hosts = hosts_of(PROVIDER, options.rest_url, options.ws_url)
        futures = Client(PROVIDER, "fapi", hosts.futures, credentials, tls_ca=options.tls_ca, clock=clock)
        clients, wallet, streams = [futures], None, None
        if hosts.wallet is not None:
            wallet = Client(
                PROVIDER, "sapi", hosts.wallet, credentials, timekeeper=futures.timekeeper, tls_ca=options.tls_ca
            )
            clients.append(wallet)
        if hosts.stream is not None:
            key = ListenKey(futures, "/fapi/v1/listenKey", hosts.stream, "/private")
            streams = Streams(options.name, hosts.stream, key, options.tls_ca, clock)
        super().__init__(
            options,
            Reader(options.name, futures, wallet, streams),
            tuple(client.http for client in clients),
            poll_s=_POLL_S,
            pushed_from=hosts.stream,
            clock=clock,
        )


class FuturesDepth:
    """Order books of USD-M contracts; a `providers.ports.DepthSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        base = hosts_of(PROVIDER, options.rest_url, options.ws_url).futures
        budget = shared_budget("binance", base, 2400, 60)
        self._http, self._clock = HttpTransport(PROVIDER, base, budget=budget, tls_ca=options.tls_ca), clock

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def depth(self, contract: str, levels: int = 50) -> Depth:
        """Return the book of `contract`, at least `levels` deep on each side where it is; raises `ProviderError`."""
        limit, weight = next((each for each in _LEVELS if each[0] >= levels), _LEVELS[-1])
        params = {"symbol": name(contract), "limit": str(limit)}
        raw = await self._http.get("/fapi/v1/depth", params=params, weight=weight)
        return parse_depth(raw, contract, self._clock())


def credentials_of(options: AccountOptions) -> Credentials:
    """Return the account's key; raises `ConfigError` that names what the config lacks."""
    given = options.credentials
    lacking = [part for part in ("key", "secret") if given is None or not given.has(part)]
    if given is None or lacking:
        part = lacking[0]
        raise ConfigError(f'{options.name}: {options.provider} needs {part}; write where it is: {part} = "env:NAME"')
    return given
