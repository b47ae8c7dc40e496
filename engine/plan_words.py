"""What a plan says in words: that the target is reached, or how near to it one could come."""

from decimal import ROUND_FLOOR, Context, Decimal

from engine.accounts import Account
from engine.assessment import Assessment
from engine.plan_amounts import limit_units
from engine.plan_case import Case, Lever, after, cautious_health
from engine.plan_checks import Caps, affordable_units, facility_blockers, is_by_hand, short
from engine.plan_options import nearest_distance
from engine.rescue import Means, Standing

MOST_SHOWN_HEALTH = Decimal(1_000)
_FLOOR = Context(prec=60, rounding=ROUND_FLOOR)


def reached_already(case: Case, before: Assessment) -> str:
    """Return in words that the target is reached."""
    wanted = case.target
    if wanted.health is not None:
        return f"health {_shown(before.health_factor)} is at or above {_shown(wanted.health)} already"
    return f"the nearest liquidation is {_percent(nearest_distance(case, case.account))} away already"


def possible(case: Case, pulled: tuple[Lever, ...], standing: Standing | None, caps: Caps | None) -> str:
    """Return in words what could be reached, the best of each source first."""
    said: list[tuple[Decimal, str]] = []
    for lever in pulled:
        limits = (affordable_units(case, lever, standing, caps), limit_units(case, lever))
        bounds = [bound for bound in limits if bound is not None]
        is_taken = is_by_hand(lever) or not any(facility_blockers(case, lever))
        if not bounds or min(bounds) <= 0 or not is_taken:
            continue
        units = min(bounds)
        account = after(case, lever, units, case.landing_s)
        health = cautious_health(case, account)
        source = f" in {lever.funds.source}" if lever.funds is not None and lever.funds.source else ""
        amount = f"{short(lever.tokens(units), up=False)} {lever.asset}"
        match lever.means:
            case Means.REPAY:
                how = f"repaying {amount}{source}"
            case Means.DELEVERAGE:
                how = f"deleverage of {amount}"
            case Means.REDUCE:
                how = f"closing {amount}"
            case _:
                how = f"with {amount}{source}"
        rank = Decimal("Infinity") if health is None else health
        said.append((rank, f"{how}: {_outcome(case, account, health)}"))
    said.sort(key=lambda each: -each[0])
    if not said:
        return "no source of funds and nothing to sell can reach it"
    return "; ".join(dict.fromkeys(text for _, text in said[:3]))


def _outcome(case: Case, account: Account, health: Decimal | None) -> str:
    if health is None:
        return "nothing owed"
    if case.target.distance is None:
        return f"health {_shown(health)}"
    return f"health {_shown(health)}, distance {_percent(nearest_distance(case, account))}"


def _shown(value: Decimal | None) -> str:
    if value is None or value > MOST_SHOWN_HEALTH:
        return "unknown" if value is None else f"above {MOST_SHOWN_HEALTH}"
    return format(value.quantize(Decimal("0.0001"), context=_FLOOR), "f")


def _percent(distance: Decimal | None) -> str:
    if distance is None:
        return "without end"
    return f"{format((distance * 100).quantize(Decimal('0.1'), context=_FLOOR), 'f')} %"
