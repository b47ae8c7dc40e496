"""Binance portfolio margin (unified account) of one API key, as one account liquidated by its uniMMR.

Wire: developers.binance.com, "Portfolio Margin" (read 2026-11); shapes in `pm_wire` and `wire`, hosts in `hosts`. The
user stream says when the account changed, marks of USD-M positions are pushed, all else is read by REST.
"""

import time
from collections.abc import Callable

from engine.accounts import Kind
from providers.binance_futures.client import Client
from providers.binance_futures.hosts import hosts_of
from providers.binance_futures.pm_accounts import PROVIDER
from providers.binance_futures.pm_reader import PmReader
from providers.binance_futures.streams import ListenKey, Push, Streams
from providers.binance_futures.usdm import credentials_of, depth_source
from providers.following import FollowedAccounts
from providers.ports import AccountOptions, PositionSource, ProviderInfo

__all__ = ["INFO", "PmAccounts", "PmClients", "depth_source", "source"]

INFO = ProviderInfo(
    PROVIDER,
    "Binance portfolio margin",
    kinds=frozenset({Kind.PERP}),
    reads=(
        "uniMMR",
        "account status",
        "positions",
        "hedge mode",
        "inverse contracts",
        "coins as collateral",
        "margin tiers",
        "mark prices",
        "predicted funding",
        "key permissions",
    ),
    rescues=("add-margin", "reduce"),
    required=frozenset({"key", "secret"}),
    settings=frozenset({"rest_url", "ws_url", "poll_s", "stale_after_s", "tls_ca"}),
    live="websocket",
    permissions={
        "read": "Enable Reading",
        "rescue": "Permits Universal Transfer",
        "reduce": "Enable Portfolio Margin Trading",
    },
    depth=True,
)

_POLL_S = 5.0


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one key's account; raises `ConfigError` without key and secret."""
    return PmAccounts(options)


class PmClients:
    """The hosts of one portfolio margin account, on one clock."""

    def __init__(self, options: AccountOptions, clock: Callable[[], int] = time.time_ns) -> None:
        credentials, self.hosts = credentials_of(options), hosts_of(PROVIDER, options.rest_url, options.ws_url)
        self.futures = Client(PROVIDER, "fapi", self.hosts.futures, credentials, tls_ca=options.tls_ca, clock=clock)
        keeper = self.futures.timekeeper
        self.portfolio = Client(
            PROVIDER, "papi", self.hosts.portfolio, credentials, timekeeper=keeper, tls_ca=options.tls_ca
        )
        self.wallet: Client | None = None
        if self.hosts.wallet is not None:
            self.wallet = Client(
                PROVIDER, "sapi", self.hosts.wallet, credentials, timekeeper=keeper, tls_ca=options.tls_ca
            )
        self.all = tuple(each for each in (self.futures, self.portfolio, self.wallet) if each is not None)


class PmAccounts(FollowedAccounts[Push]):
    """Reads one key's account; a `providers.ports.PositionSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        clients = PmClients(options, clock)
        stream, streams = clients.hosts.stream, None
        if stream is not None:
            key = ListenKey(clients.portfolio, "/papi/v1/listenKey", stream, "/pm", is_in_query=False)
            streams = Streams(options.name, stream, key, options.tls_ca, clock)
        super().__init__(
            options,
            PmReader(options.name, clients.portfolio, clients.futures, clients.wallet, streams),
            tuple(each.http for each in clients.all),
            poll_s=_POLL_S,
            pushed_from=stream,
            clock=clock,
        )
