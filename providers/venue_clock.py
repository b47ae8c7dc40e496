"""A venue's clock beside ours: signed requests carry its time, and a difference that matters is named as such."""

import time
from collections.abc import Callable

MS_NS = 1_000_000
WORTH_SAYING_S = 5.0


class VenueClock:
    """The venue's time, estimated from its own answers. `clock` is UTC now in ns by this machine.

    The difference is taken against the middle of the round trip, and the answer with the shortest one counts: half of
    that is how wrong it can be.
    """

    def __init__(self, *, clock: Callable[[], int] = time.time_ns) -> None:
        self._clock = clock
        self._ahead_ns = 0
        self._round_trip_ns: int | None = None

    @property
    def is_measured(self) -> bool:
        """Return whether the venue has told its time since the start, or since `forget`."""
        return self._round_trip_ns is not None

    @property
    def ahead_s(self) -> float:
        """Return by how many seconds the venue's clock is ahead of ours (negative: behind); 0 before it is known."""
        return self._ahead_ns / 1e9

    def learn(self, venue_ns: int, sent_ns: int, received_ns: int) -> None:
        """Take in that the venue said `venue_ns` to a question sent and answered at these times of ours."""
        round_trip_ns = received_ns - sent_ns
        if round_trip_ns < 0 or (self._round_trip_ns is not None and round_trip_ns > self._round_trip_ns):
            return
        self._round_trip_ns = round_trip_ns
        self._ahead_ns = venue_ns - (sent_ns + received_ns) // 2

    def forget(self) -> None:
        """Trust the next answer, whatever its round trip: one of the clocks was set."""
        self._round_trip_ns = None

    def now_ns(self) -> int:
        """Return the venue's time now."""
        return self._clock() + self._ahead_ns

    def now_ms(self) -> int:
        """Return the venue's time now in milliseconds."""
        return self.now_ns() // MS_NS

    def complaint(self) -> str:
        """Return one line about clocks that differ by more than signatures forgive, or ""."""
        if abs(self.ahead_s) <= WORTH_SAYING_S:
            return ""
        side = "behind" if self._ahead_ns > 0 else "ahead of"
        return f"this machine's clock is {abs(self.ahead_s):.0f} s {side} the venue's; set it by NTP"
