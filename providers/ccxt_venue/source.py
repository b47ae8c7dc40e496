"""Any perpetuals venue of ccxt, as provider "ccxt:<id>": positions, balances and leverage tiers by polling.

For venues without an adapter of their own, which reads more and closer. Needs the extra: pip install
'marginline[ccxt]'. `rest_url` replaces scheme and host of everything that ccxt asks; signatures stay those of the
venue's own host. Rescued is the margin of isolated positions, where ccxt can add to it (`moves.py`).
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from functools import partial
from math import inf
from typing import Any

from engine.accounts import Account, Kind
from providers.ccxt_venue.accounts import accounts_of, number, positions_of
from providers.ccxt_venue.exchange import Exchange, exchange_id
from providers.errors import ConfigError, Malformed, RateLimited, Refused, Unauthorised, Unreachable
from providers.following import FollowedAccounts, Taken
from providers.http import checked_url
from providers.ports import AccountOptions, PositionSource, ProviderInfo, Reading
from providers.ws import Subscription

INFO = ProviderInfo(
    "ccxt",
    "Any other perpetuals venue of ccxt, as ccxt:<id> (extra: marginline[ccxt])",
    kinds=frozenset({Kind.PERP}),
    reads=("cross and isolated positions", "balances", "linear and inverse contracts", "leverage tiers where told"),
    required=frozenset({"key", "secret"}),
    settings=frozenset({"passphrase", "subaccount", "address", "rest_url", "poll_s", "stale_after_s", "tls_ca"}),
    rescues=("add-margin",),
    live="poll 15 s",
    permissions={
        "read": "reading of derivatives positions and balances",
        "rescue": "trading of derivatives, which margin of a position counts as",
    },
)
_POLL_S, _RULES_S = 15.0, 6 * 3600.0
_ATTEMPTS, _PATIENCE_S = 3, 5.0


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one account; raises `ConfigError` for an unknown exchange, a missing key, or no ccxt."""
    return CcxtAccounts(options)


def exchange_of(options: AccountOptions, purpose: str) -> Exchange:
    """Return the exchange of one account, asked for `purpose` ("read", "rescue"); raises `ConfigError`."""
    name = exchange_id(options.provider, options.name)
    keys, url = options.credentials, options.rest_url
    missing = [part for part in ("key", "secret") if keys is None or not keys.has(part)]
    if keys is None or missing:
        raise ConfigError(f'{options.name}: {options.provider} needs {" and ".join(missing)}, as in key = "env:NAME"')
    given = {"subaccount": options.subaccount, "address": options.address}
    return Exchange(
        name,
        keys,
        {part: value for part, value in given.items() if value is not None},
        needed=INFO.permissions[purpose],
        rest_url=None if url is None else checked_url(options.provider, url, "https", "http"),
        tls_ca=options.tls_ca,
    )


class CcxtAccounts(FollowedAccounts[None]):
    """One key's accounts at one exchange of ccxt; a `providers.ports.PositionSource`. `clock` is UTC now in ns."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._exchange = exchange_of(options, "read")
        name = options.provider.partition(":")[2]
        super().__init__(options, CcxtReader(options.name, name, self._exchange), (), poll_s=_POLL_S, clock=clock)

    async def aclose(self) -> None:
        """Close every connection."""
        await self._exchange.aclose()


class CcxtReader:
    """The picture of one key's accounts; a `providers.following.Reader` that nothing is pushed to."""

    topics: frozenset[str] = frozenset()

    def __init__(self, account: str, name: str, exchange: Exchange) -> None:
        self._account, self._name, self._exchange = account, name, exchange
        self._markets: Mapping[str, Mapping[str, Any]] = {}
        self._tiers: dict[str, Sequence[Mapping[str, Any]]] = {}
        self._rules_due_s = -inf
        self._seen: tuple[list[Mapping[str, Any]], dict[str, Decimal], dict[str, Decimal]] | None = None

    def sockets(self) -> Sequence[Subscription[None]]:
        """Return nothing: it polls."""
        return ()

    def take(self, push: None) -> Taken:
        """Ask for a fresh reading."""
        return Taken.NUDGE

    async def refresh(self, *, everything: bool = False) -> None:
        """Read positions and balances, and the rules when they are due; raises `ProviderError`."""
        now_s = asyncio.get_running_loop().time()
        if now_s >= self._rules_due_s:
            self._markets = await self._asked(lambda exchange: dict(exchange.load_markets(bool(exchange.markets))))
            self._tiers.clear()
            self._rules_due_s = now_s + _RULES_S
        rows = await self._asked(read_positions)
        totals, used = await self._asked(_balances)
        unknown = sorted({str(row.get("symbol")) for row in rows} - self._tiers.keys())
        if unknown:
            self._tiers |= await self._asked(partial(_tiers, symbols=unknown))
        self._seen = rows, totals, used

    async def _asked(self, work: Callable[[Any], Any]) -> Any:
        """Return what ccxt reads; a short pause is waited for, and the request then signed anew."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return await self._exchange.run(work)
            except (Unreachable, RateLimited) as error:
                pause_s = 0.3 * 2**attempt
                if isinstance(error, RateLimited) and error.retry_after_s is not None:
                    pause_s = error.retry_after_s
                if attempt == _ATTEMPTS or pause_s > _PATIENCE_S:
                    raise
                await asyncio.sleep(pause_s)
        raise AssertionError("unreachable")

    def reading(self, now_ns: int) -> Reading:
        """Return the accounts as of `now_ns`; raises `Unreachable` before the first refresh."""
        if self._seen is None:
            raise Unreachable(self._exchange.venue, f"{self._account}: nothing read yet")
        rows, totals, used = self._seen
        held = positions_of(rows, self._markets, self._tiers, self._name)
        found: tuple[Account, ...] = accounts_of(self._account, self._exchange.venue, held, totals, now_ns)
        # Some of ccxt's parsers leave out rows that lack a figure: money in use tells that something is held.
        busy = "" if held else ", ".join(f"{amount:f} {coin}" for coin, amount in used.items() if amount > 0)
        lost = (f"{busy} in use, but no position is told: open orders, or what ccxt could not read",) if busy else ()
        return Reading(self._account, found, now_ns, degraded=lost)


def read_positions(exchange: Any) -> list[Mapping[str, Any]]:
    """Return the unified rows of all positions; raises `ProviderError`."""
    if not exchange.has.get("fetchPositions"):
        raise Refused(f"ccxt:{exchange.id}", "ccxt cannot read positions of this exchange")
    rows = exchange.fetch_positions()
    if not isinstance(rows, list):
        raise Malformed(f"ccxt:{exchange.id}", "positions are no list")
    return rows


def _balances(exchange: Any) -> tuple[dict[str, Decimal], dict[str, Decimal]]:
    """Return what there is of each coin, and what of it is in use."""
    told = exchange.fetch_balance()
    total, used = (
        {
            str(coin): amount
            for coin, value in (told.get(part) or {}).items()
            if (amount := number(value, f"{part} of {coin}")) is not None
        }
        for part in ("total", "used")
    )
    return total, used


def _tiers(exchange: Any, symbols: Sequence[str]) -> dict[str, Sequence[Mapping[str, Any]]]:
    """Return the leverage tiers of markets, none where the exchange has none or does not tell them."""
    found: Mapping[str, Sequence[Mapping[str, Any]]] = {}
    try:
        if exchange.has.get("fetchLeverageTiers") is True:
            found = exchange.fetch_leverage_tiers(list(symbols))
        elif exchange.has.get("fetchMarketLeverageTiers") is True:
            found = {symbol: exchange.fetch_market_leverage_tiers(symbol) for symbol in symbols}
    except Unauthorised:
        raise
    except Refused:
        pass
    return {symbol: found.get(symbol) or () for symbol in symbols}
