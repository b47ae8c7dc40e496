"""Rescue plans: how much of what, from where, reaches a target, and whether it would work now. Pure.

`plan` answers for a target that somebody wants, `standing_plan` for the one that is kept ready for the one key.
Amounts reach the target at once and when the rescue lands two minutes later (`engine.plan_amounts`).
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_FLOOR, Context, Decimal

from engine.aave import account_data
from engine.aave_ledger import AaveLedger
from engine.accounts import Account, Kind, MarginMode
from engine.assess import trigger_side
from engine.assessment import Assessment
from engine.plan_amounts import full_close_units, limit_units, needed_units
from engine.plan_case import WIDE, Case, Lever, after, cautious_health, reaches
from engine.plan_checks import (
    NO_WALLET,
    NOT_SENT,
    READ_ONLY,
    Caps,
    affordable_units,
    common_blockers,
    facility_blockers,
    is_by_hand,
)
from engine.plan_levers import SWAP_COST, levers
from engine.plan_options import nearest_distance, option
from engine.plan_words import possible, reached_already
from engine.prices import AssetPrice, Consensus
from engine.rescue import Means, Option, Plan, Standing, Target
from engine.severity import HEALTH_LEAVE, Ladder, ladder_of
from engine.solvency import ZERO, gap, solvency_of, trigger_prices

__all__ = ["Caps", "plan", "readiness", "standing_plan", "standing_target"]

MAX_QUIET_S = 86_400
MAX_TARGET_HEALTH = Decimal(1_000)
# Money that is moved is not lost, but tied up: one dollar of cost weighs as much as a hundred that move.
TIED_UP = Decimal("0.01")
LEAST_GAIN = Decimal("1.01")
_SECOND_NS = 1_000_000_000
_FLOOR = Context(prec=60, rounding=ROUND_FLOOR)
_WARN, _WATCH = 1, 0


def plan(
    account: Account,
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
    target: Target,
    standing: Standing | None,
    now_ns: int,
    *,
    means: Means | None = None,
    caps: Caps | None = None,
    is_stale: bool = False,
    swap_cost: Decimal = SWAP_COST,
) -> Plan:
    """Return the alternatives that reach `target`, best first; never raises for a target or account that cannot.

    `standing` `None` (a portfolio document) computes amounts and says that no wallet was read. `means` keeps one
    kind of rescue. Without an option that could be carried out in full, `possible` says what could be reached instead.
    """
    before = trigger_side(account, prices, now_ns, is_stale=is_stale)
    made = Plan(
        account.name,
        target,
        now_ns,
        loss_if_nothing=before.loss_at_liquidation,
        block_number=None if standing is None else standing.block_number,
        health_before=before.health_factor,
    )
    why = _impossible(account, prices, before, target)
    if why:
        return replace(made, possible=why)
    case, pulled = _case(account, prices, consensus_of, target, standing, now_ns, means, swap_cost)
    if reaches(case, account) and reaches(case, after(case, None, 0, case.landing_s)):
        return replace(made, possible=f"{reached_already(case, before)}; nothing to do", options=())
    common = common_blockers(standing, now_ns, is_stale=is_stale)
    found: list[tuple[bool, Option]] = []
    for lever in pulled:
        found += _options(case, lever, before.health_factor, standing, caps, common)
    options = tuple(each for _, each in sorted(found, key=lambda pair: _rank(*pair)))
    sendable = [fits for fits, each in found if not _by_hand(each)]
    if any(sendable or (fits for fits, _ in found)):
        return replace(made, options=options)
    return replace(made, options=options, possible=possible(case, pulled, standing, caps))


def standing_plan(
    account: Account,
    assessment: Assessment,
    ladder: Ladder,
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
    standing: Standing | None,
    now_ns: int,
    *,
    caps: Caps | None = None,
    is_stale: bool = False,
) -> Plan:
    """Return the plan that the one key executes: to `standing_target`, or as near to it as funds and caps reach.

    An account that is at the target already has no option ("nothing to do").
    """
    target = standing_target(account.kind, ladder_of(account, ladder), account.mode)
    if (
        target.health is None
        and assessment.liquidation
        and all(p.price is None for p in assessment.liquidation.values())
    ):
        return Plan(account.name, target, now_ns, possible="no price move liquidates; nothing to do")
    made = plan(account, prices, consensus_of, target, standing, now_ns, caps=caps, is_stale=is_stale)
    if standing is None or not made.possible or not made.options or made.health_before is None:
        return made
    nearer = _nearer(account, prices, consensus_of, target, standing, now_ns, caps)
    if nearer is None:
        return made
    found = plan(account, prices, consensus_of, nearer, standing, now_ns, caps=caps, is_stale=is_stale)
    return replace(found, possible=found.possible or made.possible) if found.options else made


def _nearer(
    account: Account,
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
    target: Target,
    standing: Standing,
    now_ns: int,
    caps: Caps | None,
) -> Target | None:
    """Return how near to `target` one source of funds reaches within room and caps, `None` when hardly anywhere."""
    case, pulled = _case(account, prices, consensus_of, target, standing, now_ns, None, SWAP_COST)

    def measure(state: Account) -> Decimal | None:
        return cautious_health(case, state) if target.distance is None else nearest_distance(case, state)

    best = before = measure(account)
    for lever in pulled:
        limit = affordable_units(case, lever, standing, caps)
        if limit and not is_by_hand(lever) and not any(facility_blockers(case, lever)):
            reached = measure(after(case, lever, limit, case.landing_s))
            best = reached if best is None or (reached is not None and reached > best) else best
    if best is None or before is None or best < before * LEAST_GAIN:
        return None
    cut = best.quantize(Decimal("0.0001"), context=_FLOOR)
    return Target(health=cut) if target.distance is None else Target(distance=cut)


def standing_target(kind: Kind, ladder: Ladder, mode: MarginMode | None = None) -> Target:
    """Return where a standing plan leads: out of danger and warn, with the margin at which warn is left for good.

    By health (loans, brokers, portfolio margin) that is the warn threshold x 1.02: 1.53 and 1.275 by default. By
    distance (other perps) it is the watch threshold, 0.20 by default, since a distance is used up faster than a health.
    """
    by_distance = kind is Kind.PERP and mode is not MarginMode.PORTFOLIO and ladder.distance is not None
    if ladder.health is not None and not by_distance:
        return Target(health=ladder.health[_WARN] * HEALTH_LEAVE)
    if ladder.distance is not None:
        return Target(distance=ladder.distance[_WATCH])
    return Target(health=Decimal("1.5"))


def readiness(plan: Plan | None) -> str:
    """Return in a word or two whether the plan's best option would work now."""
    if plan is None:
        return "no rescue known"
    if not plan.options:
        return "not needed" if plan.possible.endswith("nothing to do") else "no rescue known"
    best = next((each for each in plan.options if not _by_hand(each)), plan.options[0])
    if best.ready:
        return "needs approve" if any(step.startswith("approve") for step in best.steps) else "ready"
    if best.means is Means.DEPOSIT and _by_hand(best) and best.blockers[0] == NO_WALLET:
        return "by hand"
    for start, said in (
        (NO_WALLET, "no rescue known"),
        ("the account's reading is stale", "stale"),
        (READ_ONLY, "read-only"),
        ("no gas", "no gas"),
        ("source empty", "source empty"),
        ("over cap", "over cap"),
        ("supply cap", "supply cap"),
        ("wallet read", "stale"),
    ):
        if any(blocker.startswith(start) for blocker in best.blockers):
            return said
    return "by hand" if _by_hand(best) else "blocked"


def _impossible(account: Account, prices: Mapping[str, AssetPrice], before: Assessment, target: Target) -> str:
    """Return why no plan can be computed at all, or an empty string."""
    wanted = target.health if target.health is not None else target.distance
    if wanted is None or not wanted.is_finite() or wanted <= 0 or wanted > MAX_TARGET_HEALTH:
        return f"a target must be a number above 0 and at most {MAX_TARGET_HEALTH}"
    if target.distance is not None and account.mode is MarginMode.PORTFOLIO:
        return "a portfolio-margin account has no single liquidation price to keep a distance from: plan to a health"
    why = gap(account)
    if why:
        return f"no amount can be computed: {why}"
    _, lacking = trigger_prices(account, prices)
    needed = {exposure.asset for exposure in solvency_of(account).exposures}
    needed |= {leg.asset for leg in account.collateral if leg.amount}
    why = next((lacking[asset] for asset in sorted(needed) if asset in lacking), "")
    if why:
        return f"no amount can be computed: {why}"
    if not before.has_debt:
        return "nothing is owed; nothing to do"
    if before.health_factor is None:
        return f"no amount can be computed: {before.missing.get('health_factor', 'health unknown')}"
    return ""


def _case(
    account: Account,
    prices: Mapping[str, AssetPrice],
    consensus_of: Mapping[str, Consensus],
    target: Target,
    standing: Standing | None,
    now_ns: int,
    means: Means | None,
    swap_cost: Decimal,
) -> tuple[Case, tuple[Lever, ...]]:
    known, _ = trigger_prices(account, prices)
    pulled = tuple(levers(account, prices, known, standing, means, swap_cost))
    triggers = {lever.asset: lever.price for lever in pulled} | known
    stable = frozenset(asset for asset in triggers if asset in prices and prices[asset].stable)
    quiet_s = 0
    if isinstance(account.ledger, AaveLedger):
        # A chain whose clock is elsewhere (a fork, a test chain) tells nothing by being far behind ours.
        behind_s = now_ns // _SECOND_NS - account.ledger.user.timestamp_s
        quiet_s = max(behind_s, 0) if behind_s <= MAX_QUIET_S else 0
        target = _honest_target(account, account.ledger, target)
    return Case(account, prices, consensus_of, triggers, stable, target, quiet_s), pulled


def _honest_target(account: Account, ledger: AaveLedger, target: Target) -> Target:
    """Return a target raised by as much as the contract's own health is below what our arithmetic makes of it."""
    said, ours = ledger.health_factor_wad(), account_data(ledger.user).health_factor_wad
    if target.health is None or said is None or not 0 < said < ours:
        return target
    return Target(health=WIDE.divide(target.health * ours, Decimal(said)))


def _options(
    case: Case,
    lever: Lever,
    before: Decimal | None,
    standing: Standing | None,
    caps: Caps | None,
    common: tuple[str, ...],
) -> list[tuple[bool, Option]]:
    """Return the options of one lever, each with whether it is taken at all, and funds, room and caps suffice."""
    found: list[tuple[bool, Option]] = []
    limit = affordable_units(case, lever, standing, caps)
    usable = is_by_hand(lever) or not any(facility_blockers(case, lever))
    units = needed_units(case, lever)
    owed = limit_units(case, lever) if lever.means is Means.REPAY else None
    if units and (owed is None or units < owed):
        fits = usable and (limit is None or units <= limit)
        found.append((fits, option(case, lever, units, before, standing, caps, common)))
    if owed:
        close = full_close_units(case, lever)
        if limit is not None and owed <= limit < close:
            close = limit
        fits = usable and (limit is None or close <= limit)
        reached = reaches(case, after(case, lever, close, case.landing_s))
        if reached and (fits or units == owed):
            full = option(case, lever, close, before, standing, caps, common, is_full_close=True)
            found.append((fits, full))
    return found


def _by_hand(each: Option) -> bool:
    return each.means in NOT_SENT and (each.facility is None or each.means not in each.facility.means)


def _rank(fits: bool, each: Option) -> tuple[bool, bool, bool, bool, Decimal, Decimal]:
    """Return the order: ready, affordable, sent from here, no more than needed, then cost and what is tied up, time."""
    value, cost = each.value_usd, each.cost_usd or ZERO
    tied_up = Decimal("Infinity") if value is None else value * TIED_UP
    time_s = Decimal("Infinity") if each.time_to_land_s is None else each.time_to_land_s
    return not each.ready, not fits, _by_hand(each), each.is_full_close, cost + tied_up, time_s
