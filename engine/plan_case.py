"""What a plan is computed from, and an account after one lever was pulled: pure, exact where the protocol is known.

Loans known by their protocol's integers move in them (`AaveLedger.changed`); every other account moves by the plain
formulas of DESIGN 2 and 6, its interest of the waiting time added.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_FLOOR, Decimal

from engine.aave import AaveReserve
from engine.aave_change import cautious_health_wad
from engine.aave_ledger import AaveLedger
from engine.aave_math import BPS, RAY, WAD, AaveVersion
from engine.accounts import Account, Collateral, Debt
from engine.market import health_at
from engine.plan_lever import WIDE, Lever
from engine.plan_moves import added, grown, reduced, repaid, supplied
from engine.prices import AssetPrice, Consensus
from engine.record import record
from engine.rescue import Means, Target
from engine.solvency import ONE, ZERO, Exposure, Solvency, solvency_of

__all__ = [
    "ONE",
    "WIDE",
    "Case",
    "Lever",
    "after",
    "cautious_health",
    "deleveraged",
    "health",
    "least_margin",
    "reaches",
    "solvency",
]

LANDING_S = 120
# A reserve that the user has nothing in is in no eMode bitmap under this id; its facility tells the weight in force.
_NO_BIT = 4_096


@record
class Case:
    """One account at one moment. `triggers` are the prices that liquidate, `stable` the assets that do not fall.

    `base` is the account now, `later` the same when the rescue has landed: interest has run, nothing else changed.
    `quiet_s` is how much later than its block a chain account is looked at; 0 for every other.
    """

    account: Account
    prices: Mapping[str, AssetPrice]
    consensus_of: Mapping[str, Consensus]
    triggers: Mapping[str, Decimal]
    stable: frozenset[str]
    target: Target
    quiet_s: int = 0

    @property
    def landing_s(self) -> int:
        """Return seconds of interest until the rescue has certainly landed."""
        return self.quiet_s + LANDING_S


def after(case: Case, lever: Lever | None, units: int, later_s: int) -> Account:
    """Return the account `later_s` on, `units` of the lever having moved at that moment; `None` moves nothing."""
    account = case.account
    if isinstance(account.ledger, AaveLedger):
        return _with_ledger(account, _moved_ledger(case, account.ledger, lever, units, later_s))
    later = grown(account, case.triggers, later_s - case.quiet_s)
    if lever is None or units == 0:
        return later
    match lever.means:
        case Means.SUPPLY:
            return supplied(later, lever, lever.tokens(units))
        case Means.REPAY:
            return repaid(later, lever.asset, lever.tokens(units))
        case Means.DELEVERAGE:
            sold = supplied(later, lever, -lever.tokens(units))
            return repaid(sold, lever.other, deleveraged(case, lever, units))
        case Means.ADD_MARGIN | Means.DEPOSIT:
            return added(later, lever, units)
        case Means.REDUCE:
            return reduced(later, lever, lever.tokens(units), case.triggers)


def deleveraged(case: Case, lever: Lever, units: int) -> Decimal:
    """Return how much of the debt `other` is repaid by selling `units` of collateral, in whole tokens."""
    if lever.asset == lever.other:
        return lever.tokens(units)
    gained = WIDE.multiply(lever.value(units), ONE - lever.cost)
    return WIDE.divide(gained, case.triggers[lever.other])


def solvency(case: Case, account: Account) -> Solvency:
    """Return the solvency of a state of the case's account, as a function of the case's reference prices."""
    return solvency_of(account, case.triggers)


def health(account: Account, triggers: Mapping[str, Decimal], moved: Mapping[str, Decimal]) -> Decimal | None:
    """Return the health factor of `account` with `moved` prices; `None` when nothing is owed."""
    return health_at(account, solvency_of(account, triggers), triggers, moved)


def cautious_health(case: Case, account: Account) -> Decimal | None:
    """Return a health at trigger prices that holds while the rescue is on its way; `None` when nothing is owed."""
    if isinstance(account.ledger, AaveLedger):
        wad = cautious_health_wad(account.ledger)
        return None if wad is None else WIDE.scaleb(Decimal(wad), -18)
    return health(account, case.triggers, {})


def reaches(case: Case, account: Account) -> bool:
    """Return whether `account` is at or above the target; an account that owes nothing always is."""
    if case.target.health is not None:
        found = cautious_health(case, account)
        return found is None or found >= case.target.health
    least = least_margin(solvency(case, account), case.triggers, case.stable, case.target.distance or ZERO)
    if least < 0:
        return False
    return not isinstance(account.ledger, AaveLedger) or _ledger_holds(case, account.ledger)


def least_margin(
    account: Solvency, prices: Mapping[str, Decimal], stable: frozenset[str], distance: Decimal
) -> Decimal:
    """Return the least cover less requirement while any one asset moves by up to `distance` either way.

    Stable assets stay, unless the account has no other. The margin is piecewise linear in each price, so its least
    value is at an end or where a maintenance tier begins.
    """
    margins = {each.asset: each.margin(prices[each.asset]) for each in account.exposures}
    total = sum(margins.values(), account.rest)
    moving = [each for each in account.exposures if each.asset not in stable] or list(account.exposures)
    least = total
    for exposure in moving:
        rest = total - margins[exposure.asset]
        for price in _corners(exposure, prices[exposure.asset], distance):
            least = min(least, rest + exposure.margin(price))
    return least


def _corners(exposure: Exposure, price: Decimal, distance: Decimal) -> list[Decimal]:
    low, high = price * max(ONE - distance, ZERO), price * (ONE + distance)
    floors = [tier.notional_floor / curve.size for curve in exposure.curves for tier in curve.tiers]
    return [low, high, *(floor for floor in floors if low < floor < high)]


def _ledger_holds(case: Case, ledger: AaveLedger) -> bool:
    """Return whether the contract would refuse to liquidate at both ends of the distance, asset by asset."""
    distance = case.target.distance or ZERO
    # Up to 3.4 the average threshold is cut to whole basis points, so that health jumps as prices move.
    weights = [leg.liquidation_threshold_bps for leg in ledger.legs if leg.counts and leg.liquidation_threshold_bps]
    spare = WAD // min(weights) if weights and ledger.user.version < AaveVersion.V3_5 else 0
    owned = [leg.reserve.asset for leg in ledger.legs if leg.owed or (leg.counts and leg.supplied)]
    moving = [asset for asset in owned if asset not in case.stable] or owned
    for asset in moving:
        price = case.triggers[asset]
        for moved in (price * max(ONE - distance, ZERO), price * (ONE + distance)):
            wad = ledger.health_factor_wad({asset: moved})
            if wad is not None and wad < WAD + spare:
                return False
    return True


def _moved_ledger(case: Case, ledger: AaveLedger, lever: Lever | None, units: int, later_s: int) -> AaveLedger:
    if lever is None or units == 0:
        return ledger.changed(later_s=later_s)
    asset = lever.asset
    match lever.means:
        case Means.SUPPLY:
            known = {holding.reserve.asset for holding in ledger.user.holdings}
            listed = () if asset in known else (_reserve(ledger, lever),)
            return ledger.changed(supplied={asset: units}, later_s=later_s, enabled=(asset,), listed=listed)
        case Means.REPAY:
            return ledger.changed(repaid={asset: units}, later_s=later_s)
        case Means.DELEVERAGE:
            repaid = WIDE.scaleb(deleveraged(case, lever, units), lever.other_decimals)
            paid = int(repaid.to_integral_value(ROUND_FLOOR, WIDE))
            return ledger.changed(repaid={lever.other: paid}, withdrawn={asset: units}, later_s=later_s)
        case _:
            raise ValueError(f"{lever.means} is not something one does to a loan")


def _reserve(ledger: AaveLedger, lever: Lever) -> AaveReserve:
    """Return a reserve that the user has nothing in yet, as far as weights and price go; its index does not matter."""
    threshold = int(WIDE.multiply(lever.facility.liquidation_threshold or ZERO, Decimal(BPS)))
    price = ledger.price_units(lever.price)
    return AaveReserve(
        lever.asset, _NO_BIT, lever.facility.decimals, price, threshold, threshold, BPS, RAY, RAY, 0, 0, 0
    )


def _with_ledger(account: Account, ledger: AaveLedger) -> Account:
    """Return `account` with the legs of `ledger`, for the plain formulas that are asked of it too."""
    held = {leg.asset: leg for leg in account.collateral}
    owed = {leg.asset: leg for leg in account.debt}
    collateral, debt = [], []
    for leg in ledger.legs:
        asset, decimals = leg.reserve.asset, leg.reserve.decimals
        if leg.supplied:
            amount = WIDE.scaleb(Decimal(leg.supplied), -decimals)
            weight = WIDE.scaleb(Decimal(leg.liquidation_threshold_bps if leg.counts else 0), -4)
            known = held.get(asset, Collateral(asset, amount, weight))
            collateral.append(replace(known, amount=amount, liquidation_threshold=weight))
        if leg.owed:
            amount = WIDE.scaleb(Decimal(leg.owed), -decimals)
            debt.append(replace(owed.get(asset, Debt(asset, amount)), amount=amount))
    return replace(account, collateral=tuple(collateral), debt=tuple(debt), ledger=ledger, reported=None)
