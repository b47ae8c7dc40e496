"""One thing that can be done for an account: with which asset, out of which funds, on which leg."""

from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Context, Decimal

from engine.accounts import Position
from engine.record import record
from engine.rescue import Facility, Funds, Means

WIDE = Context(prec=120, rounding=ROUND_HALF_EVEN)
_ZERO = Decimal(0)


@record
class Lever:
    """One thing that can be done: with which asset, out of which funds, and on which leg.

    `price` is in the account's quote currency: what a unit of the asset that is moved is worth, and of an inverse
    contract the face value of a unit of its quantity. `other` is the debt that a deleverage repays, `held` the position
    that a reduction closes, with others of its contract and side (`None`: whatever the account holds of the asset).
    `cost` is the fraction of what is sold that is lost on the way.
    """

    means: Means
    facility: Facility
    price: Decimal
    funds: Funds | None = None
    other: str = ""
    other_decimals: int = 18
    cost: Decimal = _ZERO
    held: Position | None = None

    @property
    def asset(self) -> str:
        """Return the asset that is moved."""
        return self.facility.asset

    def tokens(self, units: int) -> Decimal:
        """Return smallest units as whole tokens, exactly."""
        return WIDE.scaleb(Decimal(units), -self.facility.decimals)

    def units(self, tokens: Decimal) -> int:
        """Return whole tokens in smallest units, rounded down."""
        return int(WIDE.scaleb(tokens, self.facility.decimals).to_integral_value(ROUND_FLOOR, WIDE))

    def value(self, units: int) -> Decimal:
        """Return what an amount is worth in quote currency."""
        return WIDE.multiply(self.tokens(units), self.price)

    def closes(self, position: Position) -> bool:
        """Return whether a reduction by this lever closes `position`: all lots of one contract and side alike."""
        return position.asset == self.asset if self.held is None else is_alike(position, self.held)


def is_alike(one: Position, other: Position) -> bool:
    """Return whether one order closes both: the same contract, held on the same side."""
    sides = (one.quantity > 0) == (other.quantity > 0)
    return sides and (one.asset, one.contract, one.inverse) == (other.asset, other.contract, other.inverse)
