"""A cascade over time, on many random paths: liquidations against the liquidity that absorbs them.

Every step the price moves by a lognormal exogenous return and by what liquidators sell; what they sold heals at `heal`
a step. The oracle follows the market at once, past a deviation, or some steps late. Liquidators work down the queue,
in order of the liquidation price at the start: each loan's close factor, as long as the bonus pays the slippage and
fee at the margin (and gas, for a loan of the mean size of its bucket), and up to `throughput` a step. A loan without
collateral leaves bad debt. Loans are put in buckets of equal debt, in order. Paths come in chunks, each with a
generator of its own made from (seed, chunk): any process that runs chunk k gets the same figures.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from engine.simulation.cascade_book import BookError, Floats, LoanBook
from engine.simulation.cascade_impact import Impact
from engine.simulation.cascade_rounds import CLOSE_ALL_BELOW
from engine.simulation.cascade_static import liquidation_prices

BUCKETS = 3000
CHUNK = 64
"""Paths in a chunk: part of what decides the random numbers, so it never depends on the machine."""
MOST_PATHS, MOST_STEPS = 1_000_000, 10_000
_DUST = 1e-9
_BLOCK = 128
"""Buckets worked on at once; it changes no figure."""
_DAYS = 365.0


class OracleRule(StrEnum):
    """When the oracle's price follows the market's."""

    INSTANT = "instant"
    DEVIATION = "deviation"
    DELAYED = "delayed"


@dataclass(frozen=True, slots=True)
class Setting:
    """What a run over time assumes.

    `volatility` is annual, `step_minutes` the length of a step; `throughput` the most debt repaid in a step, in quote
    currency; `heal` the share of sold units that new buyers take off the market in a step; `deviation` a fraction,
    `delay` steps; `shock` a fraction by which the price moves at the first step.
    """

    volatility: float
    steps: int = 144
    step_minutes: float = 10.0
    throughput: float = math.inf
    heal: float = 0.02
    rule: OracleRule = OracleRule.INSTANT
    deviation: float = 0.005
    delay: int = 0
    close_factor: float = 0.5
    fee: float = 0.003
    gas: float = 20.0
    shock: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class Buckets:
    """Loans in order of liquidation price, highest first, put together in buckets of equal debt."""

    collateral: Floats
    debt: Floats
    threshold: Floats
    bonus: Floats
    loans: Floats
    due: Floats

    def __len__(self) -> int:
        return len(self.debt)


Outcomes = NDArray[np.float64]
"""One row a path, one column each of `COLUMNS`."""
COLUMNS = ("trough_exogenous", "trough", "oracle_trough", "repaid", "sold", "bad_debt", "unhealthy", "final")


def bucketed(book: LoanBook, most: int = BUCKETS) -> Buckets:
    """Return the loans of one collateral in at most `most` buckets, those without any collateral left out.

    Raises `BookError` for several collaterals, or when no loan has any.
    """
    due = liquidation_prices(book)
    order = np.argsort(-due, kind="stable")
    order = order[np.isfinite(due[order])]
    if not len(order):
        raise BookError("no loan of the book has collateral")
    debt, units = book.debt[order], book.collateral[order, 0]
    if most < 1:
        raise BookError("a run over time needs at least one bucket")
    if len(debt) <= most:
        marks = np.arange(len(debt))
    else:
        share = (np.cumsum(debt) - debt / 2) / debt.sum()
        _, marks = np.unique(np.minimum((share * most).astype(np.int64), most - 1), return_inverse=True)
    size = int(marks[-1]) + 1

    def summed(values: Floats) -> Floats:
        return np.bincount(marks, weights=values, minlength=size).astype(np.float64)

    owed, held = summed(debt), summed(units)
    threshold = summed(book.threshold[order] * units) / held
    bonus = summed(book.bonus[order] * debt) / owed
    return Buckets(held, owed, threshold, bonus, summed(np.ones_like(debt)), owed / (held * threshold))


def chunks(paths: int) -> list[tuple[int, int]]:
    """Return (index, paths) of every chunk; raises `BookError` for a number of paths that is none."""
    if not 0 < paths <= MOST_PATHS:
        raise BookError(f"paths: {paths} is not between 1 and {MOST_PATHS:,}")
    return [(index, min(CHUNK, paths - at)) for index, at in enumerate(range(0, paths, CHUNK))]


def run_chunk(buckets: Buckets, impact: Impact, setting: Setting, seed: int, index: int, paths: int) -> Outcomes:
    """Return the outcomes of chunk `index`; the same in whatever process it runs."""
    random = np.random.default_rng(np.random.SeedSequence([seed, index]))
    sigma = setting.volatility * math.sqrt(setting.step_minutes / (60 * 24 * _DAYS))
    returns = random.standard_normal((paths, setting.steps)) * sigma - sigma * sigma / 2
    returns[:, 0] += math.log1p(setting.shock)
    return walked(buckets, impact, setting, impact.start * np.exp(np.cumsum(returns, axis=1)))


def walked(buckets: Buckets, impact: Impact, setting: Setting, exogenous: Floats) -> Outcomes:
    """Return the outcomes of given exogenous price paths, one row a path."""
    paths, steps = exogenous.shape
    units = np.broadcast_to(buckets.collateral, (paths, len(buckets))).copy()
    debt = np.broadcast_to(buckets.debt, (paths, len(buckets))).copy()
    sold, repaid, bad = np.zeros(paths), np.zeros(paths), np.zeros(paths)
    pressure = np.zeros(paths)
    oracle = np.full(paths, impact.start)
    market = oracle.copy()
    trough, oracle_trough = oracle.copy(), oracle.copy()
    seen: list[Floats] = []
    for step in range(steps):
        outside = exogenous[:, step]
        market = outside * impact.left(pressure, outside)
        seen.append(market)
        oracle = _shown(setting, oracle, market, seen)
        oracle_trough = np.minimum(oracle_trough, oracle)
        # Only loans that some oracle price was below so far can be due: those of a prefix, in paths that fell to it.
        some = int(np.searchsorted(-buckets.due, -float(oracle_trough.min()), side="left"))
        hit = np.flatnonzero(oracle_trough < buckets.due[0])
        if len(hit):
            taken, paid, lost = _liquidated(
                buckets, impact, setting, units, debt, hit, some, (oracle[hit], outside[hit], pressure[hit])
            )
            pressure[hit] += taken
            sold[hit] += taken
            repaid[hit] += paid
            bad[hit] += lost
        market = outside * impact.left(pressure, outside)
        trough = np.minimum(trough, market)
        pressure *= 1 - setting.heal
    cover = units * oracle[:, None] * buckets.threshold
    unhealthy = np.where((cover < debt) & (debt > _DUST), debt, 0.0).sum(axis=1)
    lowest = np.minimum(exogenous.min(axis=1), impact.start)
    return np.stack([lowest, trough, oracle_trough, repaid, sold, bad, unhealthy, market], axis=1)


def _shown(setting: Setting, oracle: Floats, market: Floats, seen: Sequence[Floats]) -> Floats:
    """Return the oracle's price at a step, from its last one and the market's so far."""
    match setting.rule:
        case OracleRule.INSTANT:
            return market
        case OracleRule.DEVIATION:
            return np.where(np.abs(market / oracle - 1) >= setting.deviation, market, oracle)
        case OracleRule.DELAYED:
            return seen[-1 - setting.delay] if len(seen) > setting.delay else oracle


def _liquidated(
    buckets: Buckets,
    impact: Impact,
    setting: Setting,
    all_units: Floats,
    all_debt: Floats,
    hit: NDArray[np.int64],
    some: int,
    prices: tuple[Floats, Floats, Floats],
) -> tuple[Floats, Floats, Floats]:
    """Liquidate among the first `some` buckets of the paths `hit` in place; return units sold, debt repaid, bad debt.

    Buckets are worked through a block at a time, and a path leaves as soon as its liquidators can do no more.
    """
    oracle, outside, pressure = prices
    worth = buckets.debt / buckets.loans * buckets.bonus
    most = 1 + float(buckets.bonus[:some].max())
    widest = _room(impact, setting, most, oracle[:, None], outside[:, None], pressure[:, None])[:, 0]
    sold, repaid, bad = np.zeros(len(hit)), np.zeros(len(hit)), np.zeros(len(hit))
    before, paid = np.zeros(len(hit)), np.zeros(len(hit))
    for at in range(0, some, _BLOCK):
        rows = np.flatnonzero((before < widest) & (paid < setting.throughput))
        if not len(rows):
            break
        cut, where = slice(at, min(at + _BLOCK, some)), hit[rows]
        units, debt = all_units[where, cut], all_debt[where, cut]
        bonus, price = 1 + buckets.bonus[cut], oracle[rows, None]
        cover = units * price * buckets.threshold[cut]
        due = (cover < debt) & (debt > _DUST)
        if not due.any():
            continue
        factor = np.where(cover > CLOSE_ALL_BELOW * debt, setting.close_factor, 1.0)
        repay = np.where(due & (worth[cut] * factor > setting.gas), factor * debt, 0.0)
        seize = np.minimum(repay * bonus / price, units)
        repay = seize * price / bonus
        room = _room(impact, setting, bonus, price, outside[rows, None], pressure[rows, None])
        ahead = before[rows, None] + np.cumsum(seize, axis=1)
        asked = paid[rows, None] + np.cumsum(repay, axis=1)
        before[rows], paid[rows] = ahead[:, -1], asked[:, -1]
        with np.errstate(divide="ignore", invalid="ignore"):
            share = np.minimum((room - ahead + seize) / seize, (setting.throughput - asked + repay) / repay)
        share = np.where(seize > 0, np.clip(share, 0.0, 1.0), 0.0)
        seize, repay = seize * share, repay * share
        units, debt = units - seize, debt - repay
        spent = (units <= _DUST * buckets.collateral[cut]) & (debt > 0)
        bad[rows] += np.where(spent, debt, 0.0).sum(axis=1)
        debt[spent] = 0.0
        all_units[where, cut], all_debt[where, cut] = units, debt
        sold[rows] += seize.sum(axis=1)
        repaid[rows] += repay.sum(axis=1)
    return sold, repaid, bad


def _room(
    impact: Impact, setting: Setting, bonus: Floats | float, oracle: Floats, outside: Floats, pressure: Floats
) -> Floats:
    """Return how many units more can be sold before one does not pay.

    It pays while the market's price for it, less the fee, is at least the oracle's over 1 + bonus.
    """
    least = oracle / (bonus * (1 - setting.fee)) / outside
    room = np.maximum(impact.room(np.minimum(least, 1.0), outside) - pressure, 0.0)
    return np.asarray(np.where(least > 1, 0.0, room), np.float64)


Map = Callable[[Buckets, Impact, Setting, int, Sequence[tuple[int, int]]], Iterable[Outcomes]]
"""What runs chunks and gives their outcomes in order: this process, or a cluster."""


def here(
    buckets: Buckets, impact: Impact, setting: Setting, seed: int, parts: Sequence[tuple[int, int]]
) -> Iterable[Outcomes]:
    """Run the chunks one after another in this process."""
    return (run_chunk(buckets, impact, setting, seed, index, paths) for index, paths in parts)


def simulated(
    buckets: Buckets, impact: Impact, setting: Setting, *, paths: int, seed: int, run: Map = here
) -> Outcomes:
    """Return the outcomes of `paths` paths; memory holds one chunk at a time. Raises `BookError` for bad settings."""
    checked(setting)
    return np.concatenate(list(run(buckets, impact, setting, seed, chunks(paths))))


def checked(setting: Setting) -> Setting:
    """Return `setting` as it is; raises `BookError` naming the figure that is out of range."""
    for name, value, least, most in (
        ("volatility", setting.volatility, 1e-6, 20),
        ("steps", setting.steps, 1, MOST_STEPS),
        ("step-minutes", setting.step_minutes, 1e-3, 1e6),
        ("heal", setting.heal, 0, 1),
        ("close-factor", setting.close_factor, 1e-6, 1),
        ("fee", setting.fee, 0, 0.5),
        ("deviation", setting.deviation, 0, 1),
        ("delay", setting.delay, 0, MOST_STEPS),
    ):
        if not least <= value <= most:  # NaN is refused too
            raise BookError(f"{name}: {value:g} is not between {least:g} and {most:g}")
    if not setting.throughput > 0 or not setting.gas >= 0:
        raise BookError("throughput: must be positive, and gas not negative")
    return setting
