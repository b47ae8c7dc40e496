"""What we know of one Bybit unified account, read by REST; prices and the word that something changed are pushed."""

from collections.abc import Sequence
from dataclasses import replace

from providers.bybit_account.accounts import Picture, accounts
from providers.bybit_account.markets import (
    Price,
    parse_borrow_rates,
    parse_contract,
    parse_fee,
    parse_prices,
    parse_tiers,
    parse_weights,
)
from providers.bybit_account.positions import marks
from providers.bybit_account.signing import VENUE, query_of
from providers.bybit_account.watch import Changed, Push, UserFeed
from providers.bybit_account.wire import Held, KeyInfo, parse_key, parse_mode, parse_positions, parse_wallet
from providers.errors import Malformed, Refused, Unauthorised, Unreachable
from providers.following import Taken
from providers.optional_reads import OptionalReads
from providers.ports import Reading
from providers.signed_reads import SignedReads, together
from providers.ws import Subscription

# What changes by the owner's own doing, by the hour, and by the venue's announcement.
_MODE_S, _PRICES_S, _RULES_S = 60.0, 60.0, 3600.0
_SCOPES = (("linear", "USDT"), ("linear", "USDC"), ("inverse", ""))
_MOST_PAGES = 20
_PRIVATE = "account"
# Of the owner's interest, but no figure depends on it (demo trading does not tell).
_RIGHTS = "permissions of the key"
_AT_ONCE = 6


class Reader:
    """The picture of one account. `unread` names parts that could not be read, with the reason."""

    def __init__(self, name: str, reads: SignedReads, feed: UserFeed | None = None) -> None:
        self._name, self._reads, self._feed = name, reads, feed
        self._picture: Picture | None = None
        self._key: KeyInfo | None = None
        self._parts = OptionalReads(_AT_ONCE)

    @property
    def topics(self) -> frozenset[str]:
        """Return the account itself and every contract held, with its category."""
        held = () if self._picture is None else self._picture.held
        return frozenset((_PRIVATE, *(f"{each.category}:{each.symbol}" for each in held)))

    def sockets(self) -> Sequence[Subscription[Push]]:
        """Return the private connection and one for the prices of each category held."""
        if self._feed is None:
            return ()
        by_category: dict[str, set[str]] = {}
        for topic in self.topics - {_PRIVATE}:
            category, _, symbol = topic.partition(":")
            by_category.setdefault(category, set()).add(symbol)
        contracts = {} if self._picture is None else self._picture.contracts
        hours = {symbol: contract.funding_hours for symbol, contract in contracts.items()}
        public = [self._feed.public(category, names, hours) for category, names in sorted(by_category.items())]
        return (self._feed.private(self._reads), *public)

    def take(self, push: Push) -> Taken:
        """Bring a pushed price into the picture; the word that the account changed makes it be read at once.

        What the venue pushes of an account comes in parts (a position now, the wallet later): only a reading is whole.
        """
        picture = self._picture
        if isinstance(push, Changed) or picture is None:
            return Taken.NUDGE
        prices = {**picture.prices, push.symbol: push.over(picture.prices.get(push.symbol))}
        self._picture = replace(picture, prices=prices)
        return Taken.PART

    def reading(self, now_ns: int) -> Reading:
        """Return the accounts as of `now_ns`; raises `Unreachable` before the first refresh."""
        if self._picture is None:
            raise Unreachable(VENUE, f"{self._name}: nothing read yet")
        degraded = self._parts.degraded(_RIGHTS)
        found = accounts(self._name, replace(self._picture, degraded=degraded))
        return Reading(
            self._name, found, now_ns, degraded=degraded, marks=marks(found, now_ns), warnings=tuple(self._warnings())
        )

    async def refresh(self, *, everything: bool = False) -> None:
        """Read what is due; the wallet, the mode and the USDT positions must succeed. Raises `ProviderError`."""
        if everything:
            self._parts.make_all_due()
        old = self._picture
        mode = None if old is None else old.mode
        if mode is None or self._parts.is_due("mode", _MODE_S):
            mode = parse_mode(await self._read("/v5/account/info"))
        if self._parts.is_due("key", _RULES_S):
            self._key = await self._parts.read(_RIGHTS, self._ask_key(), "key")
        pages = await together(*(self._positions(category, settle) for category, settle in _SCOPES))
        held = tuple(each for page in pages for each in page)
        wallet = parse_wallet(await self._read("/v5/account/wallet-balance", accountType="UNIFIED"))
        base = Picture(mode, wallet) if old is None else old
        # Marks of the rows just read are newer than what was pushed before.
        prices = {symbol: replace(price, mark_price=None) for symbol, price in base.prices.items()}
        self._picture = replace(
            base,
            mode=mode,
            wallet=wallet,
            held=held,
            prices=prices,
            read_at_ns=self._reads.clock.now_ns(),
        )
        await self._read_rules(self._picture)

    async def _read_rules(self, picture: Picture) -> None:
        """Read what the account's figures need of markets and coins, where it is new or due."""
        if (picture.held or picture.wallet.coins) and self._parts.is_due("weights", _RULES_S):
            weights = await self._parts.read("collateral ratios", self._weights(), "weights")
            if weights is not None:
                self._keep(weights=weights)
        if any(coin.borrowed or coin.wallet < 0 for coin in picture.wallet.coins) and self._parts.is_due(
            "borrow", _RULES_S
        ):
            rates = await self._parts.read("borrow rates", self._borrow_rates(), "borrow")
            if rates is not None:
                self._keep(borrow_rates=rates)
        contracts = {each.symbol: each for each in picture.held}.values()
        await together(*(self._read_market(each) for each in contracts))

    async def _read_market(self, held: Held) -> None:
        symbol, picture = held.symbol, self._picture
        assert picture is not None
        if self._parts.is_due(f"contract {symbol}", _RULES_S):
            where = {"category": held.category, "symbol": symbol}
            contract = await self._parts.read(f"contract {symbol}", self._contract(where), f"contract {symbol}")
            tiers = await self._parts.read(f"risk limits of {symbol}", self._tiers(where), f"contract {symbol}")
            fee = await self._parts.read(f"fee rate of {symbol}", self._fee(where), f"contract {symbol}")
            picture = self._picture
            assert picture is not None
            if contract is not None:
                self._keep(contracts={**picture.contracts, symbol: contract})
            if tiers is not None:
                self._keep(tiers={**picture.tiers, symbol: tiers})
            if fee is not None:
                self._keep(fees={**picture.fees, symbol: fee})
        if self._parts.is_due(f"price {symbol}", _PRICES_S):
            price = await self._parts.read(f"funding of {symbol}", self._price(held), f"price {symbol}")
            picture = self._picture
            assert picture is not None
            if price is not None:
                self._keep(prices={**picture.prices, symbol: replace(price, mark_price=None)})

    def _keep(self, **parts: object) -> None:
        assert self._picture is not None
        self._picture = replace(self._picture, **parts)  # type: ignore[arg-type]  # each is a field, by its name

    def _warnings(self) -> list[str]:
        found = []
        if _RIGHTS in self._parts.unread:
            found.append(f"{_RIGHTS} not read: {self._parts.unread[_RIGHTS]}")
        if self._key is not None and self._key.may_withdraw:
            hint = self._reads.credentials.hint
            found.append(f"the {hint} may withdraw: no rescue needs that right, take it away at the venue")
        complaint = self._reads.clock.complaint()
        return [*found, complaint] if complaint else found

    async def _positions(self, category: str, settle: str) -> Sequence[Held]:
        """Return the positions of one scope. Some hosts have no inverse or USDC contracts: then it is said so."""
        try:
            found = await self._pages(category, settle)
        except Unauthorised:
            raise
        except (Refused, Malformed) as error:
            if (category, settle) == _SCOPES[0]:
                raise
            self._parts.missing(f"{category} {settle}".strip() + " positions", error.detail)
            return ()
        self._parts.has(f"{category} {settle}".strip() + " positions")
        return found

    async def _pages(self, category: str, settle: str) -> Sequence[Held]:
        found: list[Held] = []
        cursor = ""
        for _ in range(_MOST_PAGES):
            wanted = {"category": category, "settleCoin": settle, "limit": "200", "cursor": cursor}
            raw = await self._read("/v5/position/list", **{key: value for key, value in wanted.items() if value})
            held, cursor = parse_positions(raw, category)
            found += held
            if not cursor or not held:
                return found
        raise Malformed(VENUE, "position list: its pages do not end")

    async def _ask_key(self) -> KeyInfo:
        return parse_key(await self._read("/v5/user/query-api"))

    async def _weights(self) -> object:
        return parse_weights(await self._public("/v5/spot-margin-trade/collateral"))

    async def _borrow_rates(self) -> object:
        return parse_borrow_rates(await self._read("/v5/account/collateral-info"))

    async def _contract(self, where: dict[str, str]) -> object:
        raw = await self._public("/v5/market/instruments-info", **where)
        return parse_contract(raw, where["category"], where["symbol"])

    async def _tiers(self, where: dict[str, str]) -> object:
        return parse_tiers(await self._public("/v5/market/risk-limit", **where), where["symbol"])

    async def _fee(self, where: dict[str, str]) -> object:
        return parse_fee(await self._read("/v5/account/fee-rate", **where), where["symbol"])

    async def _price(self, held: Held) -> Price | None:
        raw = await self._public("/v5/market/tickers", category=held.category, symbol=held.symbol)
        contract = None if self._picture is None else self._picture.contracts.get(held.symbol)
        found = parse_prices(raw, None if contract is None else contract.funding_hours)
        return next((price for price in found if price.symbol == held.symbol), None)

    async def _read(self, path: str, **query: str) -> bytes:
        return await self._reads.read(path, query_of(query))

    async def _public(self, path: str, **query: str) -> bytes:
        return await self._reads.http.get(path, params=query)
