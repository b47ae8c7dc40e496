"""Fits the calibrated map to history: the same code for the coefficients that we ship and for a user's own candles.

Purged: no row whose outcome reaches into the time after `until`. Features, members and weights were chosen on data
before 2024 only, but for one choice that docs/forecast.md, the log, owns up to.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engine.simulation.candles import DAY_S, HOUR_S, CandleError, Candles, Floats
from engine.simulation.features import DAYS, NEXT_DAY, NEXT_HOUR, columns, daily, hourly
from engine.simulation.model import HORIZONS, SIDES, Map, Member, Model, design
from engine.simulation.regression import Rows, logistic, sigmoid

BARRIERS: Mapping[int, tuple[float, ...]] = {
    1: (0.002, 0.004, 0.006, 0.008, 0.01, 0.013, 0.016, 0.02, 0.025, 0.03, 0.035, 0.04, 0.05, 0.07),
    24: (0.01, 0.015, 0.02, 0.03, 0.04, 0.05, 0.06, 0.07, 0.08, 0.10, 0.12, 0.15, 0.18, 0.22),
    168: (0.02, 0.03, 0.05, 0.065, 0.08, 0.10, 0.12, 0.15, 0.175, 0.20, 0.23, 0.26, 0.30, 0.35),
}
"""Relative moves that the map learns, by horizon; its knots."""
EVERY: Mapping[int, int] = {1: 1, 24: 2, 168: 3}
"""Only every so many hours are learnt from: neighbours tell almost the same, but 2 sees half of the day's hours."""
_RIDGE = 1e-4
_BLOCK_S = 28 * DAY_S
_FEWEST = 1_000
_FARTHEST, _LEAST_HITS = 2.5, 5.0


@dataclass(frozen=True, slots=True, eq=False)
class History:
    """What is learnt from: hourly candles by asset, and longer daily ones (`days`, from `days_since_s` on) if any."""

    hours: Mapping[str, Candles]
    days: Candles | None = None
    days_since_s: float = 0.0

    def before(self, moment_s: float) -> "History":
        """Return the part that opened before `moment_s`."""
        cut = {asset: each.before(moment_s) for asset, each in self.hours.items()}
        return History(cut, None if self.days is None else self.days.before(moment_s), self.days_since_s)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """One series with its features, computed once: `ahead` candles are the horizon."""

    candles: Candles
    features: Mapping[str, Floats]
    a_day: int


def log_distance(move: float, side: str) -> float:
    """Return the log distance of a relative move: of a fall by `move` for "down", of a rise by it for "up"."""
    return float(-np.log1p(-move) if side == "down" else np.log1p(move))


def excursion(candles: Candles, ahead: int, side: str) -> Floats:
    """Return the largest log move within the next `ahead` candles, by their lows or highs; NaN where they end."""
    out = np.full(len(candles), np.nan)
    if len(candles) <= ahead:
        return out
    if side == "down":
        extreme = sliding_window_view(candles.low[1:], ahead).min(axis=1)
        out[: len(extreme)] = np.log(candles.close[: len(extreme)] / extreme)
    else:
        extreme = sliding_window_view(candles.high[1:], ahead).max(axis=1)
        out[: len(extreme)] = np.log(extreme / candles.close[: len(extreme)])
    return out


def prepare(history: History) -> tuple[list[Prepared], Prepared | None]:
    """Return every series of `history` with its features, hourly ones and the daily one."""
    hours = [Prepared(each, hourly(each) | daily(each, 24), 24) for each in history.hours.values()]
    days = None if history.days is None else Prepared(history.days, daily(history.days, 1), 1)
    return hours, days


def fit(history: History, about: Mapping[str, object], folds: Sequence[float] = ()) -> Model:
    """Return the model of all of `history`; `folds` are moments of walk-forward fits that measure the drift of levels.

    Each fold is forecast by a fit to what was before it, until the next one (the last: until the end). Raises
    `CandleError` when there is too little history.
    """
    hours, days = prepare(history)
    ends = max(each.candles.ends_s for each in hours)
    maps = fit_maps(hours, days, history.days_since_s, ends)
    if folds:
        bounds = [*folds, ends]
        drifts: dict[tuple[int, str], list[Floats]] = {key: [] for key in maps}
        for begin, end in pairwise(bounds):
            earlier = fit_maps(hours, days, history.days_since_s, begin)
            for key, found in earlier.items():
                drifts[key].append(_level_errors(found, hours, begin, end))
        maps = {key: replace(each, drift=_drift(np.stack(drifts[key]))) for key, each in maps.items()}
    return Model(maps, about)


def fit_maps(
    hours: Sequence[Prepared], days: Prepared | None, days_since_s: float, until_s: float
) -> dict[tuple[int, str], Map]:
    """Return all maps learnt from what was over before `until_s`."""
    return {(h, side): _fit_map(h, side, hours, days, days_since_s, until_s) for h in HORIZONS for side in SIDES}


def _fit_map(
    horizon: int, side: str, hours: Sequence[Prepared], days: Prepared | None, days_since_s: float, until_s: float
) -> Map:
    knots = np.array([log_distance(move, side) for move in BARRIERS[horizon]])
    centre = float(np.log(np.median(knots)))
    plans: dict[int, tuple[tuple[tuple[str, ...], int, bool, bool], ...]] = {
        1: ((NEXT_HOUR, 5, False, False),),
        24: ((NEXT_DAY, 5, False, False), (DAYS, 4, True, True)),
        168: ((DAYS, 4, True, False),),
    }
    members = []
    for names, bent, with_days, of_both in plans[horizon]:
        every = EVERY[168] if with_days else EVERY[horizon]
        sources = [(each, every, 0.0, 1.0) for each in hours]
        known = np.concatenate([_chosen(each, names, horizon, side, until_s, every)[0] for each in hours])
        if len(known) < _FEWEST:
            raise CandleError(
                f"history: has fewer than {_FEWEST} usable moments for {horizon} h; a fit needs at least nine months"
            )
        mean, spread = known.mean(axis=0), known.std(axis=0) + 1e-9
        if with_days and days is not None:
            sources.append((days, 1, days_since_s, 24 / every))
        blank = Member(names, mean, spread, bent, np.zeros(0), np.zeros((0, 0)))
        parts = []
        for direction in SIDES if of_both else (side,):
            for one, step, since_s, weight in sources:
                rows, moved, block = _chosen(one, names, horizon, direction, until_s, step, since_s)
                standard, weights = blank.standard(rows), np.full(len(moved), weight)
                for move in BARRIERS[horizon]:
                    knot = log_distance(move, direction)
                    outcome = (moved >= knot).astype(np.float64)
                    parts.append(Rows(design(standard, float(np.log(knot)) - centre, bent), outcome, weights, block))
        found = logistic(parts, _RIDGE)
        members.append(Member(names, mean, spread, bent, found.beta, found.covariance))
    return Map(
        horizon,
        side,
        centre,
        tuple(members),
        knots,
        _episodes(horizon, side, hours, knots, until_s),
        np.zeros(len(knots)),
    )


def _chosen(
    one: Prepared,
    names: tuple[str, ...],
    horizon: int,
    side: str,
    until_s: float,
    every: int,
    since_s: float = 0.0,
) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return features, excursions and block numbers of the moments that may be learnt from."""
    step_s = DAY_S / one.a_day
    moved = excursion(one.candles, horizon * one.a_day // 24, side)
    rows = columns(one.features, names)
    over = one.candles.ts + step_s + horizon * HOUR_S <= until_s  # the outcome was known before `until_s`
    usable = np.isfinite(rows).all(axis=1) & np.isfinite(moved) & over & (one.candles.ts >= since_s)
    index = np.flatnonzero(usable)[::every]
    return rows[index], moved[index], (one.candles.ts[index] // _BLOCK_S).astype(np.int64)


def _episodes(horizon: int, side: str, hours: Sequence[Prepared], knots: Floats, until_s: float) -> Floats:
    """Return how many independent moves of each size there were: apart by the horizon and a day, all assets as one."""
    apart_s = max(horizon, 24) * HOUR_S
    counts = []
    seen = []
    for one in hours:
        over = one.candles.ts + HOUR_S + horizon * HOUR_S <= until_s
        seen.append((one.candles.ts[over], excursion(one.candles, horizon, side)[over]))
    for knot in knots:
        moments: list[float] = []
        for ts, moved in seen:
            moments.extend(ts[moved >= knot].tolist())
        count, last = 0, -np.inf
        for moment in sorted(moments):
            if moment - last > apart_s:
                count, last = count + 1, moment
        counts.append(float(count))
    return np.array(counts)


def _level_errors(found: Map, hours: Sequence[Prepared], begin_s: float, end_s: float) -> Floats:
    """Return, by knot, the shift of log odds that makes the mean forecast between two moments what happened.

    At most `_FARTHEST` either way; NaN where fewer than `_LEAST_HITS` hours were expected to be hit.
    """
    logits, outcomes = [], []
    for one in hours:
        moved = excursion(one.candles, found.hours, found.side)
        inside = (one.candles.ts >= begin_s) & (one.candles.ts < end_s) & np.isfinite(moved)
        index = np.flatnonzero(inside)[:: EVERY[found.hours]]
        known = {name: values[index] for name, values in one.features.items()}
        said = found.logits(known)
        usable = np.isfinite(said).all(axis=1)
        logits.append(said[usable])
        outcomes.append(moved[index][usable][:, None] >= found.knots[None, :])
    said, happened = np.concatenate(logits), np.concatenate(outcomes).mean(axis=0)
    low, high = np.full(len(found.knots), -_FARTHEST), np.full(len(found.knots), _FARTHEST)
    for _ in range(40):
        middle = (low + high) / 2
        below = sigmoid(said + middle).mean(axis=0) < happened
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    expected = sigmoid(said).sum(axis=0)
    return np.where(expected >= _LEAST_HITS, (low + high) / 2, np.nan)


def _drift(errors: Floats) -> Floats:
    """Return the root mean square over periods of errors by knot, never falling with distance."""
    counted = np.isfinite(errors)
    sums = np.where(counted, errors, 0.0) ** 2
    return np.maximum.accumulate(np.sqrt(sums.sum(axis=0) / np.maximum(counted.sum(axis=0), 1)))


def moment(text: str) -> float:
    """Return an ISO date as UTC seconds."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
