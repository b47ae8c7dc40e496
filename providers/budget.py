"""How much we may still ask of a venue: one weighted request budget per venue and host in this process."""

import time
from collections.abc import Callable
from urllib.parse import urlsplit


class Budget:
    """A weighted request budget: `capacity` units that refill evenly over `period_s` seconds.

    One object is shared by every transport of a venue in this process (`shared_budget`), because venues count per
    address, not per connection. A venue that reports what it counted corrects our own count.
    """

    def __init__(self, capacity: float, period_s: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.capacity = capacity
        self._per_s = capacity / period_s
        self._clock = clock
        self._left = capacity
        self._at = clock()
        self._blocked_until = self._at

    @property
    def used(self) -> float:
        """Return the units now counted against us."""
        self._refill()
        return self.capacity - self._left

    def wait_s(self, weight: float) -> float:
        """Return how long a request of `weight` must wait now; 0 when it may go."""
        self._refill()
        short = max(0.0, min(weight, self.capacity) - self._left) / self._per_s
        return max(short, self._blocked_until - self._at)

    def blocked_s(self) -> float:
        """Return for how long the venue itself wants to hear nothing; 0 when it said nothing of the kind."""
        self._refill()
        return max(0.0, self._blocked_until - self._at)

    def take(self, weight: float) -> None:
        """Count a request of `weight` that goes out once its wait is over."""
        self._refill()
        self._left -= min(weight, self.capacity)

    def correct(self, used: float) -> None:
        """Lower what is left to what the venue says it counted; never raises it."""
        self._refill()
        self._left = min(self._left, self.capacity - used)

    def block(self, seconds: float) -> None:
        """Let nothing out for `seconds`: the venue said so."""
        self._refill()
        self._blocked_until = max(self._blocked_until, self._at + seconds)

    def _refill(self) -> None:
        now = self._clock()
        self._left = min(self.capacity, self._left + (now - self._at) * self._per_s)
        self._at = now


_budgets: dict[tuple[str, str], Budget] = {}


def shared_budget(venue: str, base_url: str, capacity: float, period_s: float) -> Budget:
    """Return the one budget of this process for `venue` at the host of `base_url`; the first caller sets its size."""
    return _budgets.setdefault((venue, urlsplit(base_url).netloc), Budget(capacity, period_s))
