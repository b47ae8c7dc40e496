"""Hourly candles as arrays: read from a file, checked, without holes. What every forecast learns from."""

import csv
import gzip
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HOUR_S = 3600
DAY_S = 86_400
LONGEST_HOLE = 6
"""Missing candles in a row that are bridged by flat ones; a longer hole cuts off what is before it."""

_COLUMNS = ("ts", "open", "high", "low", "close")


class CandleError(ValueError):
    """Candles that cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True, eq=False)
class Candles:
    """Consecutive candles, oldest first: `ts` is the opening in UTC seconds, prices are positive.

    `bridged` counts the flat candles that stand for missing ones.
    """

    ts: Floats
    open: Floats
    high: Floats
    low: Floats
    close: Floats
    bridged: int = 0

    def __len__(self) -> int:
        return len(self.ts)

    def part(self, begin: int, end: int) -> "Candles":
        """Return the candles from index `begin` up to `end`."""
        cut = slice(begin, end)
        return Candles(self.ts[cut], self.open[cut], self.high[cut], self.low[cut], self.close[cut], self.bridged)

    def before(self, moment_s: float) -> "Candles":
        """Return the candles that opened before `moment_s`."""
        return self.part(0, int(np.searchsorted(self.ts, moment_s)))

    @property
    def ends_s(self) -> float:
        """Return when the last candle closed, in UTC seconds."""
        return float(self.ts[-1]) + HOUR_S


def candles(rows: Iterable[Sequence[float]], *, name: str = "candles", step_s: int = HOUR_S) -> Candles:
    """Return candles from (ts, open, high, low, close) rows in any order; holes are bridged or cut (`LONGEST_HOLE`).

    Raises `CandleError` for no row, a time that is no multiple of `step_s`, two candles of one time, or a price that
    is not finite and positive or lies outside high and low.
    """
    table = np.array([[float(value) for value in row[:5]] for row in rows], dtype=np.float64)
    if table.size == 0:
        raise CandleError(f"{name}: has no candle")
    if table.ndim != 2 or table.shape[1] != 5:
        raise CandleError(f"{name}: needs five columns: {', '.join(_COLUMNS)}")
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1) | (table[:, 1:] <= 0).any(axis=1))
    if bad.size:
        raise CandleError(f"{name}: row {bad[0] + 1}: every price must be a finite number above 0")
    table = table[np.argsort(table[:, 0], kind="stable")]
    ts, opened, high, low, close = table.T
    if (ts % step_s).any():
        raise CandleError(f"{name}: an opening time is not a whole multiple of {step_s} s; is this another interval?")
    wrong = np.flatnonzero((high < np.maximum(opened, close)) | (low > np.minimum(opened, close)))
    if wrong.size:
        raise CandleError(f"{name}: the candle at {int(ts[wrong[0]])} has open or close outside its high and low")
    if (np.diff(ts) == 0).any():
        raise CandleError(f"{name}: two candles open at {int(ts[np.flatnonzero(np.diff(ts) == 0)[0]])}")
    return _without_holes(Candles(ts, opened, high, low, close), step_s)


def _without_holes(given: Candles, step_s: int) -> Candles:
    steps = np.diff(given.ts) / step_s
    long = np.flatnonzero(steps > LONGEST_HOLE + 1)
    if long.size:
        given = given.part(int(long[-1]) + 1, len(given))
        steps = np.diff(given.ts) / step_s
    if (steps == 1).all():
        return given
    places = np.concatenate([[0], np.cumsum(steps)]).astype(int)
    last = np.zeros(places[-1] + 1, dtype=int)
    last[places] = np.arange(len(places))
    last = np.maximum.accumulate(last)
    held = np.ones(len(last), dtype=bool)
    held[places] = False
    ts = given.ts[0] + step_s * np.arange(len(last), dtype=np.float64)
    close = given.close[last]
    return Candles(
        ts,
        np.where(held, close, given.open[last]),
        np.where(held, close, given.high[last]),
        np.where(held, close, given.low[last]),
        close,
        int(held.sum()),
    )


def read_candles(path: Path, *, step_s: int = HOUR_S) -> Candles:
    """Return the candles of a CSV file, plain or gzip, with the columns ts, open, high, low, close (others ignored).

    `ts` is the opening in UTC seconds or milliseconds. Raises `CandleError` naming the file and the row.
    """
    try:
        raw = path.read_bytes()
        text = (gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig")
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise CandleError(f"{path}: cannot be read: {error}") from error
    lines = csv.DictReader(io.StringIO(text))
    named = {column.strip().lower(): column for column in lines.fieldnames or ()}
    stamp = next((named[each] for each in ("ts", "unix_timestamp") if each in named), None)
    lacking = [column for column in _COLUMNS[1:] if column not in named]
    if stamp is None or lacking:
        raise CandleError(f"{path}: needs the columns {', '.join(_COLUMNS)}; lacks {', '.join(lacking) or 'ts'}")
    columns = [stamp, *(named[column] for column in _COLUMNS[1:])]
    rows: list[list[float]] = []
    for number, line in enumerate(lines, start=2):
        try:
            row = [float(line[column]) for column in columns]
        except (TypeError, ValueError):
            raise CandleError(f"{path}: line {number}: is not five numbers") from None
        if not all(map(math.isfinite, row)):
            raise CandleError(f"{path}: line {number}: holds a value that is not finite")
        rows.append([row[0] / 1000 if row[0] > 1e11 else row[0], *row[1:]])
    return candles(rows, name=str(path), step_s=step_s)


def file_of(folder: Path, asset: str) -> Path | None:
    """Return the candle file of `asset` in `folder`: `eth_1h.csv` or `eth_1h.csv.gz`, or with the asset as written."""
    for name in (f"{asset.lower()}_1h.csv", f"{asset.lower()}_1h.csv.gz", f"{asset}_1h.csv", f"{asset}_1h.csv.gz"):
        if (folder / name).is_file():
            return folder / name
    return None
