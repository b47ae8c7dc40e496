"""How an account without a single liquidation price is liquidated: named moves of prices, and a sentence in words.

A portfolio-margin account is margined as one book, so that no price of its own liquidates a position; a broker sells at
its own discretion. Both are told beside whatever figures can be told.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.accounts import Account, Kind, MarginMode
from engine.assessment import Direction, LiquidationPoint

ALL_ASSETS = "all assets"
_ALONE = " alone"
AT_DISCRETION = (
    "at the broker's discretion: with equity below the requirement it may sell any position at any price, and need not "
    "wait for a call to be met"
)
BY_SCAN = (
    "no single liquidation price: the venue's scan margins the whole book at once; distances are along named moves, "
    "each with everything else at rest"
)


def directions(
    account: Account, points: Mapping[str, LiquidationPoint], shock: Decimal | None, stable: frozenset[str]
) -> dict[str, Decimal]:
    """Return the moves that liquidate a portfolio-margin account, by name, as signed fractions (negative = fall).

    Each asset alone, all assets that are not stable together, and what the venue's own scan says; empty for others.
    """
    if account.mode is not MarginMode.PORTFOLIO:
        return {}
    found: dict[str, Decimal] = {}
    for asset, point in points.items():
        if point.distance is not None and asset not in stable:
            found[f"{asset}{_ALONE}"] = -point.distance if point.direction is Direction.DOWN else point.distance
    if shock is not None:
        found[ALL_ASSETS] = shock
    return found | dict(account.reported.directions if account.reported is not None else {})


def nearest_move(
    points: Mapping[str, LiquidationPoint], nearest: str | None, named: Mapping[str, Decimal]
) -> tuple[Decimal | None, str]:
    """Return the distance that severity goes by and the move it is along: of one asset, or the nearest of `named`."""
    if named:
        name, move = min(named.items(), key=lambda each: abs(each[1]))
        is_ours = name == ALL_ASSETS or name.endswith(_ALONE)
        return abs(move), f"{name} {Direction.UP if move > 0 else Direction.DOWN}" if is_ours else name
    point = LiquidationPoint() if nearest is None else points[nearest]
    return point.distance, "" if point.direction is None else f"{nearest} {point.direction}"


def liquidation_note(account: Account) -> str:
    """Return in words how `account` is liquidated where no price of its own tells it; else an empty string."""
    if account.kind is Kind.BROKER:
        return AT_DISCRETION
    return BY_SCAN if account.mode is MarginMode.PORTFOLIO else ""
