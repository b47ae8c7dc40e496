"""Where a cascade comes to rest: the exact fixed point over many shocks at once, without a loop over borrowers.

A loan with collateral c and debt d is liquidatable below d / (c x threshold); with all of its debt repaid the seized
units are min(d (1 + bonus) / p, c), the latter below d (1 + bonus) / c. Sorted by those two prices, cumulative sums
give the seized units S(p) by two look-ups. Selling S moves the price from p1, where the shock alone leaves it, and
p <- p1 x impact(S(p)) from p1 downwards falls monotonically to the highest price that stands: the mildest equilibrium.
Worst case: all that is liquidatable is sold at once, whether it pays the liquidator or not.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from engine.simulation.cascade_book import BookError, Floats, LoanBook
from engine.simulation.cascade_impact import Impact, Pool

CLOSE_ENOUGH = 1e-12
MOST_STEPS = 100_000
_STEP = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Sorted:
    """A book of one collateral in order of liquidation price, highest first, with cumulative sums from the top.

    `due` and `gone` are the prices below which a loan is liquidatable and its collateral used up (negated, so that
    they rise); `owed_due`, `owed_gone` cumulate debt x (1 + bonus), `units_gone` collateral, `debt_due` plain debt,
    `short_gone` debt and collateral / (1 + bonus): what a loan owes and, per unit of price, repays at most.
    """

    due: Floats
    gone: Floats
    owed_due: Floats
    owed_gone: Floats
    units_gone: Floats
    debt_due: Floats
    short_gone: Floats

    def seized(self, price: Floats) -> Floats:
        """Return the units seized when every loan liquidatable at `price` is liquidated there."""
        due = np.searchsorted(self.due, -price, side="left")
        gone = np.searchsorted(self.gone, -price, side="left")
        return np.asarray((self.owed_due[due] - self.owed_gone[gone]) / price + self.units_gone[gone], np.float64)

    def liquidated(self, price: Floats) -> Floats:
        """Return the debt of all loans that are liquidatable at `price`."""
        return np.asarray(self.debt_due[np.searchsorted(self.due, -price, side="left")], np.float64)

    def ahead(self, price: float) -> tuple[int, float]:
        """Return how many loans are liquidatable before one whose liquidation price is `price`, and their debt."""
        at = int(np.searchsorted(self.due, -price, side="left"))
        return at, float(self.debt_due[at])

    def bad_debt(self, price: Floats) -> Floats:
        """Return the debt that collateral seized at `price`, less the bonus, does not repay."""
        gone = np.searchsorted(self.gone, -price, side="left")
        return np.asarray(self.short_gone[gone, 0] - self.short_gone[gone, 1] * price, np.float64)


def liquidation_prices(book: LoanBook) -> Floats:
    """Return every loan's liquidation price; infinite without collateral; raises `BookError` for several."""
    if len(book.assets) != 1:
        raise BookError(f"this needs a book of one collateral; it has {', '.join(book.assets)}")
    with np.errstate(divide="ignore"):
        return np.asarray(book.debt / (book.collateral[:, 0] * book.threshold), np.float64)


def in_order(book: LoanBook) -> Sorted:
    """Return `book` sorted, once for any number of scenarios; raises `BookError` for several collaterals."""
    due = liquidation_prices(book)
    owed = book.debt * (1 + book.bonus)
    units = book.collateral[:, 0]
    with np.errstate(divide="ignore"):
        gone = np.minimum(owed / units, due)
    first = np.argsort(-due, kind="stable")
    # Where threshold and bonus are the same for all, both prices have the same order: one sort less.
    second = first if np.ptp(book.threshold) == 0 and np.ptp(book.bonus) == 0 else np.argsort(-gone, kind="stable")
    short = np.stack([_summed(book.debt[second]), _summed(units[second] / (1 + book.bonus[second]))], axis=1)
    return Sorted(
        -due[first],
        -gone[second],
        _summed(owed[first]),
        _summed(owed[second]),
        _summed(units[second]),
        _summed(book.debt[first]),
        short,
    )


def at_rest(book: Sorted, impact: Impact, exogenous: Floats) -> Floats:
    """Return the price at which the cascade comes to rest for every price that a shock alone leaves (`exogenous`)."""
    order = np.argsort(exogenous, kind="stable")
    start = np.asarray(exogenous, np.float64)[order]
    price, active = start.copy(), np.arange(len(start))
    for _ in range(MOST_STEPS):
        now, from_ = price[active], start[active]
        new = from_ * impact.left(book.seized(now), from_)
        moved = now - new > CLOSE_ENOUGH * from_
        price[active] = np.minimum(now, new)
        if not moved.any():
            break
        active = active[moved]
    found = np.empty_like(price)
    found[order] = price
    return found


def reproduction(book: Sorted, impact: Impact, exogenous: float) -> float:
    """Return R0 where a shock alone leaves the price at `exogenous`: falls that the next fall of 1 % sets off, per 1 %.

    Units newly liquidatable within the next 1 % x the fall that one unit sold causes (2 / X for a pool), over 1 %.
    Below 1 a cascade dies out after about 1 / (1 - R0) times the shock; from 1 on it feeds itself.
    """
    edges = np.array([exogenous, exogenous * (1 - _STEP)])
    debts = book.owed_due[np.searchsorted(book.due, -edges, side="left")]
    units = float(debts[1] - debts[0]) / exogenous
    if isinstance(impact, Pool):
        return units * 2 / float(impact.held(np.array(exogenous))) / _STEP
    return (1 - float(impact.left(np.array(units), np.array(exogenous)))) / _STEP


def reach(book: Sorted, impact: Impact, level: float) -> float | None:
    """Return the highest price, left by a shock alone, from which the cascade takes the price below `level`.

    The least shock that reaches a loan is 1 - this / start. Never below `level`; `None` when the price is at or below
    `level` without a shock. Resolved to 1e-9 of the start.
    """
    start = impact.start
    if level >= start:
        return None
    low, high = level, start  # at `low` the shock alone suffices; narrowed 200 candidates at a time
    if float(at_rest(book, impact, np.array([start]))[0]) < level:
        return start
    while high - low > 1e-9 * start:
        candidates = np.linspace(low, high, 200)
        reached = at_rest(book, impact, candidates) < level
        reached[0], reached[-1] = True, False
        last = int(np.flatnonzero(reached)[-1])
        low, high = float(candidates[last]), float(candidates[last + 1])
    return low


def shocked(start: float, shocks: Sequence[float]) -> Floats:
    """Return the prices that shocks (fractions) alone leave."""
    return np.asarray(start * (1 + np.asarray(shocks, np.float64)), np.float64)


def _summed(values: Floats) -> Floats:
    return np.concatenate([[0.0], np.cumsum(values)])
