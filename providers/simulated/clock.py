"""Simulated time: seconds since the start, run at a multiple of the wall clock and moved by hand in tests."""

import asyncio
import time
from collections.abc import Awaitable, Callable

_NS = 1_000_000_000
# However fast simulated time runs, nothing wakes more often than this in real seconds.
SHORTEST_REST_S = 0.05


class SimulatedClock:
    """Simulated time as everything in the market sees it.

    `clock` is the wall clock in ns and `sleep` waits real seconds; a test passes its own pair and never waits.
    """

    def __init__(
        self,
        speed: float,
        start_ns: int | None,
        clock: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.speed = speed
        self._clock, self._sleep = clock, sleep
        self._wall_ns = clock()
        self.start_ns = self._wall_ns if start_ns is None else start_ns
        self._skipped_s = 0.0

    def elapsed_s(self) -> float:
        """Return simulated seconds since the start."""
        return self._skipped_s + (self._clock() - self._wall_ns) / _NS * self.speed

    def now_ns(self) -> int:
        """Return simulated UTC now; every `_ns` of the simulated market is on this clock."""
        return self.ns_at(self.elapsed_s())

    def ns_at(self, at_s: float) -> int:
        """Return the simulated UTC time that is `at_s` seconds after the start."""
        return self.start_ns + round(at_s * _NS)

    def skip(self, seconds: float) -> None:
        """Move simulated time forward (or back) at once."""
        self._skipped_s += seconds

    async def rest(self, seconds: float) -> None:
        """Wait simulated seconds."""
        await self._sleep(max(seconds / self.speed, SHORTEST_REST_S))
