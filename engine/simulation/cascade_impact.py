"""What selling moves: a constant-product pool, or an order book, as the price after so many units are sold.

A pool's depth is its reserve of the collateral at today's price; arbitrage moves it along x y = k with every other
move of the price (x = X sqrt(p0 / p)). An order book keeps its levels as fractions of its middle and moves with it.
Below the last level that was read a book goes on as a constant-product pool through that level: an extrapolation.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engine.depth import Depth
from engine.simulation.cascade_book import BookError, Floats


class Impact(Protocol):
    """How far a price falls when units of its asset are sold at once. `start` is the price before any shock."""

    @property
    def start(self) -> float: ...
    @property
    def says(self) -> str: ...
    def left(self, sold: Floats, price: Floats) -> Floats:
        """Return the price after `sold` units over `price`, the price without them."""

    def room(self, fraction: Floats, price: Floats) -> Floats:
        """Return how many units bring the price down to `fraction` of `price`."""

    def proceeds(self, sold: float, price: float, already: float = 0.0) -> float:
        """Return what selling `sold` units brings after `already` were sold, before fees, in quote currency."""


@dataclass(frozen=True, slots=True)
class Pool:
    """A constant-product pool that holds `reserve` units of the collateral at the price `start`."""

    reserve: float
    start: float

    @property
    def says(self) -> str:
        """Return what it is, in words."""
        return f"a constant-product pool of {self.reserve:,.6g} units"

    def held(self, price: Floats) -> Floats:
        """Return the reserve when everything but liquidations has moved the price to `price`."""
        return np.asarray(self.reserve * np.sqrt(self.start / price), np.float64)

    def left(self, sold: Floats, price: Floats) -> Floats:
        """Return (X / (X + S))^2."""
        held = self.held(price)
        return np.asarray((held / (held + sold)) ** 2, np.float64)

    def room(self, fraction: Floats, price: Floats) -> Floats:
        """Return X (1 / sqrt(fraction) - 1)."""
        return np.asarray(self.held(price) * (1 / np.sqrt(fraction) - 1), np.float64)

    def proceeds(self, sold: float, price: float, already: float = 0.0) -> float:
        """Return y s / (x + s) of the pool as `already` sold units left it."""
        held = self.reserve * math.sqrt(self.start / price)
        x = held + already
        return held * held * price / x * sold / (x + sold)


@dataclass(frozen=True, slots=True, eq=False)
class Levels:
    """The bids of an order book: `fractions` of its middle, falling, and the units sold when each is used up."""

    fractions: Floats
    sold: Floats
    paid: Floats
    start: float
    source: str = "an order book"

    @property
    def says(self) -> str:
        """Return what it is, in words."""
        return f"{self.source}: {len(self.sold)} bids, {self.sold[-1]:,.6g} units down to {self.fractions[-1] - 1:.2%}"

    @property
    def beyond(self) -> float:
        """Return the reserve of the pool that goes on below the last level."""
        return float(self.sold[-1] / (1 / math.sqrt(self.fractions[-1]) - 1))

    def left(self, sold: Floats, price: Floats) -> Floats:
        """Return the fraction of the level at which selling stops; 1 when nothing is sold."""
        at = np.searchsorted(self.sold, sold, side="left")
        inside = self.fractions[np.minimum(at, len(self.sold) - 1)]
        reserve = self.beyond
        deeper = (reserve / (reserve + sold)) ** 2
        return np.asarray(np.where(sold <= 0, 1.0, np.where(at < len(self.sold), inside, deeper)), np.float64)

    def room(self, fraction: Floats, price: Floats) -> Floats:
        """Return the units at levels that are not below `fraction`, and at those of the pool beyond."""
        count = np.searchsorted(-self.fractions, -np.asarray(fraction), side="right")
        inside = np.concatenate([[0.0], self.sold])[count]
        deeper = self.beyond * (1 / np.sqrt(fraction) - 1)
        return np.asarray(np.where(count < len(self.sold), inside, np.maximum(inside, deeper)), np.float64)

    def proceeds(self, sold: float, price: float, already: float = 0.0) -> float:
        """Return what the levels pay between `already` and `already` + `sold`."""
        return price * (self._paid(already + sold) - self._paid(already))

    def _paid(self, sold: float) -> float:
        last = float(self.sold[-1])
        inside = float(
            np.interp(min(sold, last), np.concatenate([[0.0], self.sold]), np.concatenate([[0.0], self.paid]))
        )
        if sold <= last:
            return inside
        reserve = self.beyond
        return inside + reserve * reserve * (1 / (reserve + last) - 1 / (reserve + sold))


def levels_of(bids: Iterable[tuple[float, float]], middle: float, source: str = "an order book") -> Levels:
    """Return the impact curve of (price, quantity) bids around `middle`; raises `BookError` for what is no book."""
    rows = sorted(((price / middle, size) for price, size in bids), key=lambda row: -row[0])
    good = all(math.isfinite(price) and math.isfinite(size) and price > 0 and size > 0 for price, size in rows)
    if not rows or not good or not (math.isfinite(middle) and middle > 0):
        raise BookError(f"{source}: needs bids with positive prices and quantities")
    if rows[0][0] > 1 or rows[-1][0] >= 1:
        raise BookError(f"{source}: has a bid above the middle of the book, or none below it")
    fractions = np.array([price for price, _ in rows])
    sizes = np.array([size for _, size in rows])
    return Levels(fractions, np.cumsum(sizes), np.cumsum(sizes * fractions), middle, source)


def levels_of_depth(depth: Depth) -> Levels:
    """Return the curve of a venue's order book; raises `BookError` for a one-sided one."""
    middle = depth.mid
    if middle is None:
        raise BookError(f"{depth.venue} {depth.contract}: the order book has one side only")
    bids = [(float(level.price), float(level.quantity)) for level in depth.bids]
    return levels_of(bids, float(middle), f"{depth.contract} at {depth.venue}")


def parse_depth(text: str, source: str) -> Levels:
    """Return the curve of a depth file: JSON {"bids": [[price, quantity]], "asks": ...}, or CSV side,price,quantity.

    Without asks the best bid is the middle. Raises `BookError` naming `source` and line.
    """
    stripped = text.lstrip("\ufeff \t\r\n")
    rows = _json_depth(stripped, source) if stripped[:1] == "{" else _csv_depth(stripped, source)
    bids = [(price, size) for side, price, size in rows if side == "bid"]
    asks = [price for side, price, _ in rows if side == "ask"]
    if not bids:
        raise BookError(f"{source}: has no bids to sell into")
    best = max(price for price, _ in bids)
    return levels_of(bids, (best + min(asks)) / 2 if asks else best, source)


def _json_depth(text: str, source: str) -> list[tuple[str, float, float]]:
    try:
        document: Any = json.loads(text)
    except ValueError as error:
        raise BookError(f"{source}: {error}") from error
    found = []
    for side in ("bid", "ask"):
        levels = document.get(f"{side}s", [])
        for index, level in enumerate(levels if isinstance(levels, list) else [None]):
            cells = list(level) if isinstance(level, list) else []
            found.append(_level(side, cells, f"{source}: {side}s[{index}]"))
    return found


def _csv_depth(text: str, source: str) -> list[tuple[str, float, float]]:
    reader = csv.reader(io.StringIO(text))
    if [cell.strip() for cell in next(reader, [])] != ["side", "price", "quantity"]:
        raise BookError(f"{source}:1: write the header side,price,quantity, then bid,2999.5,12 and ask,3000.5,8")
    return [_level(row[0].strip(), row[1:], f"{source}:{reader.line_num}") for row in reader if any(row)]


def _level(side: str, cells: Sequence[Any], place: str) -> tuple[str, float, float]:
    try:
        price, size = map(float, cells)
    except (TypeError, ValueError):
        price = size = math.nan
    if side not in ("bid", "ask") or not (0 < price < math.inf and 0 < size < math.inf):
        raise BookError(f"{place}: is no level; it needs bid or ask, a positive price and a positive quantity")
    return side, price, size
