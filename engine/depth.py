"""An order book, and what it costs to trade a quantity into it."""

from collections.abc import Sequence
from decimal import Decimal

from engine.record import record
from engine.solvency import ZERO


@record
class Level:
    """One price of a book and the base quantity offered at it."""

    price: Decimal
    quantity: Decimal


@record
class Depth:
    """One contract's book at a venue: `bids` fall, `asks` rise. `asset` is the base, prices are in `quote`.

    `observed_at_ns` is when it arrived.
    """

    venue: str
    contract: str
    asset: str
    bids: tuple[Level, ...]
    asks: tuple[Level, ...]
    observed_at_ns: int
    quote: str = "USD"

    @property
    def mid(self) -> Decimal | None:
        """Return the middle of the best bid and ask; `None` for a one-sided book."""
        if not self.bids or not self.asks:
            return None
        return (self.bids[0].price + self.asks[0].price) / 2


@record
class Impact:
    """What trading a quantity would give. `filled` is how much of it the levels that were read hold.

    `average_price` and `worst_price` are over what is filled, `None` when nothing is. `slippage` is the fraction by
    which the average is worse than the middle of the book, `None` without a middle or unless all is filled.
    """

    filled: Decimal
    average_price: Decimal | None
    worst_price: Decimal | None
    slippage: Decimal | None

    def is_whole(self, quantity: Decimal) -> bool:
        """Return whether the levels hold all of `quantity`."""
        return self.filled == abs(quantity)


def impact(depth: Depth, quantity: Decimal) -> Impact:
    """Return what closing `quantity` costs: a long (positive) sells into the bids, a short buys from the asks."""
    levels: Sequence[Level] = depth.bids if quantity > 0 else depth.asks
    left, paid, worst = abs(quantity), ZERO, None
    for level in levels:
        if left <= 0:
            break
        taken = min(left, level.quantity)
        left -= taken
        paid += taken * level.price
        worst = level.price
    filled = abs(quantity) - left
    if not filled:
        return Impact(ZERO, None, None, None)
    average, mid = paid / filled, depth.mid
    whole = left == 0 and mid is not None and mid > 0
    slippage = abs(average - mid) / mid if whole and mid is not None else None
    return Impact(filled, average, worst, slippage)
