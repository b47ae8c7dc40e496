"""The assessment of one account: what its trigger prices say of it, and what the market and the next print would.

`trigger_side` needs an account's own data and trigger prices, `market_side` what the venues agree on; a market tick
re-runs only the second. `assess` is both. Every field's meaning: DESIGN 6.
"""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal

from engine.accounts import Account, Kind
from engine.agreement import disagreements
from engine.assessment import Assessment, Direction, LiquidationPoint, Method, Severity
from engine.balances import Balances, balances
from engine.carry import Carry, carry
from engine.consensus import consensus
from engine.directions import directions, liquidation_note, nearest_move
from engine.liquidation import ledger_points, liquidation_points, uniform_shock
from engine.market import WAD, WIDE, MarketSide, market_side
from engine.oracle import lateness
from engine.prices import AssetPrice, Consensus
from engine.record import record, replace
from engine.severity import DEFAULT_LADDERS, Ladder, judge, ladder_of, rank
from engine.solvency import ONE, ZERO, Solvency, gap, oracle_of, solvency_of, trigger_prices
from engine.triggers import position_price

__all__ = ["MarketSide", "assess", "consensus_by_asset", "market_side", "trigger_side", "with_market"]

TRIGGERS: Mapping[Kind, str] = {Kind.LOAN: "oracle", Kind.PERP: "mark", Kind.BROKER: "broker"}
ROOT_OF_YEAR = Decimal(365).sqrt()


@record
class _Judged:
    """What solvency says at trigger prices; `why` is the reason when it says nothing."""

    health: Decimal | None = None
    wad: int | None = None
    requirement: Decimal | None = None
    buffer: Decimal | None = None
    points: Mapping[str, LiquidationPoint] = field(default_factory=dict)
    shock: Decimal | None = None
    carry: Carry = field(default_factory=lambda: Carry(None, None, {}))
    has_debt: bool = True
    method: Method = Method.DERIVED
    why: str = ""
    disputed: tuple[str, ...] = ()


def assess(
    account: Account,
    prices: Mapping[str, AssetPrice],
    now_ns: int,
    *,
    ladder: Ladder | None = None,
    previous: Severity | None = None,
    consensus_of: Mapping[str, Consensus] | None = None,
    is_stale: bool = False,
    last_known: Severity | None = None,
) -> Assessment:
    """Return everything the engine says of `account` at `now_ns`.

    `consensus_of` is computed from the quotes in `prices` when not given. `previous` is the severity said before, for
    the leave thresholds; a stale reading (`is_stale`) keeps its figures but is of unknown severity. `last_known` is the
    last severity that was not unknown.
    """
    agreed = consensus_by_asset(prices, now_ns) if consensus_of is None else consensus_of
    judged = trigger_side(
        account, prices, now_ns, ladder=ladder, previous=previous, is_stale=is_stale, last_known=last_known
    )
    return with_market(judged, market_side(account, prices, agreed))


def consensus_by_asset(prices: Mapping[str, AssetPrice], now_ns: int) -> dict[str, Consensus]:
    """Return the consensus of every asset that has quotes."""
    return {asset: consensus(price.quotes, now_ns) for asset, price in prices.items() if price.quotes}


def with_market(assessment: Assessment, side: MarketSide) -> Assessment:
    """Return `assessment` with its market side replaced."""
    kept = assessment.missing
    if "at_market" in kept or "at_next_oracle" in kept:
        kept = {name: why for name, why in kept.items() if name not in ("at_market", "at_next_oracle")}
    missing = {**kept, **side.missing} if side.missing else kept
    return replace(assessment, at_market=side.at_market, at_next_oracle=side.at_next_oracle, missing=missing)


def trigger_side(
    account: Account,
    prices: Mapping[str, AssetPrice],
    now_ns: int,
    *,
    ladder: Ladder | None = None,
    previous: Severity | None = None,
    is_stale: bool = False,
    last_known: Severity | None = None,
) -> Assessment:
    """Return the assessment at trigger prices, with `at_market` and `at_next_oracle` left `None`.

    `last_known` in the result is set only beside an unknown severity.
    """
    known, lacking = trigger_prices(account, prices)
    sums = balances(account, known, lacking)
    stable = frozenset(asset for asset in account.assets if asset in prices and prices[asset].stable)
    judged = _judged(account, known, lacking, sums, stable)
    missing = dict(sums.missing) | dict(judged.carry.missing)
    if judged.why:
        told = {"maintenance_requirement": judged.requirement, "buffer": judged.buffer}
        unsaid = [name for name, figure in told.items() if figure is None]
        missing.update(dict.fromkeys((*unsaid, "uniform_shock", "cost_of_debt", "interest_only_days"), judged.why))
        if not any(point.price for point in judged.points.values()):
            missing["liquidation"] = judged.why
        if judged.health is None:
            missing["health_factor"] = judged.why
    nearest = _nearest(judged.points, stable)
    sigma_days = _noted("sigma_days", _sigma_days(account, judged.points, nearest, prices, stable), missing)
    loss = _noted("loss_at_liquidation", _loss(account, sums, judged), missing)
    before = last_known if previous is None or previous is Severity.UNKNOWN else previous
    named = directions(account, judged.points, judged.shock, stable)
    steps = ladder_of(account, ladder or DEFAULT_LADDERS[account.kind])
    severity, because = _severity(account, judged, nearest_move(judged.points, nearest, named), steps, before)
    if is_stale:
        before = max((each for each in (before, severity) if each is not None), key=rank)
        severity, because = Severity.UNKNOWN, "reading is stale"
    return Assessment(
        name=account.name,
        kind=account.kind,
        severity=severity,
        severity_because=because,
        trigger=account.trigger or TRIGGERS[account.kind],
        health_factor=judged.health,
        health_factor_wad=judged.wad,
        collateral_value=sums.collateral_value,
        debt_value=sums.debt_value,
        maintenance_requirement=judged.requirement,
        equity=sums.equity,
        buffer=judged.buffer,
        leverage=sums.leverage,
        capital_efficiency=_efficiency(account, sums, judged, missing),
        cost_of_debt=judged.carry.cost,
        interest_only_days=judged.carry.interest_only_days,
        liquidation=judged.points,
        uniform_shock=judged.shock,
        at_market=None,
        at_next_oracle=None,
        loss_at_liquidation=loss,
        nearest=nearest,
        sigma_days=sigma_days,
        has_debt=judged.has_debt,
        method=_method(account, judged),
        last_known=before if severity is Severity.UNKNOWN and before is not Severity.UNKNOWN else None,
        missing=missing,
        degraded=account.degraded + judged.disputed + _late(account, prices, now_ns),
        directions=named,
        liquidation_note=liquidation_note(account),
        estimated=account.estimated,
        initial_requirement=account.initial_requirement,
        margin_call=account.margin_call,
        session=account.session,
        status="" if account.reported is None else account.reported.status,
    )


def _judged(
    account: Account,
    known: Mapping[str, Decimal],
    lacking: Mapping[str, str],
    sums: Balances,
    stable: frozenset[str],
) -> _Judged:
    nowhere = {asset: LiquidationPoint() for asset in sorted(account.assets)}
    why = gap(account)
    if why:
        return _reported(account, known, nowhere, why)
    solvency = solvency_of(account, known)
    why = next((lacking[each.asset] for each in solvency.exposures if each.asset in lacking), "")
    if why:
        return _reported(account, known, nowhere, why)
    requirement = solvency.requirement(known)
    buffer = solvency.cover(known) - requirement
    wad = _wad(account)
    if requirement == 0 and wad is None:
        return _Judged(requirement=requirement, buffer=buffer, points=nowhere, has_debt=False)
    health = (buffer + requirement) / requirement if wad is None else WIDE.scaleb(Decimal(wad), -WAD)
    points, shock = _crossings(account, solvency, known, health, account.assets - stable)
    borne = carry(account, known, sums.equity, buffer)
    disputed = tuple(disagreements(account, solvency, known, sums.equity, points))
    return _Judged(health, wad, requirement, buffer, nowhere | points, shock, borne, disputed=disputed)


def _crossings(
    account: Account, solvency: Solvency, known: Mapping[str, Decimal], health: Decimal, volatile: frozenset[str]
) -> tuple[dict[str, LiquidationPoint], Decimal | None]:
    points, shock = liquidation_points(solvency, known), uniform_shock(solvency, known, volatile)
    if account.ledger is not None and health >= 1:
        # Without a crossing in exact arithmetic, the integers cross only where prices round to nothing.
        exact_shock = None if shock is None else account.ledger.uniform_shock(volatile)
        return ledger_points(account.ledger, points, known), exact_shock
    return points, shock


def _wad(account: Account) -> int | None:
    """Return the contract's own health factor: as it reported it, else as its arithmetic gives it."""
    if account.ledger is None:
        return None
    if account.reported is not None and account.reported.health_factor is not None:
        return int(WIDE.scaleb(account.reported.health_factor, WAD))
    return account.ledger.health_factor_wad()


def _reported(
    account: Account, known: Mapping[str, Decimal], nowhere: dict[str, LiquidationPoint], why: str
) -> _Judged:
    """Return what the venue itself says where our own formula lacks an input."""
    points = dict(nowhere)
    for position in account.positions:
        price, reference = position.venue_liquidation_price, known.get(position.asset)
        if price is None or reference is None or position.quantity == 0:
            continue
        mark = position_price(account, position, known)
        side = Direction.DOWN if position.quantity > 0 else Direction.UP
        ahead = max((mark - price if side is Direction.DOWN else price - mark) / mark, ZERO)
        nearest = points[position.asset].distance
        if nearest is None or ahead < nearest:
            shown = price if mark == reference else price * reference / mark
            points[position.asset] = LiquidationPoint(shown, ahead, side)
    said = account.reported
    health = None if said is None else said.health_factor
    requirement = None if said is None else said.maintenance_requirement
    if requirement is not None and account.liquidation_multiple != ONE:
        requirement *= account.liquidation_multiple
    if health is None and said is not None and said.equity is not None and requirement:
        health = said.equity / requirement
    buffer = None if said is None or said.equity is None or requirement is None else said.equity - requirement
    method = Method.VENUE if health is not None or points != nowhere else Method.DERIVED
    return _Judged(health, None, requirement, buffer, points=points, method=method, why=why)


def _nearest(points: Mapping[str, LiquidationPoint], stable: frozenset[str]) -> str | None:
    """Return the asset whose liquidation is nearest; a stable one only where no other liquidates."""
    best: tuple[bool, Decimal, str] | None = None
    for asset, point in points.items():
        if point.distance is not None:
            candidate = (asset in stable, point.distance, asset)
            if best is None or candidate < best:
                best = candidate
    return None if best is None else best[2]


def _method(account: Account, judged: _Judged) -> Method:
    return Method.ESTIMATED if account.estimated and judged.method is Method.DERIVED else judged.method


def _severity(
    account: Account, judged: _Judged, move: tuple[Decimal | None, str], ladder: Ladder, before: Severity | None
) -> tuple[Severity, str]:
    distance, moving = move
    if not judged.has_debt:
        if judged.buffer is not None and judged.buffer < 0:
            return Severity.LIQUIDATABLE, "equity below 0"
        return Severity.SAFE, "no debt" if account.kind is not Kind.PERP else "no position"
    if judged.why and (judged.health is None or judged.health >= 1):
        lacks_health = judged.health is None and ladder.health is not None
        lacks_distance = distance is None and ladder.distance is not None
        if lacks_health or lacks_distance or (judged.health is None and ladder.distance is None):
            return Severity.UNKNOWN, judged.why
    return judge(ladder, judged.health, distance, moving, before)


def _noted(name: str, told: tuple[Decimal | None, str], missing: dict[str, str]) -> Decimal | None:
    value, why = told
    if why:
        missing[name] = why
    return value


def _sigma_days(
    account: Account,
    points: Mapping[str, LiquidationPoint],
    nearest: str | None,
    prices: Mapping[str, AssetPrice],
    stable: frozenset[str],
) -> tuple[Decimal | None, str]:
    distance = None if nearest is None else points[nearest].distance
    if nearest is None or distance is None:
        return None, ""
    legs = {leg.asset for leg in account.collateral if leg.amount} | {leg.asset for leg in account.debt if leg.amount}
    if account.kind is Kind.LOAN and len(legs) == 2 and len(account.debt) == 1 and not legs & stable:
        return None, f"correlation of {' and '.join(sorted(legs))} unknown"
    entry = prices.get(nearest)
    if entry is None or not entry.volatility:
        return None, f"volatility of {nearest} unknown"
    return distance * ROOT_OF_YEAR / entry.volatility, ""


def _loss(account: Account, sums: Balances, judged: _Judged) -> tuple[Decimal | None, str]:
    """Return debt x close factor x the largest liquidation bonus, at most the collateral; loans only."""
    if account.kind is not Kind.LOAN or not judged.has_debt:
        return None, ""
    if account.ledger is not None:
        return account.ledger.loss_at_liquidation(), ""
    if sums.debt_value is None or sums.collateral_value is None:
        return None, sums.missing.get("debt_value") or sums.missing["collateral_value"]
    if account.close_factor is None:
        return None, "close factor unknown"
    bonus = ZERO
    for leg in account.collateral:
        if leg.amount and leg.liquidation_threshold:
            if leg.liquidation_bonus is None:
                return None, f"liquidation bonus of {leg.asset} unknown"
            bonus = max(bonus, leg.liquidation_bonus)
    return min(sums.debt_value * account.close_factor * bonus, sums.collateral_value), ""


def _efficiency(account: Account, sums: Balances, judged: _Judged, missing: dict[str, str]) -> Decimal | None:
    if account.kind is not Kind.BROKER:
        return sums.capital_efficiency
    if sums.equity is None or judged.requirement is None:
        return None
    if sums.equity <= 0:
        missing["capital_efficiency"] = "equity is not positive"
        return None
    return judged.requirement / sums.equity


def _late(account: Account, prices: Mapping[str, AssetPrice], now_ns: int) -> tuple[str, ...]:
    if account.kind is not Kind.LOAN:
        return ()
    reasons: list[str] = []
    for asset in sorted(account.assets):
        oracle = oracle_of(account, asset, prices)
        reason = "" if oracle is None else lateness(asset, oracle, now_ns)
        if reason:
            reasons.append(reason)
    return tuple(reasons)
