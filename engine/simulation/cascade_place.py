"""One account in a cascade: where it stands in the queue, which shock reaches it, and what a liquidator makes of it.

The account is a row of the book: it is part of what is sold. Chances are first passage in closed form, without drift:
the baseline of `forecast`, too low in the tails.
"""

import math
from dataclasses import dataclass

import numpy as np

from engine.simulation.cascade_book import BookError, LoanBook
from engine.simulation.cascade_impact import Impact
from engine.simulation.cascade_rounds import CLOSE_ALL_BELOW, Terms
from engine.simulation.cascade_static import Sorted, liquidation_prices, reach
from engine.simulation.first_passage import HOURS_A_YEAR, touch_probability

DAYS = 365.0
_SCAN = 400
_LOWEST = 0.2
"""The scan for a price at which a liquidation pays ends at this fraction of the liquidation price."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where one account stands. Shocks are fractions of today's price, negative for falls.

    `shock_alone` liquidates it when nobody else sells; `shock_cascade` is the least whose cascade reaches it, 0 when
    the book is in a cascade already that does. `sigma_days_*` are those falls over the one-day volatility, `chance_*`
    their probabilities within `hours`; `None` without a volatility. `rank` counts from 1 among `of` loans;
    `liquidatable` says that it is at or beyond its liquidation price now, and shocks are then 0.
    """

    name: str
    liquidation_price: float
    rank: int
    of: int
    debt_ahead: float
    units_ahead: float
    shock_alone: float
    shock_cascade: float
    liquidatable: bool
    hours: float
    chance_alone: float | None
    chance_cascade: float | None
    sigma_days_alone: float | None
    sigma_days_cascade: float | None

    @property
    def sooner(self) -> float | None:
        """Return how many sigma-days earlier the cascade comes than the price alone would."""
        if self.sigma_days_alone is None or self.sigma_days_cascade is None:
            return None
        return self.sigma_days_alone - self.sigma_days_cascade


def place(
    book: LoanBook,
    row: int,
    queue: Sorted,
    impact: Impact,
    *,
    volatility: float | None = None,
    hours: float = 24.0,
    name: str = "",
) -> Place:
    """Return where loan `row` of `book` stands; `queue` is `book` in order. Raises `BookError` without collateral."""
    start = impact.start
    level = float(liquidation_prices(book)[row])
    if not math.isfinite(level):
        raise BookError(f"{name or f'loan {row + 1}'}: has no collateral in this book")
    count, debt = queue.ahead(level)
    units = float(queue.seized(np.array([level]))[0])
    from_ = reach(queue, impact, level)
    alone = min(0.0, level / start - 1)
    cascade = 0.0 if from_ is None else min(0.0, from_ / start - 1)
    chances: list[float | None] = [None, None]
    days: list[float | None] = [None, None]
    if volatility is not None:
        for index, shock in enumerate((alone, cascade)):
            chances[index] = (
                1.0
                if shock == 0
                else touch_probability(start, start * (1 + shock), 0.0, volatility, hours / HOURS_A_YEAR)
            )
            days[index] = -shock * math.sqrt(DAYS) / volatility
    return Place(
        name,
        level,
        count + 1,
        len(book),
        debt,
        units,
        alone,
        cascade,
        level >= start,
        hours,
        chances[0],
        chances[1],
        days[0],
        days[1],
    )


@dataclass(frozen=True, slots=True)
class Offer:
    """What one liquidation call is worth to whoever makes it, at `price`, where oracle and market agree.

    `repay` is the capital it takes and `seize` the units it gives, sold at once. `bonus_value` less `slippage` (of the
    sale), `fee`, `gas` and `latency_cost` (one standard deviation of the price over the latency) is `profit`.
    """

    price: float
    health: float
    repay: float
    seize: float
    bonus_value: float
    slippage: float
    fee: float
    gas: float
    latency_cost: float
    profit: float


@dataclass(frozen=True, slots=True)
class LiquidatorView:
    """How liquidators see one account: first in line, and behind everything ahead of it sold without healing.

    `profitable_from` is the highest price at which the first call pays, `None` when none down to `searched_to` does.
    `raises_health` says whether a call makes the account healthier: only while health > threshold x (1 + bonus).
    """

    first: Offer
    queued: Offer
    profitable_from: float | None
    searched_to: float
    raises_health: bool


def raises_health(health: float, threshold: float, bonus: float) -> bool:
    """Return whether a liquidation raises health: iff health > threshold x (1 + bonus) (Warmuz et al. 2212.07306)."""
    return health > threshold * (1 + bonus)


def liquidators_view(
    book: LoanBook,
    row: int,
    queue: Sorted,
    impact: Impact,
    terms: Terms,
    *,
    volatility: float | None = None,
    latency_s: float = 12.0,
) -> LiquidatorView:
    """Return how liquidators see loan `row`; without a volatility latency costs nothing."""
    level = float(liquidation_prices(book)[row])
    adrift = 0.0 if volatility is None else volatility * math.sqrt(latency_s / (DAYS * 86_400))
    top = min(level, impact.start)
    ahead = float(queue.seized(np.array([level]))[0])
    first = offer(book, row, impact, terms, top, adrift=adrift)
    queued = offer(book, row, impact, terms, top, adrift=adrift, already=ahead)
    lowest = top * _LOWEST
    pays = (
        float(price)
        for price in np.linspace(top, lowest, _SCAN)
        if offer(book, row, impact, terms, float(price), adrift=adrift).profit > 0
    )
    threshold, bonus = float(book.threshold[row]), float(book.bonus[row])
    return LiquidatorView(first, queued, next(pays, None), lowest, raises_health(first.health, threshold, bonus))


def offer(
    book: LoanBook, row: int, impact: Impact, terms: Terms, price: float, *, adrift: float = 0.0, already: float = 0.0
) -> Offer:
    """Return what liquidating loan `row` at the oracle price `price` brings after `already` units were sold.

    `adrift` is the fraction by which the price moves against the liquidator before the sale.
    """
    units, debt = float(book.collateral[row, 0]), float(book.debt[row])
    bonus = float(book.bonus[row])
    health = units * price * float(book.threshold[row]) / debt
    repay = (terms.close_factor if health > CLOSE_ALL_BELOW else 1.0) * debt
    seize = repay * (1 + bonus) / price
    if seize > units:
        seize, repay = units, units * price / (1 + bonus)
    worth = seize * price
    sale = impact.proceeds(seize, price, already)
    fee = sale * terms.fee
    late = worth * adrift
    profit = sale - fee - late - repay - terms.gas
    return Offer(price, health, repay, seize, worth - repay, worth - sale, fee, terms.gas, late, profit)
