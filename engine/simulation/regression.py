"""Weighted logistic regression with a ridge, and its cluster-robust covariance.

Newton's method (iteratively reweighted least squares; McCullagh and Nelder, Generalized Linear Models, 4.4).
Covariance: sandwich with scores summed by block (Liang and Zeger, Biometrika 73, 1986).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.simulation.candles import Floats

_ROUNDS = 40
_STILL = 1e-9
_FLOOR = 1e-9


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Part of a design: rows of predictors in order of time, outcomes 0 or 1, a weight and a block number for each."""

    design: Floats
    outcome: Floats
    weight: Floats
    block: NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Fitted:
    """Coefficients and their covariance."""

    beta: Floats
    covariance: Floats


def sigmoid(logit: Floats) -> Floats:
    """Return 1 / (1 + exp(-logit)) without overflow."""
    return np.asarray(1 / (1 + np.exp(-np.clip(logit, -500, 500))), dtype=np.float64)


def logistic(parts: Iterable[Rows], ridge: float) -> Fitted:
    """Return the coefficients that minimise mean log loss + ridge / 2 x |beta|^2, the first (constant) unpenalised.

    Raises `ValueError` when it does not settle.
    """
    parts = list(parts)
    width = parts[0].design.shape[1]
    total = sum(float(part.weight.sum()) for part in parts)
    pull = np.full(width, ridge * total)
    pull[0] = 0.0
    beta = np.zeros(width)
    for _ in range(_ROUNDS):
        slope, bend = -pull * beta, np.diag(pull + _FLOOR)
        for part in parts:
            chance = sigmoid(part.design @ beta)
            slope += part.design.T @ (part.weight * (part.outcome - chance))
            bend += (part.design * (part.weight * chance * (1 - chance))[:, None]).T @ part.design
        step = np.linalg.solve(bend, slope)
        beta = beta + step
        if float(np.abs(step).max()) < _STILL:
            return Fitted(beta, _sandwich(parts, beta, bend))
    raise ValueError("the regression does not settle; are there events at every barrier?")


def _sandwich(parts: list[Rows], beta: Floats, bend: Floats) -> Floats:
    sums: dict[int, Floats] = {}
    for part in parts:
        pushed = part.design * (part.weight * (part.outcome - sigmoid(part.design @ beta)))[:, None]
        blocks, first = np.unique(part.block, return_index=True)  # rows come in order of time, so blocks are runs
        gathered = np.add.reduceat(pushed, first, axis=0)
        for block, score in zip(blocks.tolist(), gathered, strict=True):
            sums[block] = sums.get(block, np.zeros(len(beta))) + score
    scores = np.stack([sums[block] for block in sorted(sums)])
    inverse = np.linalg.inv(bend)
    return np.asarray(inverse @ (scores.T @ scores) @ inverse, dtype=np.float64)
