"""What we know of one portfolio margin account, kept up to date by REST, and by pushes that somebody else receives."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace

from providers.binance_futures.accounts import marks
from providers.binance_futures.asking import brackets, parsed, premiums
from providers.binance_futures.client import Client
from providers.binance_futures.due import Agenda
from providers.binance_futures.permissions import Permissions, parse_permissions
from providers.binance_futures.pm_accounts import PmPicture, account
from providers.binance_futures.pm_wire import (
    parse_coins,
    parse_collateral_rates,
    parse_index_prices,
    parse_inverse,
    parse_inverse_brackets,
    parse_unified,
)
from providers.binance_futures.streams import MarkPush, Push, Streams
from providers.binance_futures.wire import parse_funding_hours, parse_positions
from providers.errors import RateLimited, Refused, Unreachable
from providers.following import Taken
from providers.ports import Reading
from providers.ws import Subscription

_RULES_S, _FUNDING_S, _INDEX_S, _RATES_S, _RIGHTS_S = 3600.0, 60.0, 15.0, 1800.0, 600.0


class PmReader:
    """The picture of one account. `futures` tells the market to anyone, `wallet` index prices and the key's rights."""

    def __init__(
        self, name: str, portfolio: Client, futures: Client, wallet: Client | None, streams: Streams | None
    ) -> None:
        self._name, self._portfolio, self._futures, self._wallet = name, portfolio, futures, wallet
        self._streams = streams
        self._picture: PmPicture | None = None
        self._agenda = Agenda()
        self._permissions = Permissions()
        self._mark_times: dict[str, int] = {}

    @property
    def symbols(self) -> frozenset[str]:
        """Return the USD-M symbols of all open positions; marks of coin-margined ones are polled."""
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
            return Taken.NUDGE
        if self._picture is not None and push.at_ns > self._mark_times.get(push.symbol, -1):
            self._mark_times[push.symbol] = push.at_ns
            self._picture = replace(self._picture, marks={**self._picture.marks, push.symbol: push.mark_price})
        return Taken.PART

    def reading(self, now_ns: int) -> Reading:
        """Return the account as of `now_ns`; raises `Unreachable` before the first refresh."""
        if self._picture is None:
            raise Unreachable(self._portfolio.venue, f"{self._name}: nothing read yet")
        unread = self._agenda.unread
        degraded = tuple(f"{what} not read: {why}" for what, why in unread.items() if what != "rights")
        found = (account(self._name, replace(self._picture, degraded=degraded), now_ns),)
        complaint = self._portfolio.timekeeper.venue_clock.complaint()
        warnings = (*self._permissions.warnings, *filter(None, (complaint,)))
        if "rights" in unread:
            warnings = (*warnings, f"the key's permissions could not be read: {unread['rights']}")
        return Reading(self._name, found, now_ns, degraded=degraded, marks=marks(found, now_ns), warnings=warnings)

    async def refresh(self, *, everything: bool = False) -> None:
        """Read what is due. Account, balances and positions must succeed; what else fails is named."""
        if everything:
            self._agenda.forget()
        ask = self._portfolio.signed
        await self._portfolio.prepare()
        unified, coins, linear, inverse = await asyncio.gather(
            ask("/papi/v1/account", weight=20),
            ask("/papi/v1/balance", weight=20),
            ask("/papi/v1/um/positionRisk", weight=5),
            ask("/papi/v1/cm/positionRisk"),
        )
        fresh = PmPicture(parse_unified(unified), parse_positions(linear), parse_inverse(inverse), parse_coins(coins))
        if self._picture is not None:
            fresh = replace(
                self._picture,
                unified=fresh.unified,
                held=fresh.held,
                inverse=fresh.inverse,
                coins=fresh.coins,
                marks={},
            )
        self._picture = await self._with_prices(await self._with_rules(fresh))
        await self._keep_up()

    async def _with_rules(self, picture: PmPicture) -> PmPicture:
        agenda, symbols = self._agenda, frozenset(each.symbol for each in picture.held)
        wanted = sorted(symbols if agenda.is_due("leverage brackets") else symbols - picture.tiers.keys())
        if wanted:
            asked = brackets(self._portfolio, "/papi/v1/um/leverageBracket", wanted)
            tiers = await agenda.read("leverage brackets", _RULES_S, asked)
            picture = picture if tiers is None else replace(picture, tiers={**picture.tiers, **tiers})
        pairs = frozenset(each.pair for each in picture.inverse)
        if pairs and (agenda.is_due("coin-margined brackets") or not pairs <= picture.inverse_steps.keys()):
            raw = self._portfolio.signed("/papi/v1/cm/leverageBracket")
            steps = await agenda.read("coin-margined brackets", _RULES_S, parsed(raw, parse_inverse_brackets))
            picture = picture if steps is None else replace(picture, inverse_steps=steps)
        return picture

    async def _with_prices(self, picture: PmPicture) -> PmPicture:
        agenda, symbols = self._agenda, frozenset(each.symbol for each in picture.held)
        if symbols and agenda.is_due("funding intervals"):
            raw = self._futures.public("/fapi/v1/fundingInfo")
            hours = await agenda.read("funding intervals", _RULES_S, parsed(raw, parse_funding_hours))
            picture = picture if hours is None else replace(picture, hours=hours)
        if symbols and (agenda.is_due("funding") or not symbols <= picture.funding.keys()):
            funding = await agenda.read("funding", _FUNDING_S, premiums(self._futures, sorted(symbols)))
            picture = picture if funding is None else replace(picture, funding=funding)
        if self._wallet is None:
            return picture
        if agenda.is_due("index prices"):
            raw = self._wallet.public("/sapi/v1/portfolio/asset-index-price")
            indexes = await agenda.read("index prices", _INDEX_S, parsed(raw, parse_index_prices))
            picture = picture if indexes is None else replace(picture, indexes=indexes)
        if agenda.is_due("collateral rates"):
            raw = self._wallet.signed("/sapi/v1/portfolio/collateralRate", weight=50)
            rates = await agenda.read("collateral rates", _RATES_S, parsed(raw, parse_collateral_rates))
            picture = picture if rates is None else replace(picture, rates=rates)
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
