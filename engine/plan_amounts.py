"""How much of a lever reaches the target: a closed form first, then the exact least unit around it.

With W the cover, D the requirement and H the wanted health (both at trigger prices): supplying adds l per unit of
value, so X = (H x D - W) / l; repaying needs Y = D - W / H; selling collateral k at cost c needs
w = (H x D - W) / (H x (1 - c) - l_k), which exists only where H x (1 - c) > l_k. Source: the definition of health in
the Aave v3 documentation (aave.com/docs, risk parameters), solved for the amount.
"""

from collections.abc import Callable
from decimal import ROUND_CEILING, Decimal

from engine.aave_ledger import AaveLedger
from engine.aave_math import RAY
from engine.accounts import Account, Kind
from engine.plan_case import ONE, WIDE, Case, Lever, after, least_margin, reaches, solvency
from engine.rescue import Means
from engine.solvency import ZERO

# Until somebody confirms and it lands, so that the last second's interest is in what is approved.
HEADROOM_S = 1_800
_DOUBLINGS = 128


def needed_units(case: Case, lever: Lever) -> int | None:
    """Return the least amount, in smallest units, that reaches the target now and when it lands; `None` if none does.

    A few units less miss it: what rounding at any second in between can take is on top. 0 when the account is there.
    """
    most = limit_units(case, lever)

    def reached(units: int) -> bool:
        return all(reaches(case, after(case, lever, units, later_s)) for later_s in (case.landing_s, 0))

    if reached(0):
        return 0
    guess = _guess(case, lever)
    if most is not None and lever.means is Means.REDUCE and _has_counterweight(case, lever) and not reached(most):
        most = _peak(case, lever, most)
    if most is None:
        most = max(2 * guess, 10**lever.facility.decimals, 1)
        for _ in range(_DOUBLINGS):
            if reached(most):
                break
            most *= 2
    found = _least(reached, min(guess, most), most)
    return None if found is None else min(found + _lost_in_scaling(case, lever), most)


def _has_counterweight(case: Case, lever: Lever) -> bool:
    """Return whether something else in the asset balances what is closed, so that closing all may be too much."""
    account, asset = case.account, lever.asset
    coins = [leg.asset for leg in account.collateral] + [leg.asset for leg in account.debt]
    return asset in coins or sum(each.asset == asset for each in account.positions) > 1


def _peak(case: Case, lever: Lever, most: int) -> int:
    """Return the amount to close that brings nearest to the target.

    Cover and requirement bend only one way while a position shrinks (tiers rise with size), so that what is missing
    has one turning point.
    """

    def room(units: int) -> Decimal:
        state = solvency(case, after(case, lever, units, case.landing_s))
        if case.target.health is None:
            return least_margin(state, case.triggers, case.stable, case.target.distance or ZERO)
        return state.cover(case.triggers) - case.target.health * state.requirement(case.triggers)

    low, high = 0, most
    while low < high:
        middle = (low + high) // 2
        if room(middle) < room(middle + 1):
            low = middle + 1
        else:
            high = middle
    return low


def _lost_in_scaling(case: Case, lever: Lever) -> int:
    """Return how many units the index may swallow at another second than those that were tried."""
    ledger = case.account.ledger
    if not isinstance(ledger, AaveLedger) or lever.means not in (Means.SUPPLY, Means.REPAY):
        return 0
    known = [holding.reserve for holding in ledger.user.holdings if holding.reserve.asset == lever.asset]
    index = max((max(each.liquidity_index_ray, each.variable_borrow_index_ray) for each in known), default=RAY)
    return index // RAY + 2


def limit_units(case: Case, lever: Lever) -> int | None:
    """Return the most that the account itself can take of a lever, in smallest units; `None` without a limit."""
    match lever.means:
        case Means.SUPPLY | Means.ADD_MARGIN | Means.DEPOSIT:
            return None
        case Means.REPAY:
            return owed_units(case, lever, case.landing_s)
        case Means.REDUCE:
            held = [each for each in case.account.positions if lever.closes(each)]
            return lever.units(sum((abs(each.quantity) for each in held), ZERO))
        case Means.DELEVERAGE:
            supplied = sum((leg.amount for leg in case.account.collateral if leg.asset == lever.asset), ZERO)
            owed = sum((leg.amount for leg in case.account.debt if leg.asset == lever.other), ZERO)
            worth = WIDE.divide(owed * case.triggers[lever.other], lever.price * (ONE - lever.cost))
            return lever.units(min(supplied, worth))


def owed_units(case: Case, lever: Lever, later_s: int) -> int:
    """Return what is owed of the lever's asset `later_s` on, in smallest units, rounded up."""
    grown = after(case, None, 0, later_s)
    owed = sum((leg.amount for leg in grown.debt if leg.asset == lever.asset), ZERO)
    return int(WIDE.scaleb(owed, lever.facility.decimals).to_integral_value(ROUND_CEILING, WIDE))


def full_close_units(case: Case, lever: Lever) -> int:
    """Return an amount that still repays all of a debt half an hour after it landed; the surplus is never taken."""
    return owed_units(case, lever, case.landing_s + HEADROOM_S) + 1


def _guess(case: Case, lever: Lever) -> int:
    """Return the closed form at the time of landing, in smallest units, at least 0."""
    account = after(case, None, 0, case.landing_s)
    wanted = _wanted_value(case, account, lever)
    if wanted is None or wanted <= 0:
        return 0
    tokens = WIDE.divide(wanted, lever.price)
    return int(WIDE.scaleb(tokens, lever.facility.decimals).to_integral_value(ROUND_CEILING, WIDE))


def _wanted_value(case: Case, account: Account, lever: Lever) -> Decimal | None:
    state = solvency(case, account)
    cover, owed = state.cover(case.triggers), state.requirement(case.triggers)
    wanted = case.target.health
    if wanted is None:
        # Near enough to start from: what is missing at the worst corner, at full weight.
        missing = -least_margin(state, case.triggers, case.stable, case.target.distance or ZERO)
        return missing / (_weight(case, lever) or ONE)
    missing = wanted * owed - cover
    match lever.means:
        case Means.SUPPLY:
            weight = _weight(case, lever)
            return missing / weight if weight else None
        case Means.REPAY:
            return owed - cover / wanted
        case Means.ADD_MARGIN | Means.DEPOSIT:
            return missing / (_weight(case, lever) or ONE)
        case Means.DELEVERAGE:
            gain = wanted * (ONE - lever.cost) - _weight(case, lever)
            return missing / gain if gain > 0 else None
        case Means.REDUCE:
            held = [each for each in account.positions if lever.closes(each)]
            notional = sum((abs(each.quantity) * lever.price for each in held), ZERO)
            rate = max((tier.maintenance_rate for each in held for tier in each.tiers), default=ZERO)
            rate *= case.account.liquidation_multiple
            gain = wanted * rate - lever.cost
            return min(missing / gain, notional) if gain > 0 else None


def _weight(case: Case, lever: Lever) -> Decimal:
    """Return the weight at which the lever's asset counts as collateral, 1 for cash."""
    if lever.means not in (Means.SUPPLY, Means.DELEVERAGE) and not _is_coin(case, lever):
        return ONE
    for leg in case.account.collateral:
        if leg.asset == lever.asset and leg.liquidation_threshold:
            return leg.liquidation_threshold
    return lever.facility.liquidation_threshold or ZERO


def _is_coin(case: Case, lever: Lever) -> bool:
    """Return whether money paid in by this lever backs a perp account as a coin with a weight of its own."""
    if lever.means not in (Means.ADD_MARGIN, Means.DEPOSIT) or lever.asset == case.account.quote:
        return False
    backs = any(leg.asset == lever.asset for leg in case.account.collateral)
    return backs or (case.account.kind is Kind.PERP and lever.facility.liquidation_threshold is not None)


def _least(reached: Callable[[int], bool], guess: int, most: int) -> int | None:
    """Return an amount that reaches while one unit less does not, searched outwards from `guess`; `None` if none.

    Where rounding makes health a saw (Aave up to 3.4), the edge found is one of those next to the closed form.
    """
    if not reached(most):
        return None
    low, high, step = 0, most, 1
    if reached(guess):
        high = guess
        while high - step > low and reached(high - step):
            high -= step
            step *= 16
        low = max(low, high - step)
    else:
        low = guess
        while low + step < high and not reached(low + step):
            low += step
            step *= 16
        high = min(high, low + step)
    while high - low > 1:
        middle = (low + high) // 2
        if reached(middle):
            high = middle
        else:
            low = middle
    return high
