"""What we know of one Hyperliquid user, kept up to date by REST, and by pushes that somebody else receives."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from math import inf

from providers.errors import Malformed, Refused, Unreachable
from providers.following import Taken
from providers.http import HttpTransport
from providers.hyperliquid_accounts import (
    Picture,
    accounts,
    at_time,
    marks,
    with_market,
    with_state,
    with_universe,
)
from providers.hyperliquid_spot_wire import (
    Order,
    Spot,
    Token,
    order_margin,
    parse_dexes,
    parse_leverage,
    parse_orders,
    parse_spot,
    parse_tokens,
)
from providers.hyperliquid_watch import Push, UserFeed
from providers.hyperliquid_wire import (
    VENUE,
    AccountMode,
    DexState,
    MarketPush,
    Universe,
    parse_mode,
    parse_state,
    parse_universe,
)
from providers.optional_reads import OptionalReads
from providers.ports import Reading
from providers.venue_clock import MS_NS, VenueClock
from providers.ws import Subscription

# Request weights of the info endpoint (hyperliquid.gitbook.io, "Rate limits and user limits", read 2026-11).
_LIGHT, _HEAVY = 2, 20
# Rules and funding change by the hour; an account's mode and its dexes by the user's own doing.
_MARKETS_S, _MODE_S, _RETRY_S = 60.0, 120.0, 30.0
# Coins without a position whose leverage is asked for, each a heavy request; orders beyond count at the least leverage.
_LEVERAGES = 5


class Reader:
    """The picture of one user. `warnings` are told with every reading. `clock` is UTC now in ns."""

    def __init__(
        self,
        name: str,
        user: str,
        http: HttpTransport,
        feed: UserFeed | None = None,
        *,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._name, self._user, self._http, self._feed = name, user, http, feed
        self._clock, self._venue_clock = clock, VenueClock(clock=clock)
        self._picture = Picture({}, mode=AccountMode.UNREAD)
        self._dexes: tuple[str, ...] = ()
        self._mode_due_s = self._markets_due_s = -inf
        self._parts = OptionalReads()
        self._tokens: Mapping[int, Token] = {}
        self._leverages: dict[str, Decimal] = {}
        self.warnings: tuple[str, ...] = ()

    @property
    def coins(self) -> frozenset[str]:
        """Return the coins of all open positions."""
        return frozenset(held.coin for state in self._picture.states.values() for held in state.held)

    @property
    def dexes_in_use(self) -> tuple[str, ...]:
        """Return the main dex and the others that hold anything."""
        return ("", *(dex for dex, state in self._picture.states.items() if dex and not state.is_empty))

    @property
    def topics(self) -> frozenset[str]:
        """Return the coins held: nothing is pushed while there are none."""
        return self.coins

    def sockets(self) -> Sequence[Subscription[Push]]:
        """Return the one connection that pushes states and marks, none where it has no address."""
        return () if self._feed is None else (self._feed.subscription(self.dexes_in_use, self.coins),)

    def take(self, push: Push) -> Taken:
        """Bring a pushed state or price into the picture."""
        if isinstance(push, MarketPush):
            self._picture = with_market(self._picture, push)
            return Taken.PART
        self._picture = with_state(self._picture, push.dex, push.state)
        return Taken.STATE

    def reading(self, now_ns: int) -> Reading:
        """Return the accounts as of `now_ns`; raises `Unreachable` before the first refresh."""
        if "" not in self._picture.states:
            raise Unreachable(VENUE, f"{self._name}: nothing read yet")
        degraded = self._parts.degraded()
        found = at_time(accounts(self._name, replace(self._picture, degraded=degraded)), now_ns)
        complaint = self._venue_clock.complaint()
        warnings = (*self.warnings, *((complaint,) if complaint else ()), *self._delisted())
        return Reading(self._name, found, now_ns, degraded=degraded, marks=marks(found, now_ns), warnings=warnings)

    def _delisted(self) -> tuple[str, ...]:
        """Return a line for each position in a market that the venue takes off its list."""
        gone = (coin for coin in sorted(self.coins) if coin in self._picture.markets)
        return tuple(
            f"{coin} is being delisted: the venue settles what is left of the position"
            for coin in gone
            if self._picture.markets[coin].is_delisted
        )

    async def refresh(self, *, everything: bool = False) -> None:
        """Read what is due. Only the main state must succeed; what else fails is named. Raises `ProviderError`."""
        now_s = asyncio.get_running_loop().time()
        sent_ns = self._clock()
        main = await self._state("")
        received_ns = self._clock()
        look_around = everything or now_s >= self._mode_due_s
        if look_around:
            self._venue_clock.forget()
        if main.time_ms is not None:
            self._venue_clock.learn(main.time_ms * MS_NS, sent_ns, received_ns)
        if look_around:
            self._mode_due_s = now_s + (_MODE_S if await self._look_around() else _RETRY_S)
        asked = [dex for dex in self._dexes if look_around or dex in self.dexes_in_use]
        fresh = {"": main, **await self._other_states(asked)}
        used = [dex for dex, state in fresh.items() if not dex or not state.is_empty]
        if everything or now_s >= self._markets_due_s or not set(used) <= set(self.dexes_in_use):
            is_complete = all([await self._read_markets(dex) for dex in used])
            self._markets_due_s = now_s + (_MARKETS_S if is_complete else _RETRY_S)
            await self._read_orders(fresh, used)
        if self._picture.mode in (AccountMode.UNIFIED, AccountMode.PORTFOLIO):
            spot = await self._parts.read("spot balances", self._spot())
            if spot is not None:
                self._picture = replace(self._picture, spot=spot.balances, ratio=spot.ratio)
        for dex, state in fresh.items():
            self._picture = with_state(self._picture, dex, state)

    async def _look_around(self) -> bool:
        """Read the account's mode and the names of the dexes; return whether both were told."""
        self._leverages.clear()
        mode = await self._parts.read("account mode", self._mode())
        if mode is not None:
            self._picture = replace(self._picture, mode=mode)
        dexes = await self._parts.read("other dexes", self._dex_names())
        if dexes is not None:
            self._dexes = dexes
        return mode is not None and dexes is not None

    async def _other_states(self, dexes: Sequence[str]) -> dict[str, DexState]:
        """Return the states of other dexes that answered, side by side: one round trip instead of a dozen."""
        states = await asyncio.gather(*(self._parts.read(f"dex {dex}", self._state(dex)) for dex in dexes))
        return {dex: state for dex, state in zip(dexes, states, strict=True) if state is not None}

    async def _read_markets(self, dex: str) -> bool:
        universe = await self._parts.read(f"markets of {dex}" if dex else "markets", self._universe(dex))
        if universe is None:
            return False
        self._picture = with_universe(self._picture, dex, universe)
        if not universe.collateral_token:
            return True
        if universe.collateral_token not in self._tokens:
            self._tokens = await self._parts.read("names of tokens", self._token_names()) or {}
        token = self._tokens.get(universe.collateral_token)
        if token is not None:
            self._picture = replace(self._picture, quotes={**self._picture.quotes, dex: token.name})
        return token is not None

    async def _read_orders(self, states: Mapping[str, DexState], dexes: Sequence[str]) -> None:
        """Read what resting orders hold; it decides no liquidation, so that a dex that does not tell it is left out."""
        held = dict[str, Decimal]()
        for dex in dexes:
            try:
                orders = parse_orders(await self._ask("frontendOpenOrders", _HEAVY, user=self._user, **_scope(dex)))
                leverages = await self._leverages_of(orders, states[dex])
            except (Refused, Malformed, Unreachable):
                continue
            sizes = {one.coin: one.size for one in states[dex].held}
            held[dex] = order_margin(orders, sizes, leverages, self._picture.markets)
        self._picture = replace(self._picture, order_margin=held)

    async def _leverages_of(self, orders: Sequence[Order], state: DexState) -> Mapping[str, Decimal]:
        """Return the leverages of the coins ordered: of the position where there is one, else as the venue says."""
        known = {one.coin: one.leverage for one in state.held if one.leverage is not None}
        lacking = sorted({one.coin for one in orders} - known.keys() - self._leverages.keys())
        for coin in lacking[:_LEVERAGES]:
            raw = await self._ask("activeAssetData", _HEAVY, user=self._user, coin=coin)
            self._leverages[coin] = parse_leverage(raw)
        return {**self._leverages, **known}

    async def _state(self, dex: str) -> DexState:
        return parse_state(await self._ask("clearinghouseState", _LIGHT, user=self._user, **_scope(dex)))

    async def _mode(self) -> AccountMode:
        return parse_mode(await self._ask("userAbstraction", _HEAVY, user=self._user))

    async def _dex_names(self) -> tuple[str, ...]:
        return parse_dexes(await self._ask("perpDexs", _HEAVY))

    async def _token_names(self) -> Mapping[int, Token]:
        return parse_tokens(await self._ask("spotMeta", _HEAVY))

    async def _spot(self) -> Spot:
        return parse_spot(await self._ask("spotClearinghouseState", _LIGHT, user=self._user))

    async def _universe(self, dex: str) -> Universe:
        try:
            raw = await self._ask("metaAndAssetCtxs", _HEAVY, **_scope(dex))
        except Refused:
            raw = await self._ask("meta", _HEAVY, **_scope(dex))
        return parse_universe(raw)

    async def _ask(self, kind: str, weight: int, **fields: str) -> bytes:
        return await self._http.post("/info", {"type": kind, **fields}, is_read=True, weight=weight)


def _scope(dex: str) -> dict[str, str]:
    return {"dex": dex} if dex else {}
