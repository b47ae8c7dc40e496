"""A market's borrowers as arrays: read from CSV or JSON, or drawn from a stated prior. What every cascade runs on.

CSV: a header `collateral,debt` with `threshold`, `bonus` and `name` where they are known, one loan a row; several
collaterals are columns `collateral:ETH,collateral:BTC`. JSON: {"loans": [{"collateral": "10" or {"ETH": "10"},
"debt": "15000", ...}]}. Collateral is in units of its asset, debt in the quote currency, threshold and bonus fractions.
"""

import csv
import io
import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
THRESHOLD, BONUS = 0.83, 0.05
"""What a loan without a threshold or bonus of its own is taken at, when nothing else is asked for."""
UNNAMED = ""
_COLUMNS = ("debt", "threshold", "bonus", "name")
_LARGEST = 1e18
_HEALTH_LEAST, _HEALTH_SHAPE, _HEALTH_SCALE, _SIZE_TAIL = 1.0005, 1.5, 0.5, 1.15


class BookError(ValueError):
    """A book that cannot be used; the message names the line or loan and what is wrong with it."""


@dataclass(frozen=True, slots=True, eq=False)
class LoanBook:
    """Loans of one market: `collateral` is (loans, assets) in units, the others are one figure a loan.

    `names` is empty when no loan has one. `source` says where the book is from; `assumed` what was taken for granted.
    """

    assets: tuple[str, ...]
    collateral: Floats
    debt: Floats
    threshold: Floats
    bonus: Floats
    names: tuple[str, ...] = ()
    source: str = ""
    assumed: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.debt)

    def at(self, name: str) -> int:
        """Return the row of the loan called `name`; raises `BookError`."""
        if name not in self.names:
            raise BookError(f"no loan is called {name[:40]!r} in {self.source or 'this book'}")
        return self.names.index(name)

    def with_loan(self, collateral: Sequence[float], debt: float, threshold: float, bonus: float) -> "LoanBook":
        """Return this book with one loan more, its last."""
        return LoanBook(
            self.assets,
            np.vstack([self.collateral, np.asarray(collateral, np.float64)[None, :]]),
            np.append(self.debt, debt),
            np.append(self.threshold, threshold),
            np.append(self.bonus, bonus),
            (*self.names, UNNAMED) if self.names else (),
            self.source,
            self.assumed,
        )

    def health(self, prices: Sequence[float]) -> Floats:
        """Return every loan's health at `prices`, one an asset; infinite without debt."""
        cover = self.collateral @ np.asarray(prices, np.float64) * self.threshold
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.debt > 0, cover / self.debt, np.inf)


def book_of(
    collateral: ArrayLike,
    debt: ArrayLike,
    *,
    threshold: ArrayLike = THRESHOLD,
    bonus: ArrayLike = BONUS,
    assets: tuple[str, ...] = ("ETH",),
    source: str = "",
) -> LoanBook:
    """Return a book of arrays; `collateral` may be one figure a loan. Raises `BookError` for what is no loan."""
    units = np.atleast_2d(np.asarray(collateral, np.float64).T).T
    owed = np.asarray(debt, np.float64)
    rows = len(owed)
    made = LoanBook(
        assets, units, owed, np.broadcast_to(threshold, rows) + 0.0, np.broadcast_to(bonus, rows) + 0.0, (), source
    )
    if not rows:
        raise BookError("the book is empty: it has no loan with debt")
    bounds = ((units, 0, _LARGEST), (owed, 0, _LARGEST), (made.threshold, 1e-9, 1), (made.bonus, 0, 1))
    for figures, least, most in bounds:
        if not bool(np.all((figures >= least) & (figures <= most))):
            raise BookError("a loan has a figure that is negative, too large or not a number")
    return made


def prior(borrowers: int, debt: float, price: float, *, seed: int, asset: str = "ETH") -> LoanBook:
    """Return a drawn book of `debt` in all: health 1.0005 + Gamma(1.5, 0.5), sizes Pareto(1.15).

    Shapes are calibrated to one figure, about $11 m liquidatable per $1 bn of debt at -3 % (Perez et al., arXiv
    2009.13235, Compound 2020), which is no validation. Raises `BookError` for a size that is none.
    """
    if not (borrowers > 0 and 0 < debt <= _LARGEST and 0 < price <= _LARGEST):
        raise BookError("a prior needs a number of borrowers, a debt and a price, all positive")
    random = np.random.default_rng(seed)
    health = _HEALTH_LEAST + random.gamma(_HEALTH_SHAPE, _HEALTH_SCALE, borrowers)
    sizes = 1 + random.pareto(_SIZE_TAIL, borrowers)
    owed = sizes * (debt / sizes.sum())
    return book_of(
        health * owed / (THRESHOLD * price),
        owed,
        assets=(asset,),
        source=f"a prior of {borrowers:,} borrowers, seed {seed}: drawn, not read from a market",
    )


def parse_book(
    text: str, *, threshold: float | None = None, bonus: float | None = None, source: str = "", asset: str = "ETH"
) -> LoanBook:
    """Return the book in a CSV or JSON text; loans without debt are left out and counted.

    `threshold` and `bonus` are for loans that have none of their own, `asset` is the collateral of a book that names
    none. Raises `BookError` naming `source` and line.
    """
    where = source or "book"
    stripped = text.lstrip("\ufeff \t\r\n")
    if not stripped:
        raise BookError(f"{where}: is empty; write a header collateral,debt and one loan a line")
    is_json = stripped[0] in "{["
    rows = _json_rows(stripped, where, asset) if is_json else _csv_rows(text.lstrip("\ufeff"), where, asset)
    return _made(rows, where, threshold, bonus, asset)


Row = tuple[str, Mapping[str, str], Mapping[str, str]]
"""Where a loan is, its collateral by asset, and its other figures, as they were written."""


def _csv_rows(text: str, where: str, asset: str) -> Iterable[Row]:
    reader = csv.reader(io.StringIO(text))
    header = [name.strip() for name in next(reader, [])]
    held = {name: name.partition(":")[2] or asset for name in header if name.partition(":")[0] == "collateral"}
    unknown = [name for name in header if name not in held and name not in _COLUMNS]
    if not held or "debt" not in header or unknown or len(set(header)) != len(header):
        wrong = f"does not know {unknown[0][:24]!r}" if unknown else "needs the columns collateral and debt, each once"
        raise BookError(f"{where}:1: {wrong}; write collateral,debt[,threshold,bonus,name], or collateral:ETH")
    try:
        for cells in reader:
            place = f"{where}:{reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if len(cells) != len(header):
                raise BookError(f"{place}: has {len(cells)} columns, the header {len(header)}")
            row = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
            yield place, {one: row[name] for name, one in held.items()}, {k: row[k] for k in _COLUMNS if k in row}
    except csv.Error as error:
        raise BookError(f"{where}:{reader.line_num}: {error}") from error


def _json_rows(text: str, where: str, asset: str) -> Iterable[Row]:
    try:
        document: Any = json.loads(text, parse_float=str, parse_int=str)
    except ValueError as error:
        raise BookError(f"{where}: is neither CSV nor JSON: {error}") from error
    loans = document.get("loans") if isinstance(document, dict) else document
    if not isinstance(loans, list):
        raise BookError(f'{where}: has no list of loans; write {{"loans": [{{"collateral": "10", "debt": "15000"}}]}}')
    for index, loan in enumerate(loans):
        place = f"{where}: loans[{index}]"
        if not isinstance(loan, dict) or "collateral" not in loan or "debt" not in loan:
            raise BookError(f"{place}: is no loan; it needs collateral and debt")
        unknown = [key for key in loan if key != "collateral" and key not in _COLUMNS]
        if unknown:
            raise BookError(f"{place}: does not know {str(unknown[0])[:24]!r}")
        units = loan["collateral"]
        held = units if isinstance(units, dict) else {asset: units}
        yield place, {str(k): str(v) for k, v in held.items()}, {k: str(loan[k]) for k in _COLUMNS if k in loan}


def _made(rows: Iterable[Row], where: str, threshold: float | None, bonus: float | None, asset: str) -> LoanBook:
    names: list[str] = []
    figures: list[tuple[float, float, float]] = []
    units: list[Mapping[str, float]] = []
    lacking, debtless = {"threshold": 0, "bonus": 0}, 0
    for place, held, row in rows:
        amounts = {one: _number(text, f"{place}: collateral", 0, _LARGEST) for one, text in held.items() if text}
        debt = _number(row["debt"], f"{place}: debt", 0, _LARGEST)
        if debt == 0:
            debtless += 1
            continue
        own = []
        for key, given, usual, least in (("threshold", threshold, THRESHOLD, 1e-9), ("bonus", bonus, BONUS, 0.0)):
            if row.get(key):
                own.append(_number(row[key], f"{place}: {key}", least, 1))
            else:
                lacking[key] += given is None
                own.append(usual if given is None else given)
        names.append(row.get("name", UNNAMED))
        figures.append((debt, own[0], own[1]))
        units.append(amounts)
    if not figures:
        raise BookError(f"{where}: the book is empty: it has no loan with debt")
    twice = [name for name, count in Counter(filter(None, names)).items() if count > 1]
    if twice:
        raise BookError(f"{where}: two loans are called {min(twice)[:40]!r}")
    assets = tuple(dict.fromkeys(one for held in units for one in held)) or (asset,)
    table = np.array(figures)
    taken = {"threshold": THRESHOLD, "bonus": BONUS}
    assumed = [f"{count:,} loans without a {key}: {taken[key]:g} taken" for key, count in lacking.items() if count]
    assumed += [f"{debtless:,} loans without debt left out"] if debtless else []
    collateral = np.array([[held.get(asset, 0.0) for asset in assets] for held in units])
    named = tuple(names) if any(names) else ()
    return LoanBook(assets, collateral, table[:, 0], table[:, 1], table[:, 2], named, where, tuple(assumed))


def _number(text: str, place: str, least: float, most: float) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise BookError(f"{place}: {text[:24]!r} is not a number")
    if not least <= value <= most:
        raise BookError(f"{place}: {text[:24]!r} is not between {least:g} and {most:g}")
    return value
