"""How good probabilities are: log loss beside the closed form, calibration error, tail cells, intervals by bootstrap.

Log loss clips probabilities at 1e-5, which helps the closed form. Calibration error: 20 bins of equal count. Cells
that never happened are left out unless asked for. Intervals resample whole weeks (all assets and barriers of a week
together), 95 %.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from engine.simulation.candles import HOUR_S, Candles, Floats
from engine.simulation.features import daily, hourly, log_sigma
from engine.simulation.fit import excursion, log_distance
from engine.simulation.model import Z95, Model, Outlook
from engine.simulation.regression import sigmoid

SCORED: Mapping[int, tuple[float, ...]] = {
    1: (0.01, 0.02, 0.03, 0.05),
    24: (0.03, 0.05, 0.10, 0.15),
    168: (0.05, 0.10, 0.20, 0.30),
}
"""Relative moves that are scored, by horizon in hours."""
WEEK_S = 7 * 86_400
_CLIP = 1e-5
_BINS = 20
_erfc = np.vectorize(math.erfc, otypes=[np.float64])


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """Forecasts of one asset and barrier over a period, the baseline, what happened, when (UTC s), 95 % bounds."""

    asset: str
    move: float
    said: Floats
    baseline: Floats
    happened: Floats
    ts: Floats
    low: Floats
    high: Floats

    @property
    def hits(self) -> int:
        """Return how many hours were followed by the move; neighbours overlap."""
        return int(self.happened.sum())


@dataclass(frozen=True, slots=True)
class Score:
    """The scores of one horizon and direction over a period."""

    hours: int
    side: str
    count: int
    log_loss: float
    baseline_log_loss: float
    ratio: float
    low: float
    high: float
    calibration_error: float
    baseline_calibration_error: float


def closed_form(distance: float, sigma: Floats, hours: float) -> Floats:
    """Return 2 Phi(-distance / (sigma sqrt(hours))) for an array of volatilities per root hour."""
    return np.asarray(_erfc(distance / (sigma * math.sqrt(2 * hours))), dtype=np.float64)


def cells(
    model: Model,
    series: Mapping[str, Candles],
    hours: int,
    side: str,
    begin_s: float,
    end_s: float,
    moves: Sequence[float] | None = None,
) -> list[Cell]:
    """Return the forecasts at every hour from `begin_s` until `end_s` whose outcome is known, by asset and barrier."""
    found = []
    for asset, candles in series.items():
        moved = excursion(candles, hours, side)
        chosen = np.flatnonzero((candles.ts >= begin_s) & (candles.ts < end_s) & np.isfinite(moved))
        features = {name: values[chosen] for name, values in (hourly(candles) | daily(candles, 24)).items()}
        sigma = np.exp(log_sigma(candles, 720)[chosen])
        outlook = Outlook(model, features, side)
        for move in moves or SCORED[hours]:
            distance = log_distance(move, side)
            odds = outlook.log_odds(hours, distance)
            wide = Z95 * outlook.errors(hours, distance)
            happened = (moved[chosen] >= distance).astype(np.float64)
            baseline = closed_form(distance, sigma, hours)
            found.append(
                Cell(
                    asset,
                    move,
                    sigmoid(odds),
                    baseline,
                    happened,
                    candles.ts[chosen] + HOUR_S,
                    sigmoid(odds - wide),
                    sigmoid(odds + wide),
                )
            )
    return found


def held(found: Sequence[Cell], fewest: int = 5) -> tuple[int, int]:
    """Return in how many half-years of cells the frequency lay between the mean bounds, of how many.

    A half-year counts where at least `fewest` hours were expected to be hit.
    """
    inside = total = 0
    for cell in found:
        half = ((cell.ts - cell.ts[0]) // (WEEK_S * 26)).astype(int)
        for part in range(int(half.max()) + 1):
            chosen = half == part
            if float(cell.said[chosen].sum()) >= fewest and int(chosen.sum()) > 24 * 7 * 8:
                total += 1
                seen = float(cell.happened[chosen].mean())
                inside += float(cell.low[chosen].mean()) <= seen <= float(cell.high[chosen].mean())
    return inside, total


def log_loss(said: Floats, happened: Floats) -> Floats:
    """Return the log loss of every forecast, probabilities clipped at 1e-5."""
    clipped = np.clip(said, _CLIP, 1 - _CLIP)
    return np.asarray(-(happened * np.log(clipped) + (1 - happened) * np.log(1 - clipped)), dtype=np.float64)


def calibration_error(said: Floats, happened: Floats) -> float:
    """Return the expected calibration error: mean over 20 bins of equal count of |mean forecast - frequency|."""
    bins = np.empty(len(said), dtype=np.int64)
    bins[np.argsort(said, kind="stable")] = np.arange(len(said)) * _BINS // len(said)
    gaps = np.bincount(bins, weights=said - happened, minlength=_BINS)
    return float(np.abs(gaps).sum() / len(said))


def score(
    found: Sequence[Cell], hours: int, side: str, *, with_empty: bool = False, draws: int = 1000, seed: int = 20240101
) -> Score:
    """Return the pooled scores of cells and the interval of the ratio of log losses; `with_empty` takes all cells."""
    found = [cell for cell in found if with_empty or cell.hits]
    said = np.concatenate([cell.said for cell in found])
    baseline = np.concatenate([cell.baseline for cell in found])
    happened = np.concatenate([cell.happened for cell in found])
    weeks = np.unique(np.concatenate([cell.ts for cell in found]) // WEEK_S, return_inverse=True)[1]
    ours, theirs = log_loss(said, happened), log_loss(baseline, happened)
    by_week = np.bincount(weeks, weights=ours), np.bincount(weeks, weights=theirs)
    drawn = np.random.default_rng(seed).integers(0, len(by_week[0]), (draws, len(by_week[0])))
    ratios = by_week[0][drawn].sum(axis=1) / by_week[1][drawn].sum(axis=1)
    low, high = np.quantile(ratios, (0.025, 0.975))
    return Score(
        hours,
        side,
        len(said),
        float(ours.mean()),
        float(theirs.mean()),
        float(ours.sum() / theirs.sum()),
        float(low),
        float(high),
        calibration_error(said, happened),
        calibration_error(baseline, happened),
    )
