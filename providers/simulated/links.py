"""What a client sees of a link that the scenario breaks: closed and retried, or open and silent."""

from collections.abc import Iterator

from providers.errors import Unreachable
from providers.ports import LinkChange, LinkState
from providers.simulated.clock import SimulatedClock
from providers.simulated.scenarios import Loss, Scenario

_FIRST_RETRY_S, _LONGEST_RETRY_S = 2.0, 30.0


class SimulatedLink:
    """Tells the changes of one source's link; `changes` is asked at every step and `is_up` says whether data flows."""

    def __init__(self, source: str, scenario: Scenario, clock: SimulatedClock, stale_after_s: float) -> None:
        self._source, self._scenario, self._clock = source, scenario, clock
        self._stale_after_s = stale_after_s
        self._state: LinkState | None = None
        self._tries, self._retry_at_s = 0, 0.0

    @property
    def is_up(self) -> bool:
        """Return whether data flows now."""
        return self._scenario.outage(self._source, self._clock.elapsed_s()) is None

    def require(self) -> None:
        """Raise `Unreachable` while the link is lost."""
        if not self.is_up:
            raise Unreachable(self._source, "no answer within 5 s (simulated outage)")

    def changes(self) -> Iterator[LinkChange]:
        """Yield what changed since the last call: at most one loss, one retry or one return."""
        now_s = self._clock.elapsed_s()
        outage = self._scenario.outage(self._source, now_s)
        if outage is None:
            if self._state is not LinkState.LIVE:
                yield self._enter(LinkState.LIVE, "connected" if self._state is None else "reconnected, data resumed")
                self._tries = 0
        elif outage[0].loss is Loss.SILENT:
            silent_s = now_s - outage[1]
            if silent_s > self._stale_after_s and self._state is not LinkState.STALE:
                yield self._enter(LinkState.STALE, f"pings answered, no data for {silent_s:.0f} s")
        elif self._state is not LinkState.DOWN or now_s >= self._retry_at_s:
            self._tries += 1
            self._retry_at_s = now_s + min(_FIRST_RETRY_S * 2 ** (self._tries - 1), _LONGEST_RETRY_S)
            detail = "connection closed (1006)" if self._tries == 1 else f"no answer, try {self._tries}"
            yield self._enter(LinkState.DOWN, detail, self._clock.ns_at(self._retry_at_s))

    def _enter(self, state: LinkState, detail: str, retry_at_ns: int | None = None) -> LinkChange:
        self._state = state
        return LinkChange(self._source, state, self._clock.now_ns(), detail, retry_at_ns)
