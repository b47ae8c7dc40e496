"""Columns of a table: which of them a width shows, and how a row becomes spans."""

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from engine.record import record
from widgets.glyphs import clean, fit, number, right
from widgets.lines import Span, Spans, fitted
from widgets.tones import FILLED, Cell, Ground, Tone

Row = TypeVar("Row")
Paint = Callable[[Row, int], tuple[tuple[str, Tone], ...]]


@record
class Column(Generic[Row]):
    """One column: `width` cells from `from_width` on; `grow` more where the table has room to spare.

    `paint` returns texts with tones, exactly as wide together as it is told. `header` is right-aligned over numbers,
    one cell from the right end where the column has a marker cell.
    """

    header: str
    width: int
    paint: Paint[Row]
    from_width: int = 0
    until_width: int = 10_000
    grow: int = 0
    align: Callable[[str, int], str] = fit


def text_column(
    header: str,
    width: int,
    of: Callable[[Row], Cell],
    from_width: int = 0,
    grow: int = 0,
    until_width: int = 10_000,
) -> Column[Row]:
    """Return a left-aligned column."""
    return Column(header, width, lambda row, room: _one(fit, of(row), room), from_width, until_width, grow)


def right_column(header: str, width: int, of: Callable[[Row], Cell], from_width: int = 0) -> Column[Row]:
    """Return a right-aligned column without a marker cell: ages, states."""
    return Column(header, width, lambda row, room: _one(right, of(row), room), from_width, align=right)


def number_column(header: str, width: int, of: Callable[[Row], Cell], from_width: int = 0) -> Column[Row]:
    """Return a column of numbers, the last of its `width` cells being the marker's."""
    return Column(header, width, lambda row, room: _number(of(row), room), from_width, align=number)


def _one(align: Callable[[str, int], str], cell: Cell, room: int) -> tuple[tuple[str, Tone], ...]:
    text = align(cell.text, room)
    if cell.tone not in FILLED:
        return ((text, cell.tone),)
    shown = text.strip()
    before = len(text) - len(text.lstrip())
    return ((text[:before], Tone.TEXT), (shown, cell.tone), (text[before + len(shown) :], Tone.TEXT))


def _number(cell: Cell, room: int) -> tuple[tuple[str, Tone], ...]:
    text = clean(cell.text)
    if len(text) < room or any(char.isdigit() for char in text):
        return _one(number, cell, room)
    return _one(right, cell, room)


@record
class Layout(Generic[Row]):
    """The columns that a width shows, each with its place: (column, first cell, width)."""

    places: tuple[tuple[Column[Row], int, int], ...]
    width: int

    def heading(self, emphasised: str = "") -> Spans:
        """Return the header line; `emphasised` is the header to write strong."""
        spans: list[Span] = []
        end = 0
        for column, start, width in self.places:
            if start > end:
                spans.append(Span(" " * (start - end)))
            tone = Tone.STRONG if emphasised and column.header == emphasised else Tone.MUTED
            spans.append(Span(column.align(column.header, width), tone))
            end = start + width
        return fitted(spans, self.width)

    def line(self, row: Row, ground: Ground = Ground.NONE, first: tuple[str, Tone] | None = None) -> Spans:
        """Return a row's line; `first` replaces its first cell, where a cursor is marked."""
        spans: list[Span] = []
        # Blanks take the tone before them, and neighbours of one tone become one span: fewer segments to paint.
        pending, tone = first if first is not None else ("", Tone.TEXT)
        end = 1 if first is not None else 0
        for column, start, width in self.places:
            parts = column.paint(row, width)
            gap = " " * (start - end)
            end = start + width
            for text, part_tone in ((gap, Tone.TEXT if tone in FILLED else tone), *parts):
                if part_tone is tone or (text.isspace() and tone not in FILLED):
                    pending += text
                elif text:
                    if pending:
                        spans.append(Span(pending, tone, ground))
                    pending, tone = text, part_tone
        spans.append(Span(pending, tone, ground))
        if end < self.width:
            spans.append(Span(" " * (self.width - end), Tone.TEXT, ground))
        return tuple(spans)


def arrange(columns: Sequence[Column[Row]], width: int, indent: int = 1, margin: int = 1) -> Layout[Row]:
    """Return the columns for `width` in their order, one gap cell between them, `indent` cells before the first.

    Whole columns are dropped, from the last, if even the chosen ones do not fit. Spare room goes to columns that grow.
    """
    shown = [column for column in columns if column.from_width <= width < column.until_width]
    while len(shown) > 1 and _taken(shown, indent, margin) > width:
        shown.pop()
    spare = max(0, width - _taken(shown, indent, margin))
    places = []
    at = indent
    for column in shown:
        more = min(column.grow, spare)
        spare -= more
        room = max(1, min(column.width + more, width - at))
        places.append((column, at, room))
        at += room + 1
    return Layout(tuple(places), width)


def _taken(columns: Sequence[Column[Row]], indent: int, margin: int) -> int:
    return indent + sum(column.width for column in columns) + len(columns) - 1 + margin
