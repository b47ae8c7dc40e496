"""A cascade in rounds, loan by loan: the exact model, of one or several collaterals, for books that a loop can walk.

The shock moves prices and, by arbitrage along x y = k, the pools. The oracle shows what the pools said when a round
began. Liquidatable loans go in order of health, lowest first: half the debt above health 0.95, else all; the liquidator
takes repaid x (1 + bonus), of the collateral worth most, sells it at once into the pool as it stands, and goes on only
if that leaves a profit after fee and gas. A loan without collateral leaves its rest as bad debt. A round in which
nothing is done is the last, and counts.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from engine.simulation.cascade_book import LoanBook

CLOSE_ALL_BELOW = 0.95
"""Aave v3 (3.0 to 3.2): the whole debt may be repaid at or below this health, half of it above."""
DUST = 1e-9
MOST_ROUNDS = 3000


@dataclass(frozen=True, slots=True)
class Terms:
    """What a liquidator pays (`fee` a fraction of what is sold, `gas` quote currency a call), and the close factor."""

    fee: float = 0.003
    gas: float = 20.0
    close_factor: float = 0.5


@dataclass(frozen=True, slots=True)
class Rounds:
    """What a cascade in rounds came to; prices are one an asset. Money is in quote currency, `sold` in units.

    `endogenous_drop` is the fraction by which liquidations alone lowered the first asset's price, `order` the rows of
    liquidated loans, first hit first; `settled` is false when the last round allowed was reached.
    """

    rounds: int
    exogenous: tuple[float, ...]
    final: tuple[float, ...]
    repaid: float
    bad_debt: float
    sold: tuple[float, ...]
    waiting: float
    order: tuple[int, ...]
    settled: bool

    @property
    def endogenous_drop(self) -> float:
        """Return 1 - final / exogenous of the first asset."""
        return 1 - self.final[0] / self.exogenous[0]


def in_rounds(
    book: LoanBook,
    prices: Sequence[float],
    shocks: Sequence[float],
    reserves: Sequence[float],
    terms: Terms | None = None,
    *,
    cross: Sequence[Sequence[float]] | None = None,
) -> Rounds:
    """Return the cascade that `shocks` (fractions, one an asset) set off in pools of `reserves` units at `prices`.

    `cross[k][j]` is the share of the log move of asset k's price by liquidations that asset j's market takes over by
    arbitrage after a round; none by default. Raises `ValueError` for figures that are not one an asset.
    """
    kinds = range(len(book.assets))
    if not len(prices) == len(shocks) == len(reserves) == len(book.assets):
        raise ValueError("a cascade needs one price, shock and pool for every collateral")
    terms = terms or Terms()
    threshold, bonus = book.threshold.tolist(), book.bonus.tolist()
    held, owed = book.collateral.tolist(), book.debt.tolist()
    shown = [price * (1 + shock) for price, shock in zip(prices, shocks, strict=True)]
    exogenous = tuple(shown)
    x = [reserve * (price / now) ** 0.5 for reserve, price, now in zip(reserves, prices, shown, strict=True)]
    y = [units * now for units, now in zip(x, shown, strict=True)]
    repaid = bad_debt = 0.0
    sold = [0.0 for _ in kinds]
    order: dict[int, None] = {}
    rounds, waiting, settled = 0, 0.0, False
    while rounds < MOST_ROUNDS and not settled:
        rounds += 1
        queue: list[tuple[float, int]] = []
        for row, debt in enumerate(owed):
            if debt > DUST:
                cover = sum(held[row][k] * shown[k] for k in kinds) * threshold[row]
                if cover < debt:
                    queue.append((cover / debt, row))
        queue.sort()
        settled, waiting = True, 0.0
        for health, row in queue:
            units = held[row]
            best = max(kinds, key=lambda k: units[k] * shown[k])
            price = shown[best]
            repay = (terms.close_factor if health > CLOSE_ALL_BELOW else 1.0) * owed[row]
            seize = repay * (1 + bonus[row]) / price
            if seize > units[best]:
                seize = units[best]
                repay = seize * price / (1 + bonus[row])
            into = seize * (1 - terms.fee)
            out = y[best] * into / (x[best] + into)
            if out - repay - terms.gas <= 0:
                waiting += owed[row]
                continue
            x[best] += seize
            y[best] -= out
            sold[best] += seize
            repaid += repay
            units[best] -= seize
            owed[row] -= repay
            order.setdefault(row)
            settled = False
            if all(one <= DUST for one in units):
                bad_debt += owed[row]
                owed[row] = 0.0
        before, shown = shown, [y[k] / x[k] for k in kinds]
        if cross is not None:
            shown = _crossed(before, shown, x, y, cross)
    final = tuple(shown)
    return Rounds(rounds, exogenous, final, repaid, bad_debt, tuple(sold), waiting, tuple(order), settled)


def _crossed(
    before: Sequence[float],
    after: Sequence[float],
    x: list[float],
    y: list[float],
    cross: Sequence[Sequence[float]],
) -> list[float]:
    """Move every pool along x y = k by its share of the others' log moves, and return the prices then."""
    kinds = range(len(after))
    moves = [math.log(now / then) for then, now in zip(before, after, strict=True)]
    for k in kinds:
        root = math.exp(sum(cross[other][k] * moves[other] for other in kinds if other != k) / 2)
        x[k] /= root
        y[k] *= root
    return [y[k] / x[k] for k in kinds]
