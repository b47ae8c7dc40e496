"""The market side of an assessment: health at the venues' consensus and after the next oracle print.

It runs on every market tick, so it takes a consensus already made and touches nothing but the account's own legs.
"""

from collections.abc import Mapping
from dataclasses import field
from decimal import Context, Decimal

from engine.accounts import Account, Kind
from engine.assessment import MarketHealth, NextOracleHealth, OracleUpdate
from engine.oracle import divergence_bps, market_price, next_print
from engine.prices import AssetPrice, Consensus
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


def market_side(
    account: Account, prices: Mapping[str, AssetPrice], consensus_of: Mapping[str, Consensus]
) -> MarketSide:
    """Return what the venues say of `account`; the next print is told of loans only, others follow a mark."""
    known, lacking = trigger_prices(account, prices)
    why = gap(account)
    solvency = None if why else solvency_of(account, known)
    if solvency is not None:
        why = next((lacking[each.asset] for each in solvency.exposures if each.asset in lacking), "")
    if solvency is None or why:
        fields = ("at_market", "at_next_oracle") if account.kind is Kind.LOAN else ("at_market",)
        return MarketSide(None, None, dict.fromkeys(fields, why))
    triggers = {each.asset: known[each.asset] for each in solvency.exposures}
    missing: dict[str, str] = {}
    at_market = _at_market(account, solvency, triggers, prices, consensus_of, missing)
    if account.kind is not Kind.LOAN:
        return MarketSide(at_market, None, missing)
    return MarketSide(at_market, _at_next_oracle(account, solvency, triggers, prices, consensus_of, missing), missing)


def next_oracle(
    account: Account, prices: Mapping[str, AssetPrice], consensus_of: Mapping[str, Consensus]
) -> NextOracleHealth | None:
    """Return `at_next_oracle` alone, as `market_side` tells it of a loan; `None` for want of input."""
    if gap(account):
        return None
    known, lacking = trigger_prices(account, prices)
    solvency = solvency_of(account, known)
    if any(each.asset in lacking for each in solvency.exposures):
        return None
    triggers = {each.asset: known[each.asset] for each in solvency.exposures}
    return _at_next_oracle(account, solvency, triggers, prices, consensus_of, {})


def _at_market(
    account: Account,
    solvency: Solvency,
    triggers: Mapping[str, Decimal],
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
    missing: dict[str, str],
) -> MarketHealth | None:
    moved: dict[str, Decimal] = {}
    divergence: dict[str, Decimal] = {}
    assumed: tuple[str, ...] = ()
    for asset, trigger in triggers.items():
        market = market_price(asset, trigger, oracle_of(account, asset, prices), prices, consensus_of)
        if market.price is None:
            missing["at_market"] = market.reason
            return None
        moved[asset] = market.price
        if market.assumed:
            assumed += market.assumed
        if asset not in market.assumed:
            divergence[asset] = divergence_bps(market.price, trigger)
    return MarketHealth(health_at(account, solvency, triggers, moved), divergence, tuple(dict.fromkeys(assumed)))


def _at_next_oracle(
    account: Account,
    solvency: Solvency,
    triggers: Mapping[str, Decimal],
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
    missing: dict[str, str],
) -> NextOracleHealth | None:
    updates: dict[str, OracleUpdate] = {}
    printed_at: dict[str, Decimal] = {}
    for asset in triggers:
        oracle = oracle_of(account, asset, prices)
        if oracle is None:
            continue
        printed = next_print(asset, oracle, prices, consensus_of)
        if printed.price is None:
            missing["at_next_oracle"] = printed.reason
            return None
        if printed.due is not None:
            updates[asset] = OracleUpdate(printed.due, printed.price)
            printed_at[asset] = printed.price
    return NextOracleHealth(health_at(account, solvency, triggers, printed_at), updates)


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
