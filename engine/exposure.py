"""Net exposure per asset over all accounts, and the hedges between them: what one account gains when another loses.

A hedge that stands in another account does not protect an account from its own liquidation: the loss is realised here
before the gain can be moved from there. Values are in US dollars at each account's own trigger prices.
"""

from collections.abc import Mapping, Sequence
from dataclasses import field
from decimal import Decimal

from engine.accounts import Account, Kind
from engine.assessment import Assessment
from engine.prices import AssetPrice
from engine.record import record
from engine.solvency import ZERO, trigger_prices
from engine.totals import dollars
from engine.triggers import coin_price, position_price

ONLY_ELSEWHERE = "a hedge in another account does not protect an account from its own liquidation"


@record
class AssetExposure:
    """One asset's signed value by account, in US dollars: longs and collateral +, shorts and debt -."""

    asset: str
    by_account: Mapping[str, Decimal]

    @property
    def long(self) -> Decimal:
        """Return what the accounts that are net long hold, at least 0."""
        return sum((value for value in self.by_account.values() if value > 0), ZERO)

    @property
    def short(self) -> Decimal:
        """Return what the accounts that are net short owe, at most 0."""
        return sum((value for value in self.by_account.values() if value < 0), ZERO)

    @property
    def net(self) -> Decimal:
        """Return the sum of all accounts."""
        return self.long + self.short

    @property
    def hedged(self) -> Decimal:
        """Return the value that is long in one account and short in another."""
        return min(self.long, -self.short)


@record
class Exposure:
    """All assets, the largest gross value first. `left_out` says by account why it is not counted."""

    assets: tuple[AssetExposure, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def exposure(assessed: Sequence[tuple[Account, Assessment]], prices: Mapping[str, AssetPrice]) -> Exposure:
    """Return the exposure of all accounts that can be valued, and the others by name with the reason."""
    found: dict[str, dict[str, Decimal]] = {}
    left_out: dict[str, str] = {}
    for account, _ in assessed:
        known, lacking = trigger_prices(account, prices)
        rate = dollars(account.quote, prices)
        why = next(iter(lacking.values()), "") if rate is not None else f"no price of {account.quote}"
        if why or rate is None:
            left_out[account.name] = why
            continue
        for asset, value in _values(account, known).items():
            if value:
                found.setdefault(asset, {})[account.name] = value * rate
    assets = [AssetExposure(asset, by_account) for asset, by_account in found.items()]
    assets.sort(key=lambda one: (one.short - one.long, one.asset))
    return Exposure(tuple(assets), left_out)


def _values(account: Account, known: Mapping[str, Decimal]) -> dict[str, Decimal]:
    values: dict[str, Decimal] = {}
    coins = [(leg.asset, leg.amount) for leg in account.collateral]
    for asset, amount in (*coins, *((leg.asset, -leg.amount) for leg in account.debt)):
        if asset != account.quote or account.kind is Kind.LOAN:
            values[asset] = values.get(asset, ZERO) + amount * coin_price(account, asset, known)
    for position in account.positions:
        value = position.quantity * position_price(account, position, known)
        values[position.asset] = values.get(position.asset, ZERO) + value
    return values
