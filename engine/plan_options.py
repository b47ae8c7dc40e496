"""One lever and one amount as an option of a plan: what it changes, what it costs, whether it would work now."""

from collections.abc import Mapping
from decimal import Decimal

from engine.accounts import Account, MarginMode
from engine.liquidation import liquidation_points
from engine.oracle import market_price
from engine.plan_case import WIDE, Case, Lever, after, deleveraged, health, solvency
from engine.plan_checks import (
    Caps,
    cap_blockers,
    facility_blockers,
    gas_blockers,
    limits,
    steps,
)
from engine.plan_levers import usd_rate
from engine.rescue import HealthPath, Means, Option, Standing, Tariff
from engine.solvency import ZERO, oracle_of

FURTHER_FALL = Decimal("0.9")


def option(
    case: Case,
    lever: Lever,
    units: int,
    before: Decimal | None,
    standing: Standing | None,
    caps: Caps | None,
    common: tuple[str, ...],
    *,
    is_full_close: bool = False,
) -> Option:
    """Return the option that moves `units` of `lever`; health after is told at the time of landing.

    `common` are reasons that stop every option. `value_usd` is what leaves the wallet, or what is sold.
    """
    account = after(case, lever, units, case.landing_s)
    amount, rate = lever.tokens(units), usd_rate(case.account, case.prices)
    value_usd = None if rate is None else WIDE.multiply(lever.value(units), rate)
    blockers = [
        *common,
        *facility_blockers(case, lever),
        *limits(case, lever, amount, standing),
        *cap_blockers(lever, caps, value_usd),
    ]
    if standing is not None:
        blockers += gas_blockers(lever, amount, standing)
    tariff = Tariff() if standing is None else standing.tariffs.get(lever.means, Tariff())
    repaid = deleveraged(case, lever, units) if lever.means is Means.DELEVERAGE else ZERO
    return Option(
        means=lever.means,
        asset=lever.asset,
        amount=amount,
        source=_source(lever),
        cost_usd=_cost_usd(lever, tariff, value_usd),
        health=path(case, account, before),
        time_to_land_s=tariff.time_to_land_s,
        steps=steps(lever, amount, case.account, is_full_close=is_full_close, repaid=repaid),
        blockers=tuple(dict.fromkeys(blockers)),
        value_usd=value_usd,
        amount_units=units if lever.means in (Means.SUPPLY, Means.REPAY, Means.DELEVERAGE) else None,
        is_full_close=is_full_close,
        funds=lever.funds,
        facility=lever.facility,
        distance_after=None if case.account.mode is MarginMode.PORTFOLIO else nearest_distance(case, account),
    )


def path(case: Case, account: Account, before: Decimal | None) -> HealthPath:
    """Return the health factors around `account`, the state after a rescue.

    After is at trigger prices; then with every price at market; then with every asset that is not stable 10 % lower.
    """
    triggers = case.triggers
    lower = {asset: price * FURTHER_FALL for asset, price in triggers.items() if asset not in case.stable}
    moved = _market_prices(case, account)
    return HealthPath(
        before,
        health(account, triggers, {}),
        None if moved is None else health(account, triggers, moved),
        health(account, triggers, lower),
    )


def nearest_distance(case: Case, account: Account) -> Decimal | None:
    """Return the distance to the nearest liquidation of one asset that is not stable, `None` when there is none."""
    points = liquidation_points(solvency(case, account), case.triggers)
    found = {asset: point.distance for asset, point in points.items() if point.distance is not None}
    moving = [distance for asset, distance in found.items() if asset not in case.stable]
    return min(moving or found.values(), default=None)


def _market_prices(case: Case, account: Account) -> Mapping[str, Decimal] | None:
    moved: dict[str, Decimal] = {}
    for exposure in solvency(case, account).exposures:
        asset = exposure.asset
        oracle = oracle_of(account, asset, case.prices)
        market = market_price(asset, case.triggers[asset], oracle, case.prices, case.consensus_of)
        if market.price is None:
            return None
        moved[asset] = market.price
    return moved


def _source(lever: Lever) -> str:
    match lever.means:
        case Means.DELEVERAGE | Means.REDUCE:
            return "the account itself"
        case _:
            return "" if lever.funds is None else lever.funds.source


def _cost_usd(lever: Lever, tariff: Tariff, value_usd: Decimal | None) -> Decimal | None:
    """Return fees plus what selling loses; fees that nobody told count for nothing beside a known loss of a sale."""
    if lever.means in (Means.DELEVERAGE, Means.REDUCE):
        return None if value_usd is None else value_usd * lever.cost + (tariff.cost_usd or ZERO)
    return tariff.cost_usd
