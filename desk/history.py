"""Health over time of one account, thinned so that a day of it stays a few hundred points."""

from collections.abc import Iterable

Point = tuple[int, float | None]

_SECOND = 1_000_000_000
DAY_NS = 86_400 * _SECOND


class HealthHistory:
    """Keeps at most `limit` points of the last `span_ns`, evenly spaced in time, the lowest health of each space.

    Spacing starts at one second, so that a young history shows something, and doubles whenever the limit is reached.
    A `None` health is a gap; within one space a known health wins over it.
    """

    __slots__ = ("_limit", "_points", "_space_ns", "_span_ns")

    def __init__(self, limit: int = 288, span_ns: int = DAY_NS) -> None:
        self._limit = limit
        self._span_ns = span_ns
        self._space_ns = _SECOND
        self._points: list[Point] = []

    @property
    def points(self) -> tuple[Point, ...]:
        """Return (time in UTC ns, health), oldest first."""
        return tuple(self._points)

    def add(self, at_ns: int, health: float | None) -> None:
        """Take in one point; one that is older than the newest is ignored."""
        points = self._points
        if points and at_ns < points[-1][0]:
            return
        if points and at_ns // self._space_ns == points[-1][0] // self._space_ns:
            points[-1] = _lower(points[-1], (at_ns, health))
            return
        points.append((at_ns, health))
        oldest = at_ns - self._span_ns
        if points[0][0] < oldest:
            self._points = [point for point in points if point[0] >= oldest]
        while len(self._points) > self._limit:
            self._space_ns *= 2
            self._points = _thinned(self._points, self._space_ns)

    def seed(self, past: Iterable[Point]) -> None:
        """Take in points from before, in any order, among what is here."""
        points = sorted((*past, *self._points), key=lambda point: point[0])
        self._points = []
        for at_ns, health in points:
            self.add(at_ns, health)


def _thinned(points: Iterable[Point], space_ns: int) -> list[Point]:
    thinned: list[Point] = []
    for point in points:
        if thinned and thinned[-1][0] // space_ns == point[0] // space_ns:
            thinned[-1] = _lower(thinned[-1], point)
        else:
            thinned.append(point)
    return thinned


def _lower(kept: Point, new: Point) -> Point:
    """Return the newer time with the lower known health of the two."""
    known = [health for health in (kept[1], new[1]) if health is not None]
    return new[0], min(known, default=None)
