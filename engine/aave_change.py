"""One Aave v3 user after supplying, repaying or withdrawing, per pool revision, to the last scaled unit.

What is moved becomes scaled by the index of its moment: half up to 3.4; from 3.5 on rounded for the pool (mint of
supply and burn of debt down, burn of supply up). Source: SupplyLogic, BorrowLogic and the tokens of aave-v3-core 1.19
and aave-v3-origin 3.1 to 3.7 (TokenMath from 3.5). The rates that the move itself changes stay as they were: supply and
repayment lower the rate of the debt, so what is left out is in the owner's favour.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace

from engine.aave import (
    AaveHolding,
    AaveReserve,
    AaveUser,
    account_data_at,
    debt_balance,
    legs,
    normalized_debt_ray,
    normalized_income_ray,
    supply_balance,
)
from engine.aave_ledger import AaveLedger
from engine.aave_math import RAY, AaveVersion, mul_div_ceil, percent_mul, wad_div

# Up to 3.4 the average threshold is cut to whole basis points. Two minutes of interest move the average by less than
# this fraction, so a figure that survives it survives every second until the rescue lands.
AVERAGE_DRIFT_PPM = 10


def changed_user(
    user: AaveUser,
    *,
    supplied: Mapping[str, int],
    repaid: Mapping[str, int],
    withdrawn: Mapping[str, int],
    later_s: int,
    enabled: Collection[str],
    listed: Collection[AaveReserve],
) -> AaveUser:
    """Return `user` at `later_s` after its block, amounts in smallest units by asset having moved at that moment.

    A repayment beyond what is owed repays all, a withdrawal beyond the balance takes all. A first supply becomes
    collateral as the contract decides; `enabled` names assets whose owner enables them besides. `listed` are reserves
    that the user has nothing in yet. Raises `ValueError` for an asset that is in neither.
    """
    at_s = user.timestamp_s + later_s
    held = {holding.reserve.asset for holding in user.holdings}
    new = tuple(AaveHolding(reserve) for reserve in listed if reserve.asset not in held)
    moment = replace(user, timestamp_s=at_s, holdings=(*user.holdings, *new))
    stranger = ({*supplied, *repaid, *withdrawn, *enabled}) - held - {each.reserve.asset for each in new}
    if stranger:
        raise ValueError(f"no reserve of {', '.join(sorted(stranger))} is known")
    weights = {leg.reserve.asset: leg.ltv_bps for leg in legs(moment)}
    holdings = []
    for holding in moment.holdings:
        asset = holding.reserve.asset
        changed = _repaid(user, holding, repaid.get(asset, 0), at_s)
        changed = _withdrawn(user.version, changed, withdrawn.get(asset, 0), at_s)
        gained = supplied.get(asset, 0)
        first = changed.scaled_supply == 0 and gained > 0
        changed = _supplied(user.version, changed, gained, at_s)
        counts_itself = first and weights[asset] > 0 and not user.is_isolated and holding.reserve.debt_ceiling == 0
        if asset in enabled or counts_itself:
            changed = replace(changed, is_collateral=changed.scaled_supply > 0)
        holdings.append(changed)
    return replace(moment, holdings=tuple(holdings))


def cautious_health_wad(ledger: AaveLedger) -> int | None:
    """Return a health factor that the contract's stays at or above while interest of some minutes runs.

    At another second every balance may be rounded the other way: each supply counts one unit less here, each debt one
    more. Up to 3.4 with several thresholds the truncated average is besides taken a hundred-thousandth lower, since it
    may be cut to the next basis point. `None` without debt.
    """
    version = ledger.user.version
    found = tuple(
        replace(leg, supplied=max(leg.supplied - 1, 0), owed=leg.owed + 1 if leg.owed else 0) for leg in ledger.legs
    )
    data = account_data_at(version, found, [leg.price for leg in found])
    if data.total_debt_base == 0:
        return None
    counted = [(leg.supplied * leg.price // leg.reserve.unit, leg) for leg in found if leg.counts and leg.supplied]
    thresholds = {leg.liquidation_threshold_bps for value, leg in counted if value}
    if version >= AaveVersion.V3_5 or len(thresholds) < 2:
        return data.health_factor_wad
    million = 10**6
    weighted = sum(value * leg.liquidation_threshold_bps for value, leg in counted)
    average = weighted * (million - AVERAGE_DRIFT_PPM) // (data.total_collateral_base * million)
    return wad_div(percent_mul(data.total_collateral_base, max(average, min(thresholds))), data.total_debt_base)


def _supplied(version: AaveVersion, holding: AaveHolding, amount: int, at_s: int) -> AaveHolding:
    if amount <= 0:
        return holding
    index = normalized_income_ray(holding.reserve, at_s)
    return replace(holding, scaled_supply=holding.scaled_supply + _scaled_down(version, amount, index))


def _withdrawn(version: AaveVersion, holding: AaveHolding, amount: int, at_s: int) -> AaveHolding:
    if amount <= 0:
        return holding
    index = normalized_income_ray(holding.reserve, at_s)
    burnt = mul_div_ceil(amount, RAY, index) if version >= AaveVersion.V3_5 else (amount * RAY + index // 2) // index
    if amount >= supply_balance(version, holding, at_s) or burnt >= holding.scaled_supply:
        return replace(holding, scaled_supply=0, is_collateral=False)
    return replace(holding, scaled_supply=holding.scaled_supply - burnt)


def _repaid(user: AaveUser, holding: AaveHolding, amount: int, at_s: int) -> AaveHolding:
    version, reserve = user.version, holding.reserve
    index = normalized_debt_ray(version, reserve, at_s)
    if holding.debt_balance is not None:
        # The token's own discount is unknown: it grows at the full rate here, which is never too little.
        before = normalized_debt_ray(version, reserve, user.timestamp_s)
        grown = mul_div_ceil(holding.debt_balance, index, before) if index > before else holding.debt_balance
        left = max(grown - max(amount, 0), 0)
        return replace(holding, debt_balance=left, is_borrowing=holding.is_borrowing and left > 0)
    if amount <= 0:
        return holding
    variable = debt_balance(version, replace(holding, stable_debt=0), at_s)
    burnt = _scaled_down(version, amount, index)
    left = 0 if amount >= variable else max(holding.scaled_debt - burnt, 0)
    owes = left > 0 or (version < AaveVersion.V3_2 and holding.stable_debt > 0)
    return replace(holding, scaled_debt=left, is_borrowing=holding.is_borrowing and owes)


def _scaled_down(version: AaveVersion, amount: int, index: int) -> int:
    """Return `amount` over the index: mint of supply and burn of debt, down from 3.5 on, half up before."""
    if version >= AaveVersion.V3_5:
        return amount * RAY // index
    return (amount * RAY + index // 2) // index
