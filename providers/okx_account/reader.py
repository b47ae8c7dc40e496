"""What we know of one OKX trading account, read by REST; prices and the word that something changed are pushed."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from urllib.parse import urlencode

from providers.errors import Unreachable
from providers.following import Taken
from providers.okx_account.accounts import Picture, accounts
from providers.okx_account.markets import (
    Contract,
    Price,
    parse_contract,
    parse_fee,
    parse_interest,
    parse_price,
    parse_rates,
)
from providers.okx_account.positions import marks, rates_key
from providers.okx_account.signing import VENUE
from providers.okx_account.watch import Changed, Push, UserFeed
from providers.okx_account.wire import Held, parse_balance, parse_config, parse_positions
from providers.optional_reads import OptionalReads
from providers.ports import Reading
from providers.signed_reads import SignedReads, together
from providers.ws import Subscription

# What changes by the owner's own doing, by the hour, and by the venue's announcement.
_CONFIG_S, _PRICES_S, _RULES_S = 60.0, 60.0, 3600.0
_COMPUTED = frozenset({"SWAP", "FUTURES"})
_PRIVATE = "account"
_AT_ONCE = 6


class Reader:
    """The picture of one account. `unread` names parts that could not be read, with the reason."""

    def __init__(
        self, name: str, reads: SignedReads, feed: UserFeed | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        self._name, self._reads, self._feed = name, reads, feed
        self._headers = headers or {}
        self._picture: Picture | None = None
        self._parts = OptionalReads(_AT_ONCE)

    @property
    def topics(self) -> frozenset[str]:
        """Return the account itself and every contract held that has a mark of its own."""
        held = () if self._picture is None else self._picture.held
        return frozenset((_PRIVATE, *(each.contract for each in held if each.kind in _COMPUTED)))

    def sockets(self) -> Sequence[Subscription[Push]]:
        """Return the private connection, and one for the prices of what is held."""
        if self._feed is None:
            return ()
        contracts = self.topics - {_PRIVATE}
        public = (self._feed.public(contracts),) if contracts else ()
        return (self._feed.private(self._reads), *public)

    def take(self, push: Push) -> Taken:
        """Bring a pushed price into the picture; the word that the account changed makes it be read at once.

        Positions and balance are pushed apart: only a reading of both is whole.
        """
        picture = self._picture
        if isinstance(push, Changed) or picture is None:
            return Taken.NUDGE
        prices = {**picture.prices, push.contract: push.over(picture.prices.get(push.contract))}
        self._picture = replace(picture, prices=prices)
        return Taken.PART

    def reading(self, now_ns: int) -> Reading:
        """Return the accounts as of `now_ns`; raises `Unreachable` before the first refresh."""
        if self._picture is None:
            raise Unreachable(VENUE, f"{self._name}: nothing read yet")
        degraded = self._parts.degraded()
        found = accounts(self._name, replace(self._picture, degraded=degraded))
        return Reading(
            self._name, found, now_ns, degraded=degraded, marks=marks(found, now_ns), warnings=tuple(self._warnings())
        )

    async def refresh(self, *, everything: bool = False) -> None:
        """Read what is due; configuration, balance and positions must succeed. Raises `ProviderError`."""
        if everything:
            self._parts.make_all_due()
        old = self._picture
        config = None if old is None else old.config
        if config is None or self._parts.is_due("config", _CONFIG_S):
            config = parse_config(await self._read("/api/v5/account/config"))
        balance, positions = await together(
            self._read("/api/v5/account/balance"), self._read("/api/v5/account/positions")
        )
        base = Picture(config, parse_balance(balance)) if old is None else old
        self._picture = replace(
            base,
            config=config,
            balance=parse_balance(balance),
            held=parse_positions(positions),
            # Marks of the rows just read are newer than what was pushed before.
            prices={name: replace(price, mark_price=None) for name, price in base.prices.items()},
            read_at_ns=self._reads.clock.now_ns(),
        )
        await self._read_rules(self._picture)

    async def _read_rules(self, picture: Picture) -> None:
        """Read what the account's figures need of contracts and currencies, where it is new or due."""
        if any(coin.backing < 0 for coin in picture.balance.coins) and self._parts.is_due("interest", _RULES_S):
            interest = await self._parts.read("borrow rates", self._interest(), "interest")
            if interest is not None:
                self._keep(interest=interest)
        held = {rates_key(each): each for each in picture.held if each.kind in _COMPUTED}
        await together(*(self._read_market(each) for each in held.values()))

    async def _read_market(self, held: Held) -> None:
        name, due = held.contract, f"contract {rates_key(held)}"
        if self._parts.is_due(due, _RULES_S):
            contract = await self._parts.read(f"contract {name}", self._contract(held), due)
            if contract is not None:
                self._keep(contracts={**self._now.contracts, name: contract})
                rates = await self._parts.read(f"position tiers of {name}", self._rates(held, contract), due)
                if rates is not None:
                    self._keep(rates={**self._now.rates, rates_key(held): rates})
                fee = await self._parts.read(f"fee rate of {name}", self._fee(contract), due)
                if fee is not None:
                    self._keep(fees={**self._now.fees, name: fee})
        if held.kind == "SWAP" and self._parts.is_due(f"price {name}", _PRICES_S):
            price = await self._parts.read(f"funding of {name}", self._funding(name), f"price {name}")
            if price is not None:
                self._keep(prices={**self._now.prices, name: price.over(self._now.prices.get(name))})

    @property
    def _now(self) -> Picture:
        assert self._picture is not None
        return self._picture

    def _keep(self, **parts: object) -> None:
        self._picture = replace(self._now, **parts)  # type: ignore[arg-type]  # each is a field, by its name

    def _warnings(self) -> list[str]:
        found = []
        if self._picture is not None and "withdraw" in self._picture.config.permissions:
            hint = self._reads.credentials.hint
            found.append(f"the {hint} may withdraw: no rescue needs that right, take it away at the venue")
        complaint = self._reads.clock.complaint()
        return [*found, complaint] if complaint else found

    async def _contract(self, held: Held) -> Contract:
        raw = await self._public("/api/v5/public/instruments", instType=held.kind, instId=held.contract)
        return parse_contract(raw, held.contract)

    async def _rates(self, held: Held, contract: Contract) -> object:
        mode = "isolated" if held.is_isolated else "cross"
        raw = await self._public(
            "/api/v5/public/position-tiers", instType=contract.kind, tdMode=mode, instFamily=contract.family
        )
        return parse_rates(raw)

    async def _fee(self, contract: Contract) -> object:
        raw = await self._read("/api/v5/account/trade-fee", instType=contract.kind, instFamily=contract.family)
        return parse_fee(raw, contract)

    async def _funding(self, name: str) -> Price | None:
        return parse_price(await self._public("/api/v5/public/funding-rate", instId=name), name)

    async def _interest(self) -> object:
        return parse_interest(await self._read("/api/v5/account/interest-rate"))

    async def _read(self, path: str, **query: str) -> bytes:
        return await self._reads.read(path, urlencode(query))

    async def _public(self, path: str, **query: str) -> bytes:
        return await self._reads.http.get(path, params=query, headers=self._headers)
