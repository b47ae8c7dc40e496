"""The offline market behind `demo`: twelve accounts, six venues, three chains, nothing on the network."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator

from engine.accounts import Kind
from providers.errors import ConfigError
from providers.ports import ProviderInfo, Reading
from providers.simulated.accounts import Cast
from providers.simulated.cast import CAST
from providers.simulated.changes import Changes
from providers.simulated.clock import SimulatedClock
from providers.simulated.feeds import VENUES, SimulatedFeed, SimulatedHistory
from providers.simulated.oracles import Oracles
from providers.simulated.path import ASSETS, Prices
from providers.simulated.scenarios import SCENARIOS as _STORIES
from providers.simulated.sources import SimulatedSource

INFO = ProviderInfo(
    "simulated",
    "Simulated market (demo)",
    kinds=frozenset(Kind),
    prices=True,
    reads=("accounts", "prices", "oracles", "history"),
    rescues=("supply", "repay", "add-margin"),
)

SCENARIOS = {name: story.description for name, story in _STORIES.items()}
"""One line about each scenario, by name."""


class SimulatedMarket:
    """A market whose every figure follows from `scenario`, `seed` and the simulated time since the start.

    Simulated time runs `speed` times as fast as `clock`; all ages are on `now_ns`, which a desk takes as its clock.
    `changes` is what rescues did to its accounts (`providers.simulated.rescue`).
    Raises `ConfigError` for an unknown scenario or a speed that is not within 0.01 .. 1000.
    """

    def __init__(
        self,
        scenario: str = "calm",
        seed: int = 7,
        speed: float = 1.0,
        start_ns: int | None = None,
        clock: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        story = _STORIES.get(scenario)
        if story is None:
            raise ConfigError(f"no scenario {scenario[:40]!r}; there are {', '.join(_STORIES)}")
        if not 0.01 <= speed <= 1000:
            raise ConfigError(f"speed {speed} is not within 0.01 and 1000")
        self.scenario, self.seed = scenario, seed
        self._clock = SimulatedClock(speed, start_ns, clock, sleep)
        self.story, self.changes = story, Changes()
        prices = Prices(story, seed)
        cast = Cast(prices, Oracles(prices, story, self._clock.start_ns), story, self.changes)
        self._sources = tuple(SimulatedSource(name, cast, story, self._clock) for name in CAST)
        self._feeds = tuple(SimulatedFeed(venue, prices, story, self._clock) for venue in VENUES)
        self._history = SimulatedHistory(prices, self._clock, ASSETS)

    def feeds(self) -> tuple[SimulatedFeed, ...]:
        """Return the six venues."""
        return self._feeds

    def sources(self) -> tuple[SimulatedSource, ...]:
        """Return the twelve accounts, one source each."""
        return self._sources

    @property
    def history(self) -> SimulatedHistory:
        """Return past prices of every simulated asset."""
        return self._history

    def now_ns(self) -> int:
        """Return simulated UTC now: the clock of every age in this market."""
        return self._clock.now_ns()

    def elapsed_s(self) -> float:
        """Return simulated seconds since the start."""
        return self._clock.elapsed_s()

    @property
    def clock(self) -> SimulatedClock:
        """Return simulated time, as everything in this market sees it."""
        return self._clock

    def at(self, seconds: float) -> "SimulatedMarket":
        """Move simulated time to `seconds` after the start and return this market; nothing waits."""
        self._clock.skip(seconds - self._clock.elapsed_s())
        return self

    def past_readings(self, span_s: float = 86_400, points: int = 96) -> Iterator[Reading]:
        """Yield every account's readings over the last `span_s`, oldest first, so that a history can be drawn at once.

        Before the start the oracles count as printing every five minutes.
        """
        now_s = self._clock.elapsed_s()
        for index in range(points):
            at_s = now_s - span_s * (points - index) / points
            for source in self._sources:
                yield source.reading_at(at_s)
