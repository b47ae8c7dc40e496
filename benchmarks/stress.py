"""Row 13: stress of 10,000 accounts under 1,000 scenarios over one float32 matrix product of that shape."""

import statistics
import time
from collections.abc import Callable, Iterable

import numpy as np
from threadpoolctl import threadpool_limits

from engine.simulation.arrays import Book

Row = tuple[str, str, str, str]
_ACCOUNTS, _SCENARIOS, _ASSETS, _RUNS = 10_000, 1_000, 10, 9


def rows() -> list[Row]:
    """Return the rows of stress, medians of interleaved runs, on one core: two would fight with whatever else runs."""
    with threadpool_limits(1):
        return _rows()


def _rows() -> list[Row]:
    random = np.random.default_rng(7)
    shape = (_ACCOUNTS, _ASSETS)
    weights, owed = (random.random(shape, np.float32) * size for size in (10, 8))
    zero = np.zeros(_ACCOUNTS, np.float32)
    names = tuple(map(str, range(_ACCOUNTS)))
    book = Book(names, tuple("abcdefghij"), weights.astype(np.float32), owed.astype(np.float32), zero, zero)
    prices = random.random((_ASSETS, _SCENARIOS), np.float32) + np.float32(0.5)
    net = book.weights - book.owed

    def product() -> Iterable[object]:
        return (net @ prices,)

    def gone() -> Iterable[object]:
        return book.liquidated(prices)

    def health() -> Iterable[object]:
        return book.health(prices)

    taken: dict[str, list[float]] = {"product": [], "gone": [], "health": []}
    for _ in range(_RUNS):
        for name, work in (("product", product), ("gone", gone), ("health", health)):
            taken[name].append(_seconds(work))
    base = statistics.median(taken["product"])
    gone_s, health_s = (statistics.median(taken[name]) for name in ("gone", "health"))
    return [
        (
            "13",
            "stress 10k x 1k x 10: liquidated / one float32 product",
            f"{gone_s / base:.2f}x ({gone_s * 1e3:.0f} ms)",
            "<= 1.2x",
        ),
        ("13", "  every health factor / the same", f"{health_s / base:.2f}x ({health_s * 1e3:.0f} ms)", "<= 7x"),
    ]


def _ratio(taken_s: float, base_s: float) -> str:
    return f"{taken_s / base_s:.2f}x ({taken_s * 1e3:.0f} ms)"


def _seconds(work: Callable[[], Iterable[object]]) -> float:
    started = time.perf_counter()
    for _ in work():
        pass
    return time.perf_counter() - started
