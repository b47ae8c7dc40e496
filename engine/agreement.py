"""Whether our figures agree with the venue's own: each disagreement is a sentence that says whose figure is whose.

Figures differ by fees, ticks and the age of marks; `VenueReport.tolerance` says by how much before it counts. What a
venue does not say cannot disagree. Loans are compared where they are read, to the last digit of their contract.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal

from engine.accounts import Account, Kind, Position, VenueReport
from engine.assessment import Direction, LiquidationPoint
from engine.liquidation import crossing
from engine.rendering import plain
from engine.solvency import ONE, ZERO, Solvency
from engine.triggers import position_price

_DIGITS = 7


def disagreements(
    account: Account,
    solvency: Solvency,
    references: Mapping[str, Decimal],
    equity: Decimal | None,
    points: Mapping[str, LiquidationPoint],
) -> Iterator[str]:
    """Yield how far equity, maintenance, health and each liquidation price are from the venue's beyond its tolerance.

    `points` are our liquidation points at `references`. Prices are compared relative to the position's own mark.
    """
    said = account.reported
    if said is None or account.kind is Kind.LOAN:
        return
    requirement = solvency.requirement(references)
    cover = solvency.cover(references)
    maintenance = requirement if account.liquidation_multiple == ONE else requirement / account.liquidation_multiple
    # Some venues count coins in full in what they call equity, others less their haircuts.
    theirs = said.equity
    if theirs is not None and equity is not None and abs(cover - theirs) < abs(equity - theirs):
        equity = cover
    yield from _compared("equity", equity, theirs, said.tolerance)
    yield from _compared("maintenance", maintenance, said.maintenance_requirement, said.tolerance)
    yield from _compared("health", cover / requirement if requirement else None, said.health_factor, said.tolerance)
    if cover < requirement and not any(point.price for point in points.values()):
        return  # liquidatable, and no price of one asset would free it: there is no price of ours to compare
    for position in account.positions:
        if position.quantity and position.venue_liquidation_price is not None:
            yield from _compared_price(account, position, solvency, references, points, said)


def _compared(figure: str, ours: Decimal | None, theirs: Decimal | None, tolerance: Decimal) -> Iterator[str]:
    if ours is None or theirs is None:
        return
    largest = max(abs(ours), abs(theirs))
    off = abs(ours - theirs) / largest if largest else ZERO
    if off > tolerance:
        yield f"{figure} {_shown(ours)} computed, {_shown(theirs)} reported by the venue: {_percent(off)} apart"


def _compared_price(
    account: Account,
    position: Position,
    solvency: Solvency,
    references: Mapping[str, Decimal],
    points: Mapping[str, LiquidationPoint],
    said: VenueReport,
) -> Iterator[str]:
    theirs = position.venue_liquidation_price
    point = points.get(position.asset, LiquidationPoint())
    mark, reference = position_price(account, position, references), references[position.asset]
    if theirs is None:
        return
    name = f"liquidation price of {position.contract or position.asset}"
    side = Direction.DOWN if theirs < mark else Direction.UP
    at = point.price
    if point.distance != ZERO and (at is None or point.direction is not side):
        at = crossing(solvency, references, position.asset, side)
    if at is None and side is Direction.UP:
        yield f"{name}: none computed above the mark, {_shown(theirs)} reported by the venue"
        return
    ours = ZERO if at is None else at * mark / reference
    off = abs(ours - theirs) / mark
    if off > said.tolerance:
        computed = "none computed below the mark" if at is None else f"{_shown(ours)} computed"
        yield f"{name} {computed}, {_shown(theirs)} reported by the venue: {_percent(off)} of the mark apart"


def _shown(value: Decimal) -> str:
    """Return `value` with seven significant digits, whole digits always."""
    places = max(_DIGITS - 1 - value.adjusted(), 0) if value else 0
    return plain(round(value, places))


def _percent(fraction: Decimal) -> str:
    return f"{plain(round(fraction * 100, 2))} %"
