"""Health over time: floor, rungs, gaps, colours."""

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.app import App, ComposeResult

from widgets.history import HealthHistory, History, Threshold, history_lines, resampled
from widgets.lines import length, plain
from widgets.tones import Ground, Tone

RUNGS = (Threshold(2.0, "2.00", Tone.WATCH), Threshold(1.5, "1.50", Tone.WARN), Threshold(1.15, "1.15", Tone.DANGER))
FALLING = History(
    points=tuple((index, 1.6 - 0.6 * index / 100) for index in range(101)),
    end_ns=101,
    thresholds=RUNGS,
    start_label="10:00",
)


def text(history: History, width: int = 40, height: int = 6) -> list[str]:
    return [plain(line).rstrip() for line in history_lines(history, width, height)]


def test_a_fall_to_the_line_ends_at_the_floor() -> None:
    assert text(FALLING) == [
        " ⠒⠢⠤⣀⡀",
        " ╌╌╌╌⠈⠉⠒⠢⠤⣀⡀╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌ 1.50",
        "           ⠈⠉⠒⠢⠤⣀⡀",
        " ╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌╌⠈⠉⠒⠢⠤⣀⡀╌╌╌╌╌ 1.15",
        "                       ⠈⠉⠒⠢⠤⣀ 1.00 line",
        " 10:00                    now",
    ]


def test_the_edge_takes_the_tone_of_the_rung_above_it() -> None:
    tones = [span.tone for line in history_lines(FALLING, 40, 6) for span in line if "\u2800" < span.text[0] < "\u2900"]
    assert list(dict.fromkeys(tones)) == [Tone.WATCH, Tone.WARN, Tone.DANGER]
    stale = history_lines(replace(FALLING, is_stale=True), 40, 6)
    assert {span.tone for line in stale for span in line if "\u2800" < span.text[0] < "\u2900"} == {Tone.MUTED}


def test_below_the_floor_there_is_only_the_floor() -> None:
    lines = text(History(points=((0, 0.2),), end_ns=10, thresholds=RUNGS))
    assert lines[4].startswith(" " + "⣀" * 28)
    assert all(not line.strip() for line in lines[:4])


def test_a_gap_stays_open() -> None:
    history = History(points=((0, 1.2), (40, None), (60, 1.2)), end_ns=100)
    values = resampled(history, 10)
    assert values == [1.2, 1.2, 1.2, 1.2, None, None, 1.2, 1.2, 1.2, 1.2]
    (edge,) = [line for line in text(history) if "⠒" in line or "⠉" in line or "⣀" in line or "⠤" in line]
    assert " " * 4 in edge.strip()


def test_a_slice_shows_its_lowest_health() -> None:
    history = History(points=((0, 1.9), (1, 1.1), (2, 1.8)), end_ns=10)
    assert resampled(history, 2) == [1.1, 1.8]


def test_what_was_known_before_the_span_holds_into_it() -> None:
    history = History(points=((-50, 3.0), (-5, 1.4), (5, 1.3)), start_ns=0, end_ns=10)
    assert resampled(history, 5) == [1.4, 1.4, 1.3, 1.3, 1.3]


@pytest.mark.parametrize("history", [History(), History(points=((0, None),), end_ns=5), History(points=((1, 2.0),))])
def test_nothing_known_is_said(history: History) -> None:
    assert [line for line in text(history) if line] == [" no history yet"]


def test_the_surface_lies_under_the_edge_only() -> None:
    lines = history_lines(History(points=((0, 1.5), (10, 1.0)), end_ns=20), 40, 6)
    grounds = [{span.ground for span in line} for line in lines]
    assert grounds[0] == {Ground.NONE}
    assert Ground.SURFACE in grounds[2]
    assert length([span for span in lines[2] if span.ground is Ground.SURFACE]) == 14


@given(
    st.lists(st.tuples(st.integers(-10, 200), st.none() | st.floats(0, 1e6)), max_size=30),
    st.integers(1, 200),
    st.integers(1, 20),
)
def test_every_line_has_the_width_of_the_chart(points: list[tuple[int, float | None]], width: int, height: int) -> None:
    history = History(points=tuple(sorted(points, key=lambda point: point[0])), end_ns=100, thresholds=RUNGS)
    lines = history_lines(history, width, height)
    assert len(lines) <= max(height, 1)
    assert all(length(line) == width for line in lines)


def test_a_new_point_repaints_the_widget() -> None:
    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield HealthHistory()

    async def scenario() -> None:
        app = Alone()
        async with app.run_test(size=(40, 6)) as pilot:
            chart = app.query_one(HealthHistory)
            await pilot.pause()
            assert " no history yet" in chart.text_lines
            chart.model = FALLING
            await pilot.pause()
            assert list(chart.text_lines) == text(FALLING)

    asyncio.run(scenario())
