"""Where the simulated prices are: a pure function of seed, scenario and simulated time.

A log price is a sum of sines, one per octave from seconds to weeks, with amplitudes that grow with the root of the
period. Its increments then grow with the root of time as those of a random walk do, and any moment, past or future,
costs the same to ask for: nothing is stepped, so nothing can drift apart between two runs.
"""

from collections.abc import Mapping
from decimal import Decimal
from functools import lru_cache
from math import exp, pi, sin, sqrt
from random import Random

from engine.record import record
from providers.simulated.scenarios import Scenario

YEAR_S = 365 * 86_400
STEP_S = 0.1

_FASTEST_S = 3.0
_OCTAVES = 21
# Variance per second of the unscaled sum, measured over 400 seeds and spans from 1 s to 3 days (12.0 to 14.6).
_VARIANCE_PER_S = 13.4


@record
class AssetShape:
    """One simulated asset: price at the start, weight on its common factor, own annual volatility, decimal places."""

    start: float
    factor: str
    beta: float
    own_volatility: float
    places: int


_FACTOR_VOLATILITY = {"crypto": 0.44, "stocks": 0.14, "none": 0.0}

_SHAPES: Mapping[str, AssetShape] = {
    "BTC": AssetShape(61_100, "crypto", 1.0, 0.10, 1),
    "ETH": AssetShape(2_480, "crypto", 1.2, 0.28, 2),
    "SOL": AssetShape(138, "crypto", 1.4, 0.42, 3),
    "XRP": AssetShape(2.12, "crypto", 1.2, 0.50, 4),
    "SPY": AssetShape(500, "stocks", 1.0, 0.01, 2),
    "QQQ": AssetShape(430, "stocks", 1.3, 0.06, 2),
}
_PEGS: Mapping[str, AssetShape] = {
    "USDC": AssetShape(0.9999, "none", 0.0, 0.0, 6),
    "USDT": AssetShape(1.0002, "none", 0.0, 0.0, 6),
}
_STAKED_RATE = 1.19
_STAKING_RATE = 0.029
# wstETH and WBTC trade a little below what backs them.
_STAKED_DISCOUNT, _WRAPPED_DISCOUNT = 0.0004, 0.0006

STABLE_ASSETS = frozenset(_PEGS)
ASSETS = frozenset({*_SHAPES, *_PEGS, "wstETH", "WBTC"})
PLACES: Mapping[str, int] = {
    **{asset: shape.places for asset, shape in (*_SHAPES.items(), *_PEGS.items())},
    "wstETH": 2,
    "WBTC": 1,
}


def decimal_of(value: float, places: int) -> Decimal:
    """Return `value` rounded to `places` decimals, at least one unit of the last place."""
    return Decimal(max(round(value * 10**places), 1)).scaleb(-places)


def noise(key: int, step: int) -> float:
    """Return a reproducible figure in [-1, 1) that looks unrelated from one step to the next."""
    mixed = (step * 0x9E3779B97F4A7C15 + key * 0xBF58476D1CE4E5B9) & 0xFFFFFFFFFFFFFFFF
    mixed = ((mixed ^ (mixed >> 30)) * 0x94D049BB133111EB) & 0xFFFFFFFFFFFFFFFF
    return (mixed ^ (mixed >> 31)) / 2**63 - 1.0


class _Waves:
    """A log deviation that is 0 at the start and moves like a walk of the given annual volatility."""

    def __init__(self, key: str, volatility: float) -> None:
        chance = Random(key)
        scale = volatility / sqrt(YEAR_S * _VARIANCE_PER_S)
        self._waves: list[tuple[float, float, float]] = []
        for octave in range(_OCTAVES):
            period = _FASTEST_S * 2**octave * chance.uniform(0.8, 1.2)
            self._waves.append((2 * pi / period, chance.uniform(0, 2 * pi), scale * sqrt(_FASTEST_S * 2**octave)))
        self._offset = self._sum(0.0)

    def _sum(self, at_s: float) -> float:
        return sum(size * sin(pace * at_s + phase) for pace, phase, size in self._waves)

    def at(self, at_s: float) -> float:
        return self._sum(at_s) - self._offset


class Prices:
    """The market's own prices, in dollars, before any venue or oracle has looked at them."""

    def __init__(self, scenario: Scenario, seed: int) -> None:
        self._scenario = scenario
        self._factors = {name: _Waves(f"{seed}:{name}", size) for name, size in _FACTOR_VOLATILITY.items() if size}
        self._own = {name: _Waves(f"{seed}:{name}", shape.own_volatility) for name, shape in _SHAPES.items()}
        self._wobble = {name: Random(f"{seed}:{name}:peg").uniform(0, 2 * pi) for name in _PEGS}
        self._at_step = lru_cache(maxsize=4096)(self._compute)

    def at(self, asset: str, at_s: float) -> float:
        """Return the price at `at_s`, in dollars; the market moves in steps of `STEP_S`. Raises `KeyError`."""
        return self._at_step(asset, int(at_s // STEP_S))

    def rate(self, asset: str, at_s: float) -> float:
        """Return what one wstETH is worth in ETH by its contract, or one WBTC in BTC by its custodian."""
        return _STAKED_RATE * exp(_STAKING_RATE * at_s / YEAR_S) if asset == "wstETH" else 1.0

    def _compute(self, asset: str, step: int) -> float:
        at_s = step * STEP_S
        if asset == "wstETH":
            return self.at("ETH", at_s) * self.rate(asset, at_s) * (1 - _STAKED_DISCOUNT)
        if asset == "WBTC":
            return self.at("BTC", at_s) * self.rate(asset, at_s) * (1 - _WRAPPED_DISCOUNT)
        if asset in _SHAPES and _SHAPES[asset].factor == "stocks":
            # A broker's prices come by the minute, not by the tick.
            at_s = at_s // 60 * 60
        move = self._scenario.moves.get(asset)
        shift = move.factor(at_s) if move else 1.0
        if asset in _PEGS:
            phase = self._wobble[asset]
            drift = 0.00015 * sin(at_s / 997 + phase) + 0.00008 * sin(at_s / 61 + 2 * phase)
            return _PEGS[asset].start * (1 + drift) * shift
        shape = _SHAPES[asset]
        log_move = shape.beta * self._factors[shape.factor].at(at_s) + self._own[asset].at(at_s)
        return shape.start * exp(log_move) * shift
