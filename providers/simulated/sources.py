"""One simulated account behind the port that real chains, venues and brokers satisfy."""

from collections.abc import AsyncGenerator

from providers.ports import LinkChange, Reading
from providers.simulated.accounts import Cast
from providers.simulated.cast import CAST, BrokerPlan, LoanPlan
from providers.simulated.clock import SHORTEST_REST_S, SimulatedClock
from providers.simulated.links import SimulatedLink
from providers.simulated.scenarios import Scenario

_PERP_CADENCE_S, _BROKER_CADENCE_S, _LOOK_S = 0.5, 15.0, 0.5


class SimulatedSource:
    """Reads one account of the cast; a `providers.ports.PositionSource`."""

    def __init__(self, name: str, cast: Cast, scenario: Scenario, clock: SimulatedClock) -> None:
        self._name, self._cast, self._scenario, self._clock = name, cast, scenario, clock
        plan = CAST[name]
        self._chain = plan.chain if isinstance(plan, LoanPlan) else None
        if self._chain:
            self._cadence_s, budget_s = self._chain.block_s, max(5 * self._chain.block_s, 15.0)
        elif isinstance(plan, BrokerPlan):
            self._cadence_s, budget_s = _BROKER_CADENCE_S, 120.0
        else:
            self._cadence_s, budget_s = _PERP_CADENCE_S, 10.0
        self._budget_s = max(budget_s, 4 * SHORTEST_REST_S * clock.speed)

    @property
    def name(self) -> str:
        """Return the account's name."""
        return self._name

    @property
    def stale_after_s(self) -> float:
        """Return the age beyond which a reading no longer counts, in simulated seconds."""
        return self._budget_s

    async def read(self) -> Reading:
        """Return the account now; raises `Unreachable` during an outage."""
        SimulatedLink(self._name, self._scenario, self._clock, self._budget_s).require()
        return self.reading_at(self._clock.elapsed_s())

    def reading_at(self, at_s: float) -> Reading:
        """Return the account as it was or will be `at_s` simulated seconds after the start, whatever the link did."""
        at_ns = self._clock.ns_at(at_s)
        block = self._chain.block(at_s) if self._chain else None
        return Reading(
            self._name,
            self._cast.accounts(self._name, at_s),
            at_ns,
            block_number=block[0] if block else None,
            block_time_ns=self._clock.ns_at(block[1]) if block else None,
            marks=self._cast.marks(self._name, at_s, at_ns),
        )

    async def watch(self) -> AsyncGenerator[Reading | LinkChange, None]:
        """Yield a reading at once and at every block, push or poll, and link changes."""
        link = SimulatedLink(self._name, self._scenario, self._clock, self._budget_s)
        last: int | None = None
        while True:
            for change in link.changes():
                last = None
                yield change
            now_s = self._clock.elapsed_s()
            beat = int(now_s // self._cadence_s)
            if link.is_up and beat != last:
                last = beat
                yield self.reading_at(now_s)
            await self._clock.rest(min(self._cadence_s, _LOOK_S))
