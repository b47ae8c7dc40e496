"""The accounts now held: what each rests on, and its assessment at the market, computed when someone looks.

A market tick changes only what an account is worth at the market. Ten thousand ticks may pass between two looks, so a
snapshot carries prices and trigger-side assessments, and composes the rest on access, once per account and set of
prices. A snapshot that nobody looks at costs no more at 10,000 accounts than at ten.
"""

from collections.abc import Iterator, Mapping
from dataclasses import field
from decimal import Decimal
from operator import is_

from desk.snapshot import AccountState
from engine.accounts import Account
from engine.assess import market_side, with_market
from engine.assessment import Assessment, NextOracleHealth
from engine.market import Ground, ground_of, next_oracle
from engine.prices import AssetPrice, Consensus, OracleLeg, OraclePrice
from engine.record import record, replace

BPS = Decimal(10_000)
Band = tuple[Decimal, Decimal]


@record
class Market:
    """Prices at one moment, as the engine takes them; never changed once a snapshot holds it."""

    prices: Mapping[str, AssetPrice] = field(default_factory=dict)
    agreed: Mapping[str, Consensus] = field(default_factory=dict)


class LiveAccounts(Mapping[str, AccountState]):
    """Accounts by name at the prices of one moment. Immutable: looking only fills a memo that all snapshots share."""

    __slots__ = ("_market", "_memo", "_states")

    def __init__(self, states: Mapping[str, AccountState], market: Market, memo: "Memo") -> None:
        self._states = states
        self._market = market
        self._memo = memo

    def __getitem__(self, name: str) -> AccountState:
        return self._memo.complete(self._states[name], self._market)

    def __iter__(self) -> Iterator[str]:
        return iter(self._states)

    def __len__(self) -> int:
        return len(self._states)

    def __contains__(self, name: object) -> bool:
        return name in self._states

    @property
    def at_triggers(self) -> Mapping[str, AccountState]:
        """Return the accounts without what the market says of them."""
        return self._states


@record
class _Looked:
    """The last look at one account: the state it was composed from, the consensus it followed, the result."""

    state: AccountState
    markets: tuple[str, ...]
    agreed: tuple[Consensus | None, ...]
    whole: AccountState


class Memo:
    """Remembers each account's last complete state, and computes it anew only for other prices or another reading."""

    def __init__(self) -> None:
        self._last: dict[str, _Looked] = {}
        self._grounds: dict[str, Ground] = {}

    def complete(self, state: AccountState, market: Market) -> AccountState:
        """Return `state` with what its account is worth at `market`."""
        last = self._last.get(state.account.name)
        again = last is not None and last.state is state
        markets = last.markets if last is not None and again else markets_of(state.account)
        agreed = tuple(map(market.agreed.get, markets))
        if last is not None and again and all(map(is_, last.agreed, agreed)):
            return last.whole
        whole = replace(state, assessment=self._at_market(state.account, state.assessment, market))
        self._last[state.account.name] = _Looked(state, markets, agreed, whole)
        return whole

    def at_next_oracle(self, account: Account, market: Market) -> NextOracleHealth | None:
        """Return the health after the next oracle print, as `complete` tells it, at a part of its cost."""
        try:
            return next_oracle(account, market.prices, market.agreed, self._ground(account, market))
        except (ValueError, ArithmeticError):
            return None

    def forget(self, name: str) -> None:
        """Drop what is remembered of an account that left."""
        self._last.pop(name, None)
        self._grounds.pop(name, None)

    def _at_market(self, account: Account, judged: Assessment, market: Market) -> Assessment:
        """Return `judged` with its market side; what can't be computed is `None` with the reason under `missing`."""
        try:
            ground = self._ground(account, market)
            return with_market(judged, market_side(account, market.prices, market.agreed, ground))
        except (ValueError, ArithmeticError) as error:
            why = f"cannot be computed: {type(error).__name__}"
            return replace(judged, missing={**judged.missing, "at_market": why, "at_next_oracle": why})

    def _ground(self, account: Account, market: Market) -> Ground:
        known = self._grounds.get(account.name)
        if known is None or not known.holds(account, market.prices):
            known = self._grounds[account.name] = ground_of(account, market.prices)
        return known


def at_triggers(accounts: Mapping[str, AccountState]) -> Mapping[str, AccountState]:
    """Return the accounts without what the market says of them, which costs: those two fields may be `None`.

    It is the same object for as long as no account changed but by the market.
    """
    return accounts.at_triggers if isinstance(accounts, LiveAccounts) else accounts


def markets_of(account: Account) -> tuple[str, ...]:
    """Return every asset whose consensus the account follows: its legs' and those of composite oracles."""
    followed = {leg.asset for oracle in account.oracles.values() for leg in oracle.legs if leg.asset is not None}
    return tuple(sorted(account.assets | followed))


def bands_of(oracles: Mapping[str, OraclePrice]) -> dict[str, Band]:
    """Return, for each market that oracles follow, the consensus between which no print is due by deviation."""
    bands: dict[str, Band] = {}
    for asset, oracle in oracles.items():
        legs = oracle.legs or (OracleLeg(oracle.price, asset, deviation_bps=oracle.deviation_bps),)
        for leg in legs:
            if leg.asset is None or leg.deviation_bps is None:
                continue
            reach = leg.price * leg.deviation_bps / BPS
            low, high = bands.get(leg.asset, (leg.price - reach, leg.price + reach))
            bands[leg.asset] = max(low, leg.price - reach), min(high, leg.price + reach)
    return bands
