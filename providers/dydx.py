"""dYdX v4 accounts of any address, read-only: the indexer needs no key, and what would sign is a chain's own wallet.

No API tells a liquidation price, so the engine computes it from the oracle price, which is what margin counts with
(docs.dydx.xyz, "Liquidations", read 2026-11): equity = quote + sum(size x oracle), requirement = sum(|size| x oracle x
maintenance fraction). `subaccount` is the parent number, 0 by default; its isolated children are read with it.
`rest_url` replaces `https://indexer.dydx.trade/v4`, `ws_url` replaces `wss://indexer.dydx.trade/v4/ws`.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from functools import partial
from math import inf

import msgspec

from engine.accounts import Account, Kind, MarginMode, Position, Tier, VenueReport
from engine.depth import Depth, Level
from engine.prices import OraclePrice
from providers.dydx_wire import (
    QUOTE,
    VENUE,
    ChangePush,
    Market,
    OraclePush,
    Subaccount,
    base_of,
    frame_parser,
    is_address,
    parse_markets,
    parse_subaccounts,
)
from providers.errors import ConfigError, Malformed, Refused, Unreachable
from providers.following import FollowedAccounts, Taken
from providers.http import HttpTransport, checked_url, decode, shared_budget
from providers.ports import AccountOptions, DepthSource, PositionSource, ProviderInfo, Reading
from providers.ws import Subscription

INFO = ProviderInfo(
    VENUE,
    "dYdX v4 perpetuals",
    kinds=frozenset({Kind.PERP}),
    reads=("positions", "cross and isolated subaccounts", "maintenance margin", "oracle price", "funding"),
    rescues=(),
    required=frozenset({"address"}),
    settings=frozenset({"subaccount", "rest_url", "ws_url", "poll_s", "stale_after_s", "tls_ca"}),
    live="websocket",
    depth=True,
)
MAIN_REST, MAIN_WS = "https://indexer.dydx.trade/v4", "wss://indexer.dydx.trade/v4/ws"
TEST_REST, TEST_WS = "https://indexer.v4testnet.dydx.exchange/v4", "wss://indexer.v4testnet.dydx.exchange/v4/ws"
BY_HAND = "deposit at dydx.trade or from your own wallet: this program holds no key of a dYdX account"

_REQUESTS, _PERIOD_S = 100, 10
_POLL_S, _MARKETS_S, _PRICE_S = 5.0, 60.0, 4.0
_HOUR_NS = 3_600 * 1_000_000_000
_ISOLATED_FROM = 128
_TOLERANCE, _CENT = Decimal("0.02"), Decimal("0.01")

Push = OraclePush | ChangePush


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one address; raises `ConfigError` for what is not one."""
    return DydxAccounts(options)


def depth_source(options: AccountOptions) -> DepthSource:
    """Return the order books of the venue."""
    return Books(_transport(options))


class DydxAccounts(FollowedAccounts[Push]):
    """One parent subaccount and its isolated children; a `providers.ports.PositionSource`."""

    def __init__(self, options: AccountOptions, *, clock: Callable[[], int] = time.time_ns) -> None:
        address = (options.address or "").strip()
        if not is_address(address):
            # An address with a typing error would read as an account that holds nothing.
            raise ConfigError(
                f"{options.name}: dydx needs address, the dydx1... of the account; {address[:48]!r} is none"
            )
        number = options.subaccount or "0"
        if not (number.isascii() and number.isdigit() and int(number) < _ISOLATED_FROM):
            raise ConfigError(f"{options.name}: subaccount must be a parent number from 0 to 127, not {number[:12]!r}")
        http = _transport(options)
        rest_url = (options.rest_url or MAIN_REST).rstrip("/")
        ws_url = options.ws_url or {MAIN_REST: MAIN_WS, TEST_REST: TEST_WS}.get(rest_url)
        pushed_from = None if ws_url is None else checked_url(VENUE, ws_url, "wss", "ws")
        self._reader = DydxReader(options, address, int(number), http, pushed_from, clock)
        super().__init__(options, self._reader, (http,), poll_s=_POLL_S, pushed_from=pushed_from, clock=clock)
        self._reader.silence_after_s = self.stale_after_s


def _transport(options: AccountOptions) -> HttpTransport:
    rest_url = (options.rest_url or MAIN_REST).rstrip("/")
    return HttpTransport(
        VENUE, rest_url, budget=shared_budget(VENUE, rest_url, _REQUESTS, _PERIOD_S), tls_ca=options.tls_ca
    )


class DydxReader:
    """The picture of one parent subaccount; a `providers.following.Reader`."""

    def __init__(
        self,
        options: AccountOptions,
        address: str,
        number: int,
        http: HttpTransport,
        ws_url: str | None,
        clock: Callable[[], int],
    ) -> None:
        self._name, self._address, self._number, self._tls_ca = options.name, address, number, options.tls_ca
        self._http, self._ws_url, self._clock = http, ws_url, clock
        self.silence_after_s = 15.0
        self._subaccounts: tuple[Subaccount, ...] | None = None
        self._markets: dict[str, Market] = {}
        self._priced_s: dict[str, float] = {}
        self._markets_due_s = -inf
        self._is_new = self._has_held = False

    @property
    def topics(self) -> frozenset[str]:
        """Return the markets held."""
        return frozenset(held.ticker for each in self._subaccounts or () for held in each.held)

    def sockets(self) -> Sequence[Subscription[Push]]:
        """Return the one connection that pushes oracle prices and the word of changes."""
        if self._ws_url is None:
            return ()
        wanted: tuple[dict[str, object], ...] = (
            {"type": "subscribe", "channel": "v4_markets", "batched": False},
            {
                "type": "subscribe",
                "channel": "v4_parent_subaccounts",
                "id": f"{self._address}/{self._number}",
                "batched": False,
            },
        )
        return (
            Subscription(
                source=self._name,
                url=self._ws_url,
                parser=partial(frame_parser, self.topics),
                key=lambda push: push.ticker if isinstance(push, OraclePush) else "change",
                subscribe=[msgspec.json.encode(each).decode() for each in wanted],
                silence_after_s=self.silence_after_s,
                tls_ca=self._tls_ca,
                clock=self._clock,
            ),
        )

    async def refresh(self, *, everything: bool = False) -> None:
        """Read the subaccounts, and the markets when they are due; raises `ProviderError`."""
        now_s = asyncio.get_running_loop().time()
        self._subaccounts = await self._read_subaccounts()
        # An oracle that is not pushed is read with every poll: its price is what liquidates.
        is_old = any(now_s - self._priced_s.get(ticker, -inf) >= _PRICE_S for ticker in self.topics)
        if self.topics and (everything or is_old or now_s >= self._markets_due_s):
            self._markets = parse_markets(await self._http.get("/perpetualMarkets"))
            self._priced_s = dict.fromkeys(self._markets, now_s)
            self._markets_due_s = now_s + _MARKETS_S

    async def _read_subaccounts(self) -> tuple[Subaccount, ...]:
        try:
            raw = await self._http.get(f"/addresses/{self._address}/parentSubaccountNumber/{self._number}")
        except Refused as error:
            if error.status == 404 and self._has_held:
                raise Unreachable(VENUE, "the indexer no longer knows an address that it knew: HTTP 404") from error
            if error.status == 404:
                self._is_new = True
                return (Subaccount(self._number, Decimal(0), Decimal(0), Decimal(0)),)
            if error.status == 403:
                raise Refused(
                    VENUE, "the indexer refuses this machine: its place is blocked (HTTP 403)", 403
                ) from error
            raise
        self._is_new, self._has_held = False, True
        return parse_subaccounts(raw)

    def take(self, push: Push) -> Taken:
        """Bring oracle prices into the picture; a change is read anew."""
        if isinstance(push, ChangePush):
            return Taken.NUDGE
        if push.ticker in self._markets:
            self._markets[push.ticker] = replace(self._markets[push.ticker], oracle_price=push.price)
            self._priced_s[push.ticker] = asyncio.get_running_loop().time()
        return Taken.PART

    def reading(self, now_ns: int) -> Reading:
        """Return the accounts as of `now_ns`; raises `Unreachable` before the first refresh."""
        if self._subaccounts is None:
            raise Unreachable(VENUE, f"{self._name}: nothing read yet")
        found = accounts(self._name, self._number, self._subaccounts, self._markets, now_ns)
        marks = {
            held.asset: OraclePrice(held.mark_price, now_ns, now_ns, source=f"{VENUE} oracle")
            for account in found
            for held in account.positions
            if held.mark_price is not None
        }
        new = (f"dYdX knows nothing of subaccount {self._number} of this address: it has never held anything",)
        return Reading(self._name, found, now_ns, marks=marks, warnings=new if self._is_new else ())


def accounts(
    name: str, parent: int, subaccounts: Sequence[Subaccount], markets: Mapping[str, Market], now_ns: int
) -> tuple[Account, ...]:
    """Return the cross account as `name`, and every child that holds a position as `name:ASSET`."""
    cross = [each for each in subaccounts if each.number == parent]
    children = [each for each in subaccounts if each.number != parent and each.held]
    found = [_account(name, each, markets, now_ns, MarginMode.CROSS) for each in cross]
    for child in children:
        assets = "+".join(base_of(held.ticker) for held in child.held)
        mode = MarginMode.ISOLATED if len(child.held) == 1 else MarginMode.CROSS
        found.append(_account(f"{name}:{assets}", child, markets, now_ns, mode))
    return tuple(found)


def _account(
    name: str, subaccount: Subaccount, markets: Mapping[str, Market], now_ns: int, mode: MarginMode
) -> Account:
    degraded: list[str] = []
    positions = []
    for held in subaccount.held:
        market = markets.get(held.ticker)
        if market is None:
            degraded.append(f"rules and oracle price of {held.ticker} not told: liquidation unknown")
        positions.append(
            Position(
                base_of(held.ticker),
                held.size,
                () if market is None else (Tier(Decimal(0), market.maintenance_rate),),
                held.entry_price,
                None if market is None else market.oracle_price,
                funding_rate=None if market is None else market.funding_rate,
                contract=held.ticker,
                predicted_funding_rate=None if market is None else market.funding_rate,
                next_funding_ns=(now_ns // _HOUR_NS + 1) * _HOUR_NS,
                funding_paid=held.funding_paid,
            )
        )
    equity, free = subaccount.equity, subaccount.free_collateral
    if not positions and equity is not None and abs(equity - subaccount.quote) > max(abs(equity), _CENT) * _TOLERANCE:
        degraded.append(f"equity {equity:.2f} {QUOTE} reported, but no position is told: what is held is unknown")
    return Account(
        name,
        Kind.PERP,
        VENUE,
        mode=mode,
        quote=QUOTE,
        balance=subaccount.quote + sum((held.size * held.entry_price for held in subaccount.held), Decimal(0)),
        positions=tuple(positions),
        # The indexer counts equity at its own last oracle price, a few seconds older than a pushed one.
        reported=VenueReport(equity=equity, tolerance=_TOLERANCE),
        degraded=tuple(degraded),
        venue=VENUE if mode is MarginMode.CROSS else f"{VENUE} iso",
        note=BY_HAND,
        initial_requirement=None if equity is None or free is None else equity - free,
        trigger="oracle",
    )


class _Row(msgspec.Struct, frozen=True):
    price: Decimal
    size: Decimal


class _Book(msgspec.Struct, frozen=True):
    bids: list[_Row]
    asks: list[_Row]


class Books:
    """Order books; a `providers.ports.DepthSource`."""

    def __init__(self, http: HttpTransport, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._http, self._clock = http, clock

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def depth(self, contract: str, levels: int = 50) -> Depth:
        """Return the book of one market ("BTC-USD"); raises `ProviderError`."""
        book = decode(VENUE, "orderbook", await self._http.get(f"/orderbooks/perpetualMarket/{contract}"), _Book)
        bids, asks = (tuple(Level(row.price, row.size) for row in rows[:levels]) for rows in (book.bids, book.asks))
        if any(not (level.price > 0 and level.quantity >= 0) for level in (*bids, *asks)):
            raise Malformed(VENUE, f"orderbook of {contract[:24]}: a price or size that is none")
        return Depth(VENUE, contract, base_of(contract), bids, asks, self._clock(), QUOTE)
