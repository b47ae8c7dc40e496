"""What we know of one Kraken Futures key, kept up to date by REST, and by pushes that somebody else receives."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from math import inf

from providers.credentials import Credentials
from providers.errors import Malformed, Refused, Unauthorised, Unreachable
from providers.following import Taken
from providers.http import HttpTransport
from providers.kraken_futures import signing
from providers.kraken_futures.book import Picture, accounts, marks
from providers.kraken_futures.frames import HeldPush, TickPush, WalletPush
from providers.kraken_futures.markets import Market, parse_instruments, parse_tickers
from providers.kraken_futures.signing import READ_COST, VENUE
from providers.kraken_futures.watch import KeyFeed, Push
from providers.kraken_futures.wire import Held, Purse, Wallets, parse_accounts, parse_positions
from providers.ports import Reading
from providers.ws import Subscription

_RULES_S, _RETRY_S = 3600.0, 30.0


class Client:
    """Signed and public requests to one host. Private ones of a key go one after another."""

    def __init__(self, http: HttpTransport, credentials: Credentials | None) -> None:
        self._http, self._credentials = http, credentials

    async def aclose(self) -> None:
        """Close every connection."""
        await self._http.aclose()

    async def public(self, endpoint: str, **fields: str) -> bytes:
        """Return the reply of a public request, which costs nothing; raises `ProviderError`."""
        return await self._http.call(lambda: signing.public_call(endpoint, fields), is_read=True, weight=0)

    async def private(self, endpoint: str, cost: int = READ_COST, **fields: str) -> bytes:
        """Return the reply of a private read; raises `ProviderError`."""
        credentials = self._credentials
        if credentials is None:
            raise Unauthorised(VENUE, "no key is configured")
        nonces = signing.nonces_of(credentials)
        async with nonces.turn:
            return await self._http.call(
                lambda: signing.private_call("GET", endpoint, fields, credentials, str(nonces.next())),
                is_read=True,
                weight=cost,
            )


class Reader:
    """The picture of one key. `unread` names optional parts that could not be read, with the reason."""

    def __init__(self, name: str, client: Client, feed: KeyFeed | None = None) -> None:
        self._name, self._client, self._feed = name, client, feed
        self._picture: Picture | None = None
        self._rules: Mapping[str, Market] = {}
        self._rules_due_s = -inf
        self._unread: dict[str, str] = {}
        self._newest: dict[str, int] = {}
        self._priced_at_s = -inf
        self.prices_old_after_s = 15.0

    @property
    def topics(self) -> frozenset[str]:
        """Return the contracts held: nothing is pushed while there are none."""
        return frozenset() if self._picture is None else frozenset(held.contract for held in self._picture.held)

    def sockets(self) -> Sequence[Subscription[Push]]:
        """Return the one connection that pushes positions, wallets and marks, none where it has no address."""
        return () if self._feed is None else (self._feed.subscription(self.topics),)

    def take(self, push: Push) -> Taken:
        """Bring a push into the picture; one that is older than another of its kind is left out."""
        kind = push.contract if isinstance(push, TickPush) else type(push).__name__
        if self._picture is None or (push.at_ms and push.at_ms < self._newest.get(kind, 0)):
            return Taken.PART
        self._newest[kind] = push.at_ms
        match push:
            case TickPush():
                self._priced_at_s = asyncio.get_running_loop().time()
                self._picture = _with_tick(self._picture, push)
                return Taken.PART
            case WalletPush():
                self._picture = _with_wallets(self._picture, push.wallets)
                return Taken.STATE
            case HeldPush():
                strangers = {held.contract for held in push.held} - self.topics
                self._picture = _with_held(self._picture, push)
                # Only REST tells whether a position is isolated.
                return Taken.NUDGE if strangers else Taken.STATE

    def reading(self, now_ns: int) -> Reading:
        """Return the accounts as of `now_ns`; raises `Unreachable` before the first refresh."""
        if self._picture is None:
            raise Unreachable(VENUE, f"{self._name}: nothing read yet")
        degraded = tuple(f"{what} not read: {why}" for what, why in self._unread.items())
        found = accounts(self._name, replace(self._picture, degraded=degraded))
        return Reading(self._name, found, now_ns, degraded=degraded, marks=marks(found, now_ns))

    async def refresh(self, *, everything: bool = False) -> None:
        """Read what is due; positions and wallets must succeed, what else fails is named. Raises `ProviderError`."""
        held = parse_positions(await self._client.private("openpositions"))
        wallets = parse_accounts(await self._client.private("accounts"))
        now_s = asyncio.get_running_loop().time()
        if everything or now_s >= self._rules_due_s:
            self._rules_due_s = now_s + await self._read_rules()
        prices = await self._prices()
        old = self._picture or Picture()
        told = {each.contract: each for each in old.held}
        self._picture = Picture(
            tuple(_completed(each, told.get(each.contract)) for each in held),
            wallets,
            {name: _joined(self._rules.get(name, Market()), prices, name, old) for name in {*self._rules, *prices}},
            old.share,
            old.shares,
        )
        self._picture = _reckoned(self._picture)

    async def _read_rules(self) -> float:
        try:
            self._rules = parse_instruments(await self._client.public("instruments"))
        except (Refused, Malformed, Unreachable) as error:
            self._unread["margin levels"] = error.detail
            return _RETRY_S
        self._unread.pop("margin levels", None)
        return _RULES_S

    async def _prices(self) -> Mapping[str, Market]:
        """Return the prices of all contracts; those known when they cannot be read, for as long as they may be used."""
        now_s = asyncio.get_running_loop().time()
        try:
            found = parse_tickers(await self._client.public("tickers"))
        except (Refused, Malformed, Unreachable) as error:
            self._unread["prices"] = error.detail
            is_old = now_s - self._priced_at_s > self.prices_old_after_s
            return {} if self._picture is None or is_old else self._picture.markets
        self._unread.pop("prices", None)
        self._priced_at_s = now_s
        return found


def _reckoned(picture: Picture) -> Picture:
    """Return the picture with wallets that the venue reckoned at the present marks."""
    now = {each.contract: mark for each in picture.held if (mark := picture.mark(each)) is not None}
    return replace(picture, reckoned=now)


def _completed(held: Held, told: Held | None) -> Held:
    """Return a position of REST, which tells no margins, with those that a feed told of the same size and entry."""
    if told is None or told.size != held.size:
        return held
    return replace(
        held,
        liquidation_price=told.liquidation_price,
        initial_margin=told.initial_margin,
        maintenance_margin=told.maintenance_margin,
    )


def _joined(rules: Market, prices: Mapping[str, Market], name: str, old: Picture) -> Market:
    """Return rules and prices of one contract; funding of the feed stays where REST has none."""
    price, before = prices.get(name, Market()), old.market(name)
    funding = before if price.funding_rate is None else price
    return Market(
        rules.tiers,
        rules.tick,
        rules.step,
        price.mark_price,
        price.index_price,
        funding.funding_rate,
        funding.predicted_funding_rate,
        before.next_funding_ns,
        price.is_suspended,
    )


def _with_tick(picture: Picture, push: TickPush) -> Picture:
    old, new = picture.market(push.contract), push.market
    joined = replace(
        old,
        mark_price=new.mark_price or old.mark_price,
        index_price=new.index_price or old.index_price,
        funding_rate=old.funding_rate if new.funding_rate is None else new.funding_rate,
        predicted_funding_rate=new.predicted_funding_rate
        if new.predicted_funding_rate is not None
        else old.predicted_funding_rate,
        next_funding_ns=new.next_funding_ns or old.next_funding_ns,
        is_suspended=new.is_suspended,
    )
    return replace(picture, markets={**picture.markets, push.contract: joined})


def _with_held(picture: Picture, push: HeldPush) -> Picture:
    """Return the picture with all positions of a feed; whether they are isolated stays as REST told it."""
    limits = {each.contract: each.leverage for each in picture.held}
    held = tuple(replace(each, leverage=limits.get(each.contract)) for each in push.held)
    markets = dict(picture.markets)
    for each in push.held:
        if each.mark_price is not None:
            markets[each.contract] = replace(picture.market(each.contract), mark_price=each.mark_price)
    return replace(picture, held=held, markets=markets)


def _with_wallets(picture: Picture, new: Wallets) -> Picture:
    old = picture.wallets
    singles = {each.name: each for each in old.singles}
    for each in new.singles:
        known = singles.get(each.name)
        if known is not None:
            singles[each.name] = replace(known, purse=_newer(known.purse, each.purse))
        elif each.purse.equity:
            singles[each.name] = each
    share, shares = picture.share, picture.shares
    flex = old.flex
    if new.flex is not None:
        flex = _newer(old.flex or Purse(), new.flex)
        shares = {name: wallet for name, purse in new.isolated.items() if (wallet := _own(purse)) is not None}
        whole, cross = _own(new.flex), None if new.cross is None else _own(new.cross)
        share = whole - cross if whole is not None and cross is not None else None
    wallets = Wallets(flex, new.coins or old.coins, tuple(singles.values()), {**old.cash, **new.cash})
    return _reckoned(replace(picture, wallets=wallets, share=share, shares=shares))


def _newer(old: Purse, new: Purse) -> Purse:
    """Return a wallet after a push; what the push does not tell stays."""
    return Purse(
        *(
            getattr(new, name) if getattr(new, name) is not None else getattr(old, name)
            for name in ("equity", "profit", "initial", "initial_with_orders", "maintenance", "gross")
        )
    )


def _own(purse: Purse) -> Decimal | None:
    return None if purse.equity is None or purse.profit is None else purse.equity - purse.profit
