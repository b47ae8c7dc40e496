"""Options as a venue lists and quotes them: what a hedge is made of."""

from decimal import Decimal
from enum import StrEnum

from engine.record import record


class Right(StrEnum):
    """What an option gives the right to."""

    PUT = "put"
    CALL = "call"


@record
class OptionQuote:
    """One listed option. Prices are per unit of the underlying, in quote currency, whatever the venue quotes in.

    `is_inverse`: premium and payoff are in the underlying coin; their quote value is that at `underlying_price`. `lot`
    is the least quantity and its step. `mark_volatility` is annual (0.65). A missing bid or ask is `None`: nobody
    offers. `delta` is of one unit.
    """

    venue: str
    name: str
    underlying: str
    right: Right
    strike: Decimal
    expires_ns: int
    lot: Decimal
    underlying_price: Decimal
    observed_at_ns: int
    quote: str = "USD"
    is_inverse: bool = False
    bid: Decimal | None = None
    ask: Decimal | None = None
    mark: Decimal | None = None
    mark_volatility: Decimal | None = None
    delta: Decimal | None = None
