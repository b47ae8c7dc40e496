"""Which hosts one configured Binance account talks to: futures, wallet and portfolio margin are three path families.

Wire: developers.binance.com, "USDS-M Futures", "Portfolio Margin" and "Wallet" general information (read 2026-11). The
rule: without `rest_url` every family has its public host. A `rest_url` at Binance's own domains picks that network
(production, demo, testnet). Any other `rest_url` (a proxy, a test) takes all families, under the paths that they have
at Binance. `ws_url` is the base to which `/market/...`, `/private/...` and `/pm/...` are appended; a network whose
streams are not known is polled.
"""

from urllib.parse import urlsplit

from engine.record import record
from providers.http import checked_url

FUTURES, WALLET, PORTFOLIO = "https://fapi.binance.com", "https://api.binance.com", "https://papi.binance.com"
STREAM = "wss://fstream.binance.com"
TESTNET, TESTNET_STREAM = "https://testnet.binancefuture.com", "wss://fstream.binancefuture.com"
DEMO = "https://demo-fapi.binance.com"
_OWN = (".binance.com", ".binance.vision", ".binancefuture.com")


@record
class Hosts:
    """Base URLs by family. `wallet` is `None` on test networks, which have no transfers and tell no permissions.

    `stream` is `None` where only polling is possible.
    """

    futures: str = FUTURES
    wallet: str | None = WALLET
    portfolio: str = PORTFOLIO
    stream: str | None = STREAM


def hosts_of(venue: str, rest_url: str | None, ws_url: str | None) -> Hosts:
    """Return the hosts of one configured account; raises `ConfigError` for a URL that is none."""
    stream = None if ws_url is None else checked_url(venue, ws_url, "wss", "ws")
    if rest_url is None:
        return Hosts(stream=stream or STREAM)
    base = checked_url(venue, rest_url, "https", "http")
    host = urlsplit(base).hostname or ""
    if base in (FUTURES, PORTFOLIO):
        return Hosts(stream=stream or STREAM)
    if not host.endswith(_OWN):
        return Hosts(base, base, base, stream)
    if base in (TESTNET, DEMO) or host.startswith("demo-") or "testnet" in host:
        return Hosts(base, None, base, stream or (TESTNET_STREAM if base == TESTNET else None))
    return Hosts(futures=base, portfolio=PORTFOLIO, stream=stream or STREAM)
