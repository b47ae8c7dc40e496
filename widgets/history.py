"""Health over time, with the floor at 1.00, where liquidation begins."""

from collections.abc import Sequence

from textual.reactive import reactive

from engine.record import record
from widgets.glyphs import clean, crop, fit, width_of
from widgets.lines import LineWidget, Span, Spans, fitted
from widgets.tones import Ground, Tone


@record
class Threshold:
    """A ladder rung: below `level` the edge takes `tone`; `label` is written at its dashes when not empty."""

    level: float
    label: str
    tone: Tone


@record
class History:
    """Health by time between `start_ns` and `end_ns`.

    `points` are (time_ns, health), oldest first; a health holds until the next point, and `None` opens a gap.
    `thresholds` are in falling order of level. `tone` colours the edge above the highest of them. `start_label` and
    `end_label` are written under the ends; `nothing` replaces the chart when no point can be drawn.
    """

    points: tuple[tuple[int, float | None], ...] = ()
    start_ns: int = 0
    end_ns: int = 0
    thresholds: tuple[Threshold, ...] = ()
    tone: Tone = Tone.MUTED
    is_stale: bool = False
    start_label: str = ""
    end_label: str = "now"
    floor_label: str = "1.00 line"
    nothing: str = "no history yet"


FLOOR = 1.0
"""Health at which liquidation begins; always the bottom of the chart."""

_INDENT = 1
_DOTS = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""Braille bits by dot row and dot column (Unicode block U+2800)."""


class HealthHistory(LineWidget):
    """A braille edge over a faint surface, the ladder's rungs as dashes, gaps left open."""

    DEFAULT_CSS = "HealthHistory { height: 1fr; }"
    model: reactive[History] = reactive(History(), repaint=False)

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        return history_lines(self.model, width, height)


def history_lines(history: History, width: int, height: int) -> Sequence[Spans]:
    """Return the chart in `height` lines, the last of them for the times."""
    gutter = 2 + max(width_of(clean(history.floor_label)), *(width_of(clean(t.label)) for t in history.thresholds), 4)
    columns, rows = width - _INDENT - gutter, height - 1
    if columns < 8:
        gutter, columns = 0, max(1, width - _INDENT)
    values = resampled(history, 2 * columns)
    known = [value for value in values if value is not None]
    if not known or rows < 1:
        said = fitted((Span(" " * _INDENT), Span(clean(history.nothing), Tone.MUTED)), width)
        return [fitted((), width)] * max(0, (height - 1) // 2) + [said]
    top = max(FLOOR + 0.05, FLOOR + (max(known) - FLOOR) * 1.04)
    total = rows * 4

    def dot_row(value: float) -> int:
        share = (min(top, max(FLOOR, value)) - FLOOR) / (top - FLOOR)
        return min(total - 1, round((1 - share) * (total - 1)))

    edge = _edge([None if value is None else dot_row(value) for value in values])
    rungs = {dot_row(rung.level) // 4: rung for rung in history.thresholds if FLOOR < rung.level <= top}
    lines = []
    for row in range(rows):
        spans = [Span(" " * _INDENT)]
        for column in range(columns):
            spans.append(_chart_cell(row, column, edge, values, history, row in rungs))
        spans.extend(_gutter(row, rows, rungs.get(row), history, gutter))
        lines.append(fitted(_joined(spans), width))
    room = columns - width_of(clean(history.end_label)) - 1
    times = (
        Span(" " * _INDENT + fit(history.start_label, max(0, room)) + " ", Tone.FAINT),
        Span(crop(history.end_label, columns), Tone.FAINT),
    )
    return [*lines, fitted(times, width)]


def resampled(history: History, count: int) -> list[float | None]:
    """Return the lowest health in each of `count` equal slices of the span; `None` where nothing is known."""
    span = history.end_ns - history.start_ns
    if span <= 0 or not history.points:
        return [None] * count
    values: list[float | None] = []
    carried: float | None = None
    points = iter(history.points)
    pending = next(points, None)
    for index in range(count):
        start, end = (history.start_ns + span * step // count for step in (index, index + 1))
        while pending is not None and pending[0] <= start:
            carried, pending = pending[1], next(points, None)
        lowest = carried
        while pending is not None and (pending[0] < end or (index == count - 1 and pending[0] <= end)):
            carried, pending = pending[1], next(points, None)
            if carried is not None:
                lowest = carried if lowest is None else min(lowest, carried)
        values.append(lowest)
    return values


def _edge(rows: Sequence[int | None]) -> list[tuple[int, int] | None]:
    """Return the dot rows that each dot column fills, so that steps are joined."""
    edge: list[tuple[int, int] | None] = []
    before: int | None = None
    for row in rows:
        if row is None:
            edge.append(None)
        elif before is None or abs(row - before) <= 1:
            edge.append((row, row))
        else:
            edge.append((before + 1, row) if row > before else (row, before - 1))
        before = row
    return edge


def _chart_cell(
    row: int,
    column: int,
    edge: Sequence[tuple[int, int] | None],
    values: Sequence[float | None],
    history: History,
    is_rung: bool,
) -> Span:
    bits = 0
    pair = edge[2 * column : 2 * column + 2]
    for side, span in enumerate(pair):
        for dot in range(4):
            if span is not None and span[0] <= row * 4 + dot <= span[1]:
                bits |= _DOTS[dot][side]
    if bits:
        lowest = min(value for value in values[2 * column : 2 * column + 2] if value is not None)
        return Span(chr(0x2800 + bits), _tone(history, lowest))
    is_under = any(span is not None and row * 4 > span[1] for span in pair)
    ground = Ground.SURFACE if is_under else Ground.NONE
    return Span("╌", Tone.FAINT, ground) if is_rung else Span(" ", Tone.TEXT, ground)


def _tone(history: History, value: float) -> Tone:
    if history.is_stale:
        return Tone.MUTED
    tone = history.tone
    for rung in history.thresholds:
        if value < rung.level:
            tone = rung.tone
    return tone


def _gutter(row: int, rows: int, rung: Threshold | None, history: History, width: int) -> tuple[Span, ...]:
    if not width:
        return ()
    if row == rows - 1:
        return (Span(" " + fit(history.floor_label, width - 1), Tone.DANGER),)
    if rung is not None:
        return (Span(" " + fit(rung.label, width - 1), Tone.MUTED),)
    return (Span(" " * width),)


def _joined(spans: Sequence[Span]) -> list[Span]:
    merged: list[Span] = []
    for span in spans:
        if merged and merged[-1][1:] == span[1:]:
            merged[-1] = span._replace(text=merged[-1].text + span.text)
        else:
            merged.append(span)
    return merged
