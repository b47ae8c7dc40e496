"""A day of health in a few hundred points, the lowest of each space."""

from hypothesis import given
from hypothesis import strategies as st

from desk.history import DAY_NS, HealthHistory
from tests.doubles import SECOND_NS


def test_a_young_history_keeps_every_second() -> None:
    history = HealthHistory()
    for second in range(60):
        history.add(second * SECOND_NS, 1.5)
    assert len(history.points) == 60


def test_within_one_space_the_lowest_health_stays() -> None:
    history = HealthHistory()
    for offset, health in ((0, 1.5), (1, 1.2), (2, None), (3, 1.4)):
        history.add(offset, health)
    assert history.points == ((3, 1.2),)


def test_a_gap_of_its_own_stays_a_gap() -> None:
    history = HealthHistory()
    for second, health in enumerate((1.5, None, 1.4)):
        history.add(second * SECOND_NS, health)
    assert [health for _, health in history.points] == [1.5, None, 1.4]


def test_a_point_from_before_the_newest_is_ignored() -> None:
    history = HealthHistory()
    history.add(10 * SECOND_NS, 1.5)
    history.add(SECOND_NS, 0.9)
    assert history.points == ((10 * SECOND_NS, 1.5),)


def test_a_crash_within_the_day_is_never_thinned_away() -> None:
    history = HealthHistory(limit=288)
    for second in range(0, 86_400, 5):
        history.add(second * SECOND_NS, 0.97 if second == 40_000 else 1.5)
    assert len(history.points) <= 288
    assert min(health for _, health in history.points if health is not None) == 0.97
    assert history.points[-1][0] == 86_395 * SECOND_NS


def test_the_past_can_be_seeded_behind_the_present() -> None:
    history = HealthHistory()
    history.add(100 * SECOND_NS, 1.3)
    history.seed([(50 * SECOND_NS, 1.5), (10 * SECOND_NS, 1.6)])
    assert history.points == ((10 * SECOND_NS, 1.6), (50 * SECOND_NS, 1.5), (100 * SECOND_NS, 1.3))


@given(
    st.lists(st.tuples(st.integers(0, 3 * DAY_NS), st.none() | st.floats(0, 100)), max_size=400),
    st.integers(2, 50),
)
def test_points_stay_few_ordered_and_of_one_day(points: list[tuple[int, float | None]], limit: int) -> None:
    history = HealthHistory(limit=limit)
    for at_ns, health in points:
        history.add(at_ns, health)
    times = [at_ns for at_ns, _ in history.points]
    assert len(times) <= limit
    assert times == sorted(set(times))
    assert not times or times[-1] - times[0] <= DAY_NS
