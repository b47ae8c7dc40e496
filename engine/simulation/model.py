"""The calibrated map: from what is known of a price now to the chance that it moves a distance within a horizon.

For each of three horizons and both directions one or two logistic regressions on the log distance, its square,
volatility over several windows and the season; two are averaged in log odds. They are evaluated at knots of distance
that fall with distance and rise with the horizon, and interpolated between: docs/forecast.md has the scores.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

import numpy as np

from engine.simulation.candles import CandleError, Floats
from engine.simulation.features import columns
from engine.simulation.regression import sigmoid

SCHEMA = "marginline.calibration/1"
HORIZONS: Final = (1, 24, 168)
SIDES: Final = ("down", "up")
Z95: Final = 1.959963984540054
"""Standard errors to either side of a 95 % interval."""
_FARTHEST = 5.0
"""Features count at most so many standard deviations from their mean."""
_STEEPEST, _FLATTEST = -8.0, -0.7
"""Slopes of the log odds over the log distance beyond the outermost knots lie between these."""
_SLOPE_ERROR = 2.0
"""Standard error of that slope: how unsure log odds get beyond the knots, per unit of log distance."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One logistic regression on 1, the log distance, its square, the features, and the first `bent` x log distance."""

    features: tuple[str, ...]
    mean: Floats
    spread: Floats
    bent: int
    beta: Floats
    covariance: Floats

    def standard(self, known: Floats) -> Floats:
        """Return raw features scaled, one row per moment."""
        return np.clip((known - self.mean) / self.spread, -_FARTHEST, _FARTHEST)


@dataclass(frozen=True, slots=True, eq=False)
class Map:
    """The map of one horizon and direction.

    `knots` are log distances; `episodes` counts the independent moves of each size in the history it was fitted to;
    `drift` is how far half a year's frequency strayed from the forecast in log odds, by knot, in walk-forward fits.
    """

    hours: int
    side: str
    centre: float
    members: tuple[Member, ...]
    knots: Floats
    episodes: Floats
    drift: Floats

    def logits(self, features: Mapping[str, Floats]) -> Floats:
        """Return log odds at every knot, one row per moment; each row falls with distance."""
        total: Floats = np.zeros(1)
        for member in self.members:
            standard = member.standard(columns(features, member.features))
            total = total + np.stack(
                [design(standard, knot, member.bent) @ member.beta for knot in np.log(self.knots) - self.centre], axis=1
            )
        return np.minimum.accumulate(total / len(self.members), axis=1)

    def errors(self, features: Mapping[str, Floats]) -> Floats:
        """Return the standard error of the log odds at every knot, one row per moment; without `drift`."""
        total: Floats = np.zeros(1)
        for member in self.members:
            standard = member.standard(columns(features, member.features))
            spreads = []
            for knot in np.log(self.knots) - self.centre:
                rows = design(standard, knot, member.bent)
                spreads.append(np.sqrt(np.maximum(np.einsum("ij,jk,ik->i", rows, member.covariance, rows), 0.0)))
            total = total + np.stack(spreads, axis=1)
        return total / len(self.members)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """All maps by (hours, side), and where they come from."""

    maps: Mapping[tuple[int, str], Map]
    about: Mapping[str, Any]


def design(standard: Floats, offset: float, bent: int) -> Floats:
    """Return the predictors of one regression at a log distance `offset` from its centre."""
    ones = np.ones((len(standard), 1))
    return np.concatenate([ones, ones * offset, ones * offset * offset, standard, standard[:, :bent] * offset], axis=1)


def at_distance(knots: Floats, logits: Floats, distance: Floats) -> Floats:
    """Return the log odds at one log distance for every row of `logits`; linear in the log of the distance.

    Beyond the knots the line goes on with the slope of the outermost pair, within `_STEEPEST` and `_FLATTEST`.
    """
    places, at = np.log(knots), np.log(distance)
    right = np.clip(np.searchsorted(places, at), 1, len(places) - 1)
    rows = np.arange(len(logits))
    near, far = logits[rows, right - 1], logits[rows, right]
    slope = (far - near) / (places[right] - places[right - 1])
    beyond = np.clip(slope, _STEEPEST, _FLATTEST)
    inside = near + slope * (at - places[right - 1])
    shorter = near + beyond * (at - places[0])
    longer = far + beyond * (at - places[-1])
    return np.asarray(np.where(at < places[0], shorter, np.where(at > places[-1], longer, inside)), dtype=np.float64)


class Outlook:
    """What the model says of one direction at one or many moments, whatever the distance and the horizon.

    `features` hold one value per moment. Never falls as the horizon grows or the distance shrinks.
    """

    def __init__(self, model: Model, features: Mapping[str, Floats], side: str) -> None:
        self._maps = [model.maps[horizon, side] for horizon in HORIZONS]
        self._features = features
        self._logits = [each.logits(features) for each in self._maps]
        self._errors: dict[int, Floats] = {}

    def log_odds(self, hours: float, distance: Floats | float) -> Floats:
        """Return the log odds of a move of log `distance` within `hours`, one per moment.

        Between fitted horizons it is linear in the log of the horizon; shorter and longer ones move the distance by the
        root of time. Raises `ValueError` unless both are positive.
        """
        if hours <= 0 or not np.all(np.asarray(distance) > 0):
            raise ValueError("a forecast needs a positive horizon and distance")
        far = np.broadcast_to(np.asarray(distance, dtype=np.float64), (len(self._logits[0]),))
        fitted = min(max(hours, HORIZONS[0]), HORIZONS[-1])
        far = far * self._scale(hours)
        best = at_distance(self._maps[0].knots, self._logits[0], far)
        for before, horizon, found, logits in zip(
            HORIZONS, HORIZONS[1:], self._maps[1:], self._logits[1:], strict=False
        ):
            if fitted <= before:
                break
            rising = np.fmax(best, at_distance(found.knots, logits, far))
            share = min(1.0, math.log(fitted / before) / math.log(horizon / before))
            best = best + (rising - best) * share
        return best

    def chances(self, hours: float, distance: Floats | float) -> Floats:
        """Return the probability of a move of log `distance` within `hours`, one per moment."""
        return sigmoid(self.log_odds(hours, distance))

    def errors(self, hours: float, distance: float) -> Floats:
        """Return the standard error of `log_odds`: coefficients and the drift of levels, at the nearest horizon."""
        index = self._nearest(hours)
        found = self._maps[index]
        if index not in self._errors:
            self._errors[index] = found.errors(self._features)
        places, at = np.log(found.knots), math.log(distance * self._scale(hours))
        right = int(np.clip(np.searchsorted(places, at), 1, len(places) - 1))
        share = float(np.clip((at - places[right - 1]) / (places[right] - places[right - 1]), 0.0, 1.0))
        here = self._errors[index][:, right - 1] * (1 - share) + self._errors[index][:, right] * share
        drift = float(np.interp(at, places, found.drift))
        beyond = _SLOPE_ERROR * max(0.0, at - places[-1], places[0] - at)
        return np.asarray(np.sqrt(here * here + drift * drift + beyond * beyond), dtype=np.float64)

    def edge(self, hours: float) -> float:
        """Return the largest distance that the map of `hours` was fitted to."""
        return float(self._maps[self._nearest(hours)].knots[-1]) / self._scale(hours)

    def is_within(self, hours: float, distance: float) -> bool:
        """Return whether the map was fitted to moves as small and as large as `distance`."""
        knots = self._maps[self._nearest(hours)].knots
        return bool(knots[0] * (1 - 1e-9) <= distance * self._scale(hours) <= knots[-1] * (1 + 1e-9))

    def episodes(self, hours: float, distance: float) -> int:
        """Return how many independent moves at least that large the history held, within the nearest fitted horizon."""
        found = self._maps[self._nearest(hours)]
        index = int(np.searchsorted(found.knots, distance * self._scale(hours) * (1 - 1e-9)))
        return int(found.episodes[index]) if index < len(found.knots) else 0

    def distance_at(self, hours: float, chance: float) -> Floats:
        """Return the log distance that is reached within `hours` with probability `chance`, one per moment."""
        wanted = math.log(chance / (1 - chance))
        low, high = np.full(len(self._logits[0]), 1e-4), np.full(len(self._logits[0]), 3.0)
        for _ in range(40):
            middle = np.sqrt(low * high)
            reached = self.log_odds(hours, middle) >= wanted
            low, high = np.where(reached, middle, low), np.where(reached, high, middle)
        return np.asarray(np.sqrt(low * high), dtype=np.float64)

    def _scale(self, hours: float) -> float:
        """Return by how much a distance counts at the outermost fitted horizon when `hours` lies beyond it."""
        return math.sqrt(min(max(hours, HORIZONS[0]), HORIZONS[-1]) / hours)

    def _nearest(self, hours: float) -> int:
        return min(range(len(HORIZONS)), key=lambda index: abs(math.log(HORIZONS[index] / hours)))


def parse_model(text: str | bytes) -> Model:
    """Return the model of a calibration file; raises `CandleError` for another schema or shape."""
    try:
        said = json.loads(text)
        if said["schema"] != SCHEMA:
            raise CandleError(f"calibration: schema is {str(said['schema'])[:40]!r}, not {SCHEMA}")
        found = {(each["hours"], each["side"]): _map(each) for each in said["maps"]}
        lacking = [f"{hours} h {side}" for hours in HORIZONS for side in SIDES if (hours, side) not in found]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        if isinstance(error, CandleError):
            raise
        raise CandleError(f"calibration: cannot be read: {type(error).__name__} {error}") from error
    if lacking:
        raise CandleError(f"calibration: lacks {', '.join(lacking)}")
    return Model(found, said["about"])


def render_model(model: Model) -> str:
    """Return `model` as the text of a calibration file; numbers carry ten significant digits, spreads four."""
    maps = [
        {
            "hours": each.hours,
            "side": each.side,
            "centre": _digits(each.centre),
            "knots": [_digits(value) for value in each.knots],
            "episodes": [int(value) for value in each.episodes],
            "drift": [_digits(value, 4) for value in each.drift],
            "members": [
                {
                    "features": list(member.features),
                    "bent": member.bent,
                    "mean": [_digits(value) for value in member.mean],
                    "spread": [_digits(value) for value in member.spread],
                    "beta": [_digits(value) for value in member.beta],
                    "covariance": [_digits(value, 4) for value in member.covariance[np.tril_indices(len(member.beta))]],
                }
                for member in each.members
            ],
        }
        for each in model.maps.values()
    ]
    lines = ",\n".join(json.dumps(each) for each in maps)
    return f'{{"schema": "{SCHEMA}",\n"about": {json.dumps(model.about, indent=1)},\n"maps": [\n{lines}\n]}}\n'


@lru_cache(maxsize=1)
def frozen() -> Model:
    """Return the model that comes with the program."""
    return parse_model(files("engine.simulation").joinpath("calibration.json").read_bytes())


def read_model(path: Path) -> Model:
    """Return the model in a file; raises `CandleError`."""
    try:
        return parse_model(path.read_bytes())
    except OSError as error:
        raise CandleError(f"{path}: cannot be read: {error.strerror or error}") from error


def _map(said: Mapping[str, Any]) -> Map:
    members = []
    for each in said["members"]:
        beta = np.array(each["beta"], dtype=np.float64)
        covariance = np.zeros((len(beta), len(beta)))
        covariance[np.tril_indices(len(beta))] = each["covariance"]
        covariance = covariance + np.tril(covariance, -1).T
        mean, spread = np.array(each["mean"], dtype=np.float64), np.array(each["spread"], dtype=np.float64)
        if len(mean) != len(each["features"]) or len(beta) != 3 + len(mean) + each["bent"]:
            raise CandleError("calibration: coefficients and features differ in number")
        members.append(Member(tuple(each["features"]), mean, spread, each["bent"], beta, covariance))
    knots = np.array(said["knots"], dtype=np.float64)
    episodes = np.array(said["episodes"], dtype=np.float64)
    drift = np.array(said["drift"], dtype=np.float64)
    if not len(knots) == len(episodes) == len(drift):
        raise CandleError("calibration: knots, episodes and drift differ in number")
    return Map(said["hours"], said["side"], said["centre"], tuple(members), knots, episodes, drift)


def _digits(value: float, count: int = 10) -> float:
    return float(f"{float(value):.{count}g}")
