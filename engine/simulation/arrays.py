"""Many accounts times many scenarios: who is liquidated, by one matrix product, and every health factor, in floats.

Cover and requirement are linear in prices but for maintenance tiers. Accounts without tiers need one product each;
those with tiers have their maintenance added position by position. Memory is bounded: the work goes in blocks.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import numpy.typing as npt

from engine.accounts import Account
from engine.solvency import solvency_of

Floats = npt.NDArray[np.float32]
Flags = npt.NDArray[np.bool_]
Block = tuple[slice, slice]
"""Which accounts and which scenarios a result is of."""
BLOCK_CELLS = 256_000
"""How many (account, scenario) pairs are worked on at once."""


@dataclass(frozen=True, slots=True)
class Tiered:
    """One tiered position: its account's row, its asset's column, size, fee, multiple, and its tiers' three columns."""

    row: int
    column: int
    size: float
    fee_rate: float
    multiple: float
    floors: Floats
    rates: Floats
    deductions: Floats

    def requirement(self, prices: Floats) -> Floats:
        """Return the maintenance at every price."""
        notional = np.float32(self.size) * prices
        tier = np.searchsorted(self.floors, notional, side="right") - 1
        raw = notional * (self.rates[tier] + np.float32(self.fee_rate)) - self.deductions[tier]
        return np.asarray(raw * np.float32(self.multiple), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class Book:
    """Accounts as arrays: rows are accounts, columns `assets`.

    `weights` and `owed` are what a unit of price adds to cover and requirement; `fixed` and `required` what no price
    moves. Health = (fixed + weights x p) / (required + owed x p + tiers).
    """

    names: tuple[str, ...]
    assets: tuple[str, ...]
    weights: Floats
    owed: Floats
    fixed: Floats
    required: Floats
    tiered: tuple[Tiered, ...] = ()

    def liquidated(self, prices: Floats) -> Iterator[tuple[Block, Flags]]:
        """Yield block by block a flag per (account, scenario); `prices` is (assets, scenarios)."""
        # A constant row of ones carries what no price moves, so that one product and its sign say everything.
        net = np.hstack([self.weights - self.owed, (self.fixed - self.required)[:, None]])
        moved = np.vstack([prices, np.ones((1, prices.shape[1]), np.float32)])
        room = np.empty((0, 0), np.float32)
        for rows, columns in self._blocks(prices.shape[1]):
            shape = (rows.stop - rows.start, columns.stop - columns.start)
            if room.shape != shape:
                room = np.empty(shape, np.float32)
            margin = np.matmul(net[rows], moved[:, columns], out=room)
            for one in self._tiered_in(rows):
                margin[one.row - rows.start] -= one.requirement(prices[one.column, columns])
            yield (rows, columns), margin < 0

    def health(self, prices: Floats) -> Iterator[tuple[Block, Floats]]:
        """Yield block by block the health per (account, scenario); infinite where nothing is required."""
        for rows, columns in self._blocks(prices.shape[1]):
            some = prices[:, columns]
            needed = self.owed[rows] @ some
            needed += self.required[rows, None]
            for one in self._tiered_in(rows):
                needed[one.row - rows.start] += one.requirement(prices[one.column, columns])
            cover = self.weights[rows] @ some
            cover += self.fixed[rows, None]
            with np.errstate(divide="ignore", invalid="ignore"):
                np.divide(cover, needed, out=cover)
            cover[needed == 0] = np.inf
            yield (rows, columns), cover

    def _tiered_in(self, rows: slice) -> Iterator[Tiered]:
        return (one for one in self.tiered if rows.start <= one.row < rows.stop)

    def _blocks(self, scenarios: int) -> Iterator[Block]:
        """Yield blocks of a size that stays in the processor's cache, where a second pass over it costs little."""
        accounts = len(self.names)
        wide = max(1, min(scenarios, BLOCK_CELLS))
        tall = max(1, BLOCK_CELLS // wide)
        for top in range(0, accounts, tall):
            for left in range(0, scenarios, wide):
                yield slice(top, min(top + tall, accounts)), slice(left, min(left + wide, scenarios))


def book_of(accounts: Sequence[Account], prices: Mapping[str, Mapping[str, Decimal]]) -> Book:
    """Return the arrays of `accounts`, whose trigger prices are given by name; raises `ValueError` as solvency does.

    An account's own prices enter as its ratio to the first account's price of an asset: scenarios move both alike.
    """
    reference: dict[str, Decimal] = {}
    for account in accounts:
        for asset, price in prices[account.name].items():
            reference.setdefault(asset, price)
    assets = tuple(sorted(reference))
    column = {asset: index for index, asset in enumerate(assets)}
    shape = (len(accounts), len(assets))
    weights, owed = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    fixed, required = np.zeros(shape[0], np.float32), np.zeros(shape[0], np.float32)
    tiered: list[Tiered] = []
    for row, account in enumerate(accounts):
        own = prices[account.name]
        solvency = solvency_of(account, own)
        fixed[row], required[row] = float(solvency.fixed), float(solvency.required)
        for exposure in solvency.exposures:
            at = column[exposure.asset]
            ratio = float(own[exposure.asset] / reference[exposure.asset])
            weights[row, at], owed[row, at] = float(exposure.weight) * ratio, float(exposure.owed) * ratio
            for curve in exposure.curves:
                floors, rates, deductions = (
                    np.array([float(value) for value in values], np.float32)
                    for values in (
                        [tier.notional_floor for tier in curve.tiers],
                        [tier.maintenance_rate for tier in curve.tiers],
                        [tier.deduction for tier in curve.tiers],
                    )
                )
                multiple = float(curve.multiple)
                size, fee = float(curve.size) * ratio, float(curve.fee_rate)
                tiered.append(Tiered(row, at, size, fee, multiple, floors, rates, deductions))
    return Book(tuple(each.name for each in accounts), assets, weights, owed, fixed, required, tuple(tiered))


def reference_prices(book: Book, accounts: Sequence[Account], prices: Mapping[str, Mapping[str, Decimal]]) -> Floats:
    """Return today's price of every asset of `book`, as `book_of` took them."""
    found: dict[str, Decimal] = {}
    for account in accounts:
        for asset, price in prices[account.name].items():
            found.setdefault(asset, price)
    return np.array([float(found[asset]) for asset in book.assets], np.float32)
