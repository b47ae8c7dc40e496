"""What we know of one Deribit login, kept up to date by REST, and by pushes that somebody else receives."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import inf

from providers.credentials import Credentials
from providers.deribit import signing
from providers.deribit.book import accounts, marks
from providers.deribit.legs import DOLLARS, Picture, at_marks
from providers.deribit.signing import COST, READ_SCOPES, VENUE, allows
from providers.deribit.watch import Changed, LoginFeed, Push, merged
from providers.deribit.wire import (
    Held,
    Kind,
    Login,
    Summary,
    Tick,
    parse_index,
    parse_positions,
    parse_summaries,
    parse_summary,
    parse_ticker,
    parse_time_ms,
)
from providers.errors import Malformed, ProviderError, Refused, Unauthorised, Unreachable
from providers.following import Taken
from providers.http import Call, HttpTransport
from providers.optional_reads import OptionalReads
from providers.ports import Reading
from providers.venue_clock import MS_NS, VenueClock
from providers.ws import Subscription

_CLOCK_S, _SCOPES_S, _FUNDING_S, _INDEX_S, _RETRY_S = 600.0, 600.0, 60.0, 5.0, 30.0
# Asked one by one where the venue cannot summarise all currencies at once.
_CURRENCIES = ("BTC", "ETH", "USDC", "USDT")


class Client:
    """Signed and public requests to one host, with the venue's time. The key is looked up when first needed."""

    def __init__(
        self,
        http: HttpTransport,
        credentials: Credentials | None,
        venue_clock: VenueClock,
        clock: Callable[[], int] = time.time_ns,
    ) -> None:
        self._http, self._credentials = http, credentials
        self.venue_clock, self._clock = venue_clock, clock
        self._clock_due_s = -inf

    async def public(self, method: str, weight: int = COST, **params: str) -> bytes:
        """Return the reply of a public method; raises `ProviderError`."""
        return await self._http.call(lambda: signing.public_call(method, params), is_read=True, weight=weight)

    async def private(self, method: str, **params: str) -> bytes:
        """Return the reply of a private method that only reads; raises `ProviderError`.

        The clock is measured anew after a refused signature, which may be all that is wrong, and then asked once more.
        """
        await self.measure()
        try:
            return await self._http.call(lambda: self._signed(method, params), is_read=True, weight=COST)
        except Unauthorised as error:
            before_s = self.venue_clock.ahead_s
            self.venue_clock.forget()
            await self.measure(now=True)
            if abs(self.venue_clock.ahead_s - before_s) < 1:
                raise Unauthorised(VENUE, self._explained(error), error.status) from error
        return await self._http.call(lambda: self._signed(method, params), is_read=True, weight=COST)

    async def measure(self, *, now: bool = False) -> None:
        """Learn the venue's time when that is due; a failure leaves the last estimate."""
        now_s = asyncio.get_running_loop().time()
        if not now and now_s < self._clock_due_s:
            return
        self._clock_due_s = now_s + _CLOCK_S
        sent_ns = self._clock()
        try:
            venue_ms = parse_time_ms(await self.public("public/get_time"))
        except (Refused, Unreachable, Malformed):
            self._clock_due_s = now_s + _RETRY_S
            return
        self.venue_clock.learn(venue_ms * MS_NS, sent_ns, self._clock())

    async def scopes(self) -> frozenset[str]:
        """Return what the key may do, from a log-in that is used for nothing else; raises `ProviderError`."""
        await self.measure()

        def make() -> Call:
            wanted = signing.log_in(self._held(), self.venue_clock.now_ms(), signing.new_nonce())
            body = signing.request(1, "public/auth", wanted).encode()
            return Call("POST", signing.path_of("public/auth"), content=body)

        return signing.scopes_of(await self._http.call(make, is_read=True, weight=COST))

    def _signed(self, method: str, params: Mapping[str, str]) -> Call:
        return signing.private_call(method, params, self._held(), self.venue_clock.now_ms(), signing.new_nonce())

    def _held(self) -> Credentials:
        if self._credentials is None:
            raise Unauthorised(VENUE, "no key is configured")
        return self._credentials

    def _explained(self, error: Unauthorised) -> str:
        complaint = self.venue_clock.complaint()
        return f"{error.detail}; {complaint}" if complaint else error.detail


class Reader:
    """The picture of one login. `unread` names optional parts that could not be read, with the reason."""

    def __init__(self, name: str, client: Client, credentials: Credentials, feed: LoginFeed | None = None) -> None:
        self._name, self._client, self._credentials, self._feed = name, client, credentials, feed
        self._picture: Picture | None = None
        self._has_summaries = True
        self._scopes: frozenset[str] | None = None
        self._scopes_due_s = self._funding_due_s = self._index_due_s = -inf
        self._parts = OptionalReads()

    @property
    def topics(self) -> frozenset[str]:
        """Return the contracts held: nothing is pushed while there is no position."""
        return frozenset() if self._picture is None else frozenset(held.contract for held in self._picture.held)

    def sockets(self) -> Sequence[Subscription[Push]]:
        """Return the one connection that pushes balances and marks, none where it has no address."""
        held = () if self._picture is None else self._picture.held
        futures = frozenset(each.contract for each in held if each.kind is Kind.FUTURE)
        return () if self._feed is None else (self._feed.subscription(futures),)

    def take(self, push: Push) -> Taken:
        """Bring a pushed balance or price into the picture; a trade only says that a reading is due."""
        if self._picture is None or isinstance(push, Changed):
            return Taken.NUDGE
        if isinstance(push, Tick):
            old = self._picture.ticks.get(push.contract)
            if push.funding_rate is None and old is not None:
                push = replace(push, funding_rate=old.funding_rate)
            self._picture = replace(self._picture, ticks={**self._picture.ticks, push.contract: push})
            return Taken.PART
        if self._picture.model.is_cross:
            # Its totals are of all currencies at once: only a whole reading tells them at one moment.
            return Taken.NUDGE
        summaries = {**self._picture.summaries, push.currency: merged(self._picture.summaries, push)}
        self._picture = at_marks(replace(self._picture, summaries=summaries), push.currency)
        return Taken.STATE

    def reading(self, now_ns: int) -> Reading:
        """Return the accounts as of `now_ns`; raises `Unreachable` before the first refresh."""
        if self._picture is None:
            raise Unreachable(VENUE, f"{self._name}: nothing read yet")
        degraded = self._parts.degraded()
        found = accounts(self._name, replace(self._picture, degraded=degraded))
        warnings = tuple(text for text in (self._client.venue_clock.complaint(), *self._key_warnings()) if text)
        return Reading(self._name, found, now_ns, degraded=degraded, marks=marks(found, now_ns), warnings=warnings)

    async def refresh(self, *, everything: bool = False) -> None:
        """Read what is due; positions and balances must succeed, what else fails is named. Raises `ProviderError`."""
        now_s = asyncio.get_running_loop().time()
        if everything or now_s >= self._scopes_due_s:
            self._scopes_due_s = now_s + await self._read_scopes()
        held, login = await self._positions(), await self._login()
        old = self._picture or Picture({})
        summaries = {each.currency: each for each in login.summaries}
        # What was pushed is older than this reading, and a contract may have been closed meanwhile.
        ticks = {one.contract: old.ticks[one.contract] for one in held if one.contract in old.ticks}
        ticks |= {
            one.contract: replace(ticks[one.contract], mark_price=one.mark_price, index_price=one.index_price)
            for one in held
            if one.contract in ticks and one.mark_price is not None
        }
        indexes = {**old.indexes, **{one.name.coin: one.index_price for one in held if one.index_price is not None}}
        self._picture = Picture(summaries, held, ticks, indexes)
        perpetuals = [one.contract for one in held if one.name.is_perpetual]
        if everything or now_s >= self._funding_due_s or not {*perpetuals} <= {*ticks}:
            self._funding_due_s = now_s + _FUNDING_S
            for contract in perpetuals:
                await self._read_ticker(contract)
        if everything or now_s >= self._index_due_s:
            self._index_due_s = now_s + _INDEX_S
            for currency in self._unpriced(summaries):
                await self._read_index(currency)

    async def _read_scopes(self) -> float:
        """Learn what the key may do; return the seconds until it is asked again. Raises `Unauthorised`."""
        try:
            self._scopes = await self._client.scopes()
        except (Refused, Unreachable, Malformed):
            return _RETRY_S  # the requests themselves will tell what is wrong
        missing = [scope for scope in READ_SCOPES if not allows(self._scopes, scope)]
        if missing:
            raise Unauthorised(VENUE, f"{self._credentials.hint} lacks the scope {' and '.join(missing)}")
        return _SCOPES_S

    def _unpriced(self, summaries: Mapping[str, Summary]) -> Sequence[str]:
        """Return the currencies that are held, and whose price no position tells."""
        told = {one.name.coin for one in (self._picture.held if self._picture else ()) if one.index_price is not None}
        return [
            currency
            for currency, each in summaries.items()
            if not each.is_empty and currency not in told and (each.model.is_cross or currency not in DOLLARS)
        ]

    async def _positions(self) -> tuple[Held, ...]:
        return parse_positions(await self._client.private("private/get_positions", currency="any"))

    async def _login(self) -> Login:
        if self._has_summaries:
            try:
                raw = await self._client.private("private/get_account_summaries", extended="true")
                return parse_summaries(raw)
            except Refused as error:
                if isinstance(error, Unauthorised) or not signing.is_unknown_method(error):
                    raise
                self._has_summaries = False
        found = [await self._summary(currency) for currency in _CURRENCIES]
        return Login(tuple(each for login in found for each in login.summaries), found[0].user_id)

    async def _summary(self, currency: str) -> Login:
        return parse_summary(
            await self._client.private("private/get_account_summary", currency=currency, extended="true")
        )

    async def _read_ticker(self, contract: str) -> None:
        tick = await self._parts.read(f"funding of {contract}", self._ticker(contract))
        if tick is not None and self._picture is not None:
            self._picture = replace(self._picture, ticks={**self._picture.ticks, contract: tick})

    async def _ticker(self, contract: str) -> Tick:
        return parse_ticker(await self._client.public("public/ticker", instrument_name=contract))

    async def _read_index(self, currency: str) -> None:
        try:
            raw = await self._client.public("public/get_index_price", index_name=f"{currency.lower()}_usd")
            price = parse_index(raw)
        except ProviderError as error:
            if currency not in DOLLARS:
                self._parts.missing(f"price of {currency}", error.detail)
            return
        self._parts.has(f"price of {currency}")
        if self._picture is not None:
            self._picture = replace(self._picture, indexes={**self._picture.indexes, currency: price})

    def _key_warnings(self) -> tuple[str, ...]:
        if self._scopes is not None and allows(self._scopes, signing.MOVE_SCOPE):
            return (
                f"{self._credentials.hint} has {signing.MOVE_SCOPE}, which also allows withdrawals to the address book",
            )
        return ()
