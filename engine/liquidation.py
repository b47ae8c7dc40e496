"""Where an account liquidates: one asset alone, or all non-stable assets together.

Along a ray (some assets x a common factor, the others at rest) the margin, cover less requirement, is piecewise linear
in the factor, with a kink wherever a position enters another maintenance tier. The walk from factor 1 outwards over
those kinks finds the exact first crossing, for the whole account at once and never per position.
"""

from collections.abc import Mapping
from decimal import Decimal

from engine.accounts import Ledger
from engine.assessment import Direction, LiquidationPoint
from engine.record import record
from engine.solvency import ZERO, Exposure, Solvency

ONE = Decimal(1)


@record
class _Kink:
    """At `factor` the margin's level and slope change by these amounts, in the direction of the walk."""

    factor: Decimal
    level: Decimal
    slope: Decimal


@record
class _Ray:
    """Margin = level + slope x factor around factor 1, with the kinks met on the way down and on the way up."""

    level: Decimal
    slope: Decimal
    down: tuple[_Kink, ...]
    up: tuple[_Kink, ...]

    @property
    def margin(self) -> Decimal:
        return self.level + self.slope

    def mirrored(self) -> "_Ray":
        """Return the ray of the negated margin: its crossings are where a liquidatable account is safe again."""
        down = tuple(_Kink(kink.factor, -kink.level, -kink.slope) for kink in self.down)
        up = tuple(_Kink(kink.factor, -kink.level, -kink.slope) for kink in self.up)
        return _Ray(-self.level, -self.slope, down, up)

    def crossing_down(self) -> Decimal | None:
        """Return the largest factor in (0, 1] below which the margin is negative, or `None`."""
        level, slope, found = _walk(self.level, self.slope, self.down)
        if found is None and level < 0:
            found = -level / slope
        return found

    def crossing_up(self) -> Decimal | None:
        """Return the smallest factor from 1 on above which the margin is negative, or `None`."""
        level, slope, found = _walk(self.level, self.slope, self.up)
        if found is None and slope < 0:
            found = -level / slope
        return found

    def nearest(self) -> tuple[Decimal, Direction] | None:
        """Return the crossing nearest to factor 1 and the side beyond which the margin is negative; a tie goes down."""
        down, up = self.crossing_down(), self.crossing_up()
        if down is not None and (up is None or ONE - down <= up - ONE):
            return down, Direction.DOWN
        return None if up is None else (up, Direction.UP)


def _walk(level: Decimal, slope: Decimal, kinks: tuple[_Kink, ...]) -> tuple[Decimal, Decimal, Decimal | None]:
    """Return level and slope after the last kink, and the first crossing met before it."""
    for kink in kinks:
        if level + slope * kink.factor < 0:
            return level, slope, -level / slope
        level += kink.level
        slope += kink.slope
        if level + slope * kink.factor < 0:
            return level, slope, kink.factor
    return level, slope, None


def _ray(rest: Decimal, moving: tuple[Exposure, ...], prices: Mapping[str, Decimal]) -> _Ray:
    """Return the ray on which `moving` moves while everything else keeps its margin `rest`."""
    level, slope = rest, ZERO
    down: list[_Kink] = []
    up: list[_Kink] = []
    for exposure in moving:
        price = prices[exposure.asset]
        slope += (exposure.weight - exposure.owed) * price
        for curve in exposure.curves:
            notional = curve.size * price
            asked = notional if curve.multiple == ONE else notional * curve.multiple
            here = curve.tier_index(notional)
            level += curve.tiers[here].deduction * curve.multiple
            slope -= asked * (curve.tiers[here].maintenance_rate + curve.fee_rate)
            for index, (lower, upper) in enumerate(zip(curve.tiers, curve.tiers[1:], strict=False)):
                factor = upper.notional_floor / notional
                deduction = (upper.deduction - lower.deduction) * curve.multiple
                rate = asked * (upper.maintenance_rate - lower.maintenance_rate)
                if index < here:
                    down.append(_Kink(factor, -deduction, rate))
                else:
                    up.append(_Kink(factor, deduction, -rate))
    down.sort(key=lambda kink: -kink.factor)
    up.sort(key=lambda kink: kink.factor)
    return _Ray(level, slope, tuple(down), tuple(up))


def _point(ray: _Ray, price: Decimal, *, liquidatable: bool) -> LiquidationPoint:
    if liquidatable:
        restored = ray.mirrored().nearest()
        if restored is None:
            return LiquidationPoint()
        factor, side = restored
        return LiquidationPoint(price * factor, ZERO, Direction.UP if side is Direction.DOWN else Direction.DOWN)
    nearest = ray.nearest()
    if nearest is None:
        return LiquidationPoint()
    factor, side = nearest
    return LiquidationPoint(price * factor, abs(factor - ONE), side)


def liquidation_points(solvency: Solvency, prices: Mapping[str, Decimal]) -> dict[str, LiquidationPoint]:
    """Return, per asset that moves solvency, the nearest price of it alone at which cover equals requirement.

    Beyond that price (below it for `down`) the account is liquidatable. For an account that already is, the price is
    where it would be safe again, the distance 0 and the direction the liquidating one.
    """
    margins = [exposure.margin(prices[exposure.asset]) for exposure in solvency.exposures]
    after = [ZERO] * (len(margins) + 1)
    for index in range(len(margins) - 1, -1, -1):
        after[index] = after[index + 1] + margins[index]
    before = solvency.rest
    liquidatable = before + after[0] < 0
    points: dict[str, LiquidationPoint] = {}
    for index, exposure in enumerate(solvency.exposures):
        ray = _ray(before + after[index + 1], (exposure,), prices)
        points[exposure.asset] = _point(ray, prices[exposure.asset], liquidatable=liquidatable)
        before += margins[index]
    return points


def crossing(solvency: Solvency, prices: Mapping[str, Decimal], asset: str, side: Direction) -> Decimal | None:
    """Return the nearest price of `asset` alone on one side of the present one beyond which cover < requirement.

    `None` without such a price on that side, for an asset that moves nothing, and for an account already liquidatable.
    """
    moving = tuple(exposure for exposure in solvency.exposures if exposure.asset == asset)
    rest = solvency.rest
    for exposure in solvency.exposures:
        if exposure.asset != asset:
            rest += exposure.margin(prices[exposure.asset])
    ray = _ray(rest, moving, prices)
    if not moving or ray.margin < 0:
        return None
    factor = ray.crossing_down() if side is Direction.DOWN else ray.crossing_up()
    return None if factor is None else factor * prices[asset]


def uniform_shock(solvency: Solvency, prices: Mapping[str, Decimal], assets: frozenset[str]) -> Decimal | None:
    """Return the fraction nearest to 0 by which all `assets` move together to liquidate; negative is a fall.

    0 for an account that is liquidatable already, `None` when no common move liquidates.
    """
    moving = tuple(exposure for exposure in solvency.exposures if exposure.asset in assets)
    rest = solvency.rest
    for exposure in solvency.exposures:
        if exposure.asset not in assets:
            rest += exposure.margin(prices[exposure.asset])
    ray = _ray(rest, moving, prices)
    if ray.margin < 0:
        return ZERO
    nearest = ray.nearest()
    return None if nearest is None else nearest[0] - ONE


def ledger_points(
    ledger: Ledger, plain: Mapping[str, LiquidationPoint], prices: Mapping[str, Decimal]
) -> dict[str, LiquidationPoint]:
    """Return the points at the protocol's own integer prices, for an account that is not liquidatable yet."""
    points: dict[str, LiquidationPoint] = {}
    for asset in plain:
        price = ledger.liquidation_price(asset)
        if price is None:
            points[asset] = LiquidationPoint()
            continue
        now = prices[asset]
        side = plain[asset].direction if price == now else (Direction.DOWN if price < now else Direction.UP)
        points[asset] = LiquidationPoint(price, abs(price / now - ONE), side)
    return points
