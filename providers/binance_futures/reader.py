"""What we know of one USD-M futures account, kept up to date by REST, and by pushes that somebody else receives."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from providers.binance_futures.accounts import Picture, accounts, marks
from providers.binance_futures.asking import brackets, parsed, premiums
from providers.binance_futures.client import Client
from providers.binance_futures.due import Agenda
from providers.binance_futures.permissions import Permissions, parse_permissions
from providers.binance_futures.streams import MarkPush, Push, Streams
from providers.binance_futures.wire import (
    Funding,
    Place,
    parse_account,
    parse_asset_indexes,
    parse_funding_hours,
    parse_isolated,
    parse_modes,
    parse_positions,
)
from providers.errors import RateLimited, Refused, Unreachable
from providers.following import Taken
from providers.ports import Reading
from providers.ws import Subscription

# Seconds between two reads of what changes slowly, and request weights (developers.binance.com, read 2026-11).
_MODES_S, _RULES_S, _FUNDING_S, _INDEX_S, _RIGHTS_S = 120.0, 3600.0, 60.0, 15.0, 600.0
_CALLED_NS = 300_000_000_000


class Reader:
    """The picture of one account. `wallet` tells the key's permissions, `None` where the network has no such host."""

    def __init__(self, name: str, futures: Client, wallet: Client | None, streams: Streams | None) -> None:
        self._name, self._futures, self._wallet, self._streams = name, futures, wallet, streams
        self._picture: Picture | None = None
        self._agenda = Agenda()
        self._permissions = Permissions()
        self._mark_times: dict[str, int] = {}
        self._called: dict[Place, int] = {}

    @property
    def symbols(self) -> frozenset[str]:
        """Return the symbols of all open positions."""
        return frozenset() if self._picture is None else frozenset(held.symbol for held in self._picture.held)

    @property
    def topics(self) -> frozenset[str]:
        """Return what sockets are opened for: the account, under its present listen key, and the symbols held."""
        if self._streams is None or self._picture is None:
            return frozenset()
        return self.symbols | {f"user {self._streams.key.generation}"}

    def sockets(self) -> Sequence[Subscription[Push]]:
        """Return the user's stream and the one of marks, none where the network's streams are not known."""
        return () if self._streams is None else self._streams.sockets(self.symbols)

    def take(self, push: Push) -> Taken:
        """Bring a pushed price into the picture; an account event only says that it must be read again."""
        if not isinstance(push, MarkPush):
            self._called |= dict.fromkeys(push.called, push.at_ns)
            return Taken.NUDGE
        picture = self._picture
        if picture is None or push.at_ns <= self._mark_times.get(push.symbol, -1):
            return Taken.PART
        self._mark_times[push.symbol] = push.at_ns
        known = picture.funding.get(push.symbol, Funding())
        funding = replace(
            known,
            rate=known.rate if push.rate is None else push.rate,
            next_ns=push.next_ns or known.next_ns,
        )
        self._picture = replace(
            picture,
            marks={**picture.marks, push.symbol: push.mark_price},
            funding={**picture.funding, push.symbol: funding},
        )
        return Taken.PART

    def reading(self, now_ns: int) -> Reading:
        """Return the accounts as of `now_ns`; raises `Unreachable` before the first refresh."""
        if self._picture is None:
            raise Unreachable(self._futures.venue, f"{self._name}: nothing read yet")
        degraded = tuple(f"{what} not read: {why}" for what, why in self._agenda.unread.items() if what != "rights")
        called = frozenset(place for place, at_ns in self._called.items() if now_ns - at_ns < _CALLED_NS)
        found = accounts(self._name, replace(self._picture, degraded=degraded, called=called), now_ns)
        complaint = self._futures.timekeeper.venue_clock.complaint()
        unread = self._agenda.unread.get("rights")
        warnings = (*self._permissions.warnings, *filter(None, (complaint,)))
        if unread:
            warnings = (*warnings, f"the key's permissions could not be read: {unread}")
        return Reading(self._name, found, now_ns, degraded=degraded, marks=marks(found, now_ns), warnings=warnings)

    async def refresh(self, *, everything: bool = False) -> None:
        """Read what is due. Account and positions must succeed; what else fails is named. Raises `ProviderError`."""
        if everything:
            self._agenda.forget()
        await self._futures.prepare()
        raw_account, raw_positions = await asyncio.gather(
            self._futures.signed("/fapi/v3/account", weight=5), self._futures.signed("/fapi/v3/positionRisk", weight=5)
        )
        state, held = parse_account(raw_account), parse_positions(raw_positions)
        before = self._picture
        picture = Picture(held, state) if before is None else replace(before, held=held, state=state, marks={})
        symbols = frozenset(each.symbol for each in held)
        picture = await self._with_modes(picture, symbols, is_new=symbols != self.symbols)
        picture = await self._with_rules(picture, symbols)
        self._picture = await self._with_prices(picture, symbols)
        await self._keep_up()

    async def _with_modes(self, picture: Picture, symbols: frozenset[str], *, is_new: bool) -> Picture:
        agenda = self._agenda
        if agenda.is_due("account mode"):
            raw = self._futures.signed("/fapi/v1/accountConfig", weight=5)
            modes = await agenda.read("account mode", _MODES_S, parsed(raw, parse_modes))
            picture = picture if modes is None else replace(picture, modes=modes)
        if symbols and (is_new or agenda.is_due("margin modes")):
            raw = self._futures.signed("/fapi/v1/symbolConfig", weight=5)
            isolated = await agenda.read("margin modes", _MODES_S, parsed(raw, parse_isolated))
            picture = picture if isolated is None else replace(picture, isolated=isolated)
        return picture

    async def _with_rules(self, picture: Picture, symbols: frozenset[str]) -> Picture:
        """Read the leverage brackets of symbols that are new, and of all held every hour."""
        due = self._agenda.is_due("leverage brackets")
        wanted = sorted(symbols if due else symbols - picture.tiers.keys())
        if wanted:
            tiers = await self._agenda.read(
                "leverage brackets", _RULES_S, brackets(self._futures, "/fapi/v1/leverageBracket", wanted)
            )
            picture = picture if tiers is None else replace(picture, tiers={**picture.tiers, **tiers})
        return picture

    async def _with_prices(self, picture: Picture, symbols: frozenset[str]) -> Picture:
        agenda = self._agenda
        if symbols and agenda.is_due("funding intervals"):
            raw = self._futures.public("/fapi/v1/fundingInfo")
            hours = await agenda.read("funding intervals", _RULES_S, parsed(raw, parse_funding_hours))
            picture = picture if hours is None else replace(picture, hours=hours)
        if symbols and (agenda.is_due("funding") or not symbols <= picture.funding.keys()):
            funding = await agenda.read("funding", _FUNDING_S, premiums(self._futures, sorted(symbols)))
            picture = picture if funding is None else replace(picture, funding={**picture.funding, **funding})
        if picture.modes is not None and picture.modes.is_multi_asset and agenda.is_due("asset index"):
            raw = self._futures.public("/fapi/v1/assetIndex", weight=10)
            indexes = await agenda.read("asset index", _INDEX_S, parsed(raw, parse_asset_indexes))
            picture = picture if indexes is None else replace(picture, indexes=indexes)
        return picture

    async def _keep_up(self) -> None:
        """Learn the key's permissions, and keep the listen key alive; neither may fail a reading."""
        if self._wallet is not None and self._agenda.is_due("rights"):
            raw = self._wallet.signed("/sapi/v1/account/apiRestrictions")
            try:
                rights = await self._agenda.read("rights", _RIGHTS_S, parsed(raw, parse_permissions))
            except RateLimited as error:
                self._agenda.unread["rights"] = error.detail
                return
            self._permissions = self._permissions if rights is None else rights
        if self._streams is not None:
            try:
                await self._streams.key.keep()
            except (Refused, Unreachable, RateLimited):
                return  # tried again with the next poll; a key that runs out ends its socket, which says so
