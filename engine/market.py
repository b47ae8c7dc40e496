"""The market side of an assessment: health at the venues' consensus and after the next oracle print.

It runs on every market tick, so it takes a consensus already made and touches nothing but the account's own legs.
"""

from collections.abc import Mapping
from dataclasses import field
from decimal import Context, Decimal

from engine.accounts import Account, Kind
from engine.assessment import MarketHealth, NextOracleHealth, OracleUpdate
from engine.oracle import divergence_bps, market_price, next_print
from engine.prices import AssetPrice, Consensus, OraclePrice
from engine.record import record
from engine.solvency import Solvency, gap, oracle_of, solvency_of, trigger_prices

WIDE = Context(prec=120)
WAD = 18


@record
class MarketSide:
    """`at_market` and `at_next_oracle` of an assessment; where one is `None` for want of input, `missing` says why."""

    at_market: MarketHealth | None
    at_next_oracle: NextOracleHealth | None
    missing: Mapping[str, str] = field(default_factory=dict)


@record
class Ground:
    """What one account rests on whatever the market does; made once per reading and set of oracles.

    `oracles` price the assets of `account` (`None`: nobody does), `triggers` are the prices that liquidate it. Without
    a `solvency`, `why` says what it lacks.
    """

    account: Account
    oracles: Mapping[str, OraclePrice | None]
    solvency: Solvency | None
    triggers: Mapping[str, Decimal]
    why: str = ""

    def holds(self, account: Account, prices: Mapping[str, AssetPrice]) -> bool:
        """Return whether it would be the same if it were made again."""
        return self.account is account and all(
            oracle_of(account, asset, prices) is oracle for asset, oracle in self.oracles.items()
        )


def ground_of(account: Account, prices: Mapping[str, AssetPrice]) -> Ground:
    """Return what `account` rests on; raises what its figures break in the arithmetic."""
    oracles = {asset: oracle_of(account, asset, prices) for asset in account.assets}
    known, lacking = trigger_prices(account, prices)
    why = gap(account)
    if why:
        return Ground(account, oracles, None, {}, why)
    solvency = solvency_of(account, known)
    why = next((lacking[each.asset] for each in solvency.exposures if each.asset in lacking), "")
    if why:
        return Ground(account, oracles, None, {}, why)
    return Ground(account, oracles, solvency, {each.asset: known[each.asset] for each in solvency.exposures})


def market_side(
    account: Account,
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
    ground: Ground | None = None,
) -> MarketSide:
    """Return what the venues say of `account`; the next print is told of loans only, others follow a mark.

    `ground`, where it is known and holds, spares making it again.
    """
    on = ground or ground_of(account, prices)
    if on.solvency is None:
        fields = ("at_market", "at_next_oracle") if account.kind is Kind.LOAN else ("at_market",)
        return MarketSide(None, None, dict.fromkeys(fields, on.why))
    missing: dict[str, str] = {}
    at_market = _at_market(on, on.solvency, prices, consensus_of, missing)
    if account.kind is not Kind.LOAN:
        return MarketSide(at_market, None, missing)
    return MarketSide(at_market, _at_next_oracle(on, on.solvency, prices, consensus_of, missing), missing)


def next_oracle(
    account: Account,
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
    ground: Ground | None = None,
) -> NextOracleHealth | None:
    """Return `at_next_oracle` alone, as `market_side` tells it of a loan; `None` for want of input."""
    on = ground or ground_of(account, prices)
    return None if on.solvency is None else _at_next_oracle(on, on.solvency, prices, consensus_of, {})


def _at_market(
    on: Ground,
    solvency: Solvency,
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
    missing: dict[str, str],
) -> MarketHealth | None:
    moved: dict[str, Decimal] = {}
    divergence: dict[str, Decimal] = {}
    assumed: tuple[str, ...] = ()
    for asset, trigger in on.triggers.items():
        market = market_price(asset, trigger, on.oracles.get(asset), prices, consensus_of)
        if market.price is None:
            missing["at_market"] = market.reason
            return None
        moved[asset] = market.price
        if market.assumed:
            assumed += market.assumed
        if asset not in market.assumed:
            divergence[asset] = divergence_bps(market.price, trigger)
    return MarketHealth(health_at(on.account, solvency, on.triggers, moved), divergence, tuple(dict.fromkeys(assumed)))


def _at_next_oracle(
    on: Ground,
    solvency: Solvency,
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
    missing: dict[str, str],
) -> NextOracleHealth | None:
    updates: dict[str, OracleUpdate] = {}
    printed_at: dict[str, Decimal] = {}
    for asset in on.triggers:
        oracle = on.oracles.get(asset)
        if oracle is None:
            continue
        printed = next_print(asset, oracle, prices, consensus_of)
        if printed.price is None:
            missing["at_next_oracle"] = printed.reason
            return None
        if printed.due is not None:
            updates[asset] = OracleUpdate(printed.due, printed.price)
            printed_at[asset] = printed.price
    return NextOracleHealth(health_at(on.account, solvency, on.triggers, printed_at), updates)


def health_at(
    account: Account, solvency: Solvency, triggers: Mapping[str, Decimal], moved: Mapping[str, Decimal]
) -> Decimal | None:
    """Return the health factor with `moved` prices, others at `triggers`; `None` when nothing is owed.

    The protocol's own integer arithmetic answers where it is known, the plain formula elsewhere.
    """
    if account.ledger is None:
        return solvency.health_factor({**triggers, **moved})
    wad = account.ledger.health_factor_wad(moved)
    return None if wad is None else WIDE.scaleb(Decimal(wad), -WAD)
