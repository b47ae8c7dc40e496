"""Legs of an account, labelled facts, and plain lines."""

from collections.abc import Sequence
from functools import lru_cache

from textual.reactive import reactive

from engine.record import record
from widgets.columns import Column, Layout, arrange, number_column, right_column, text_column
from widgets.glyphs import clean, fit
from widgets.lines import LineWidget, Span, Spans, fitted, length, spans_of
from widgets.tones import BLANK, Cell, Line, Tone


@record
class LegRow:
    """One collateral (+), debt (-) or position; `leg` holds sign and asset (`+ ETH`)."""

    leg: Cell
    amount: Cell = BLANK
    value: Cell = BLANK
    threshold: Cell = BLANK
    rate: Cell = BLANK
    price: Cell = BLANK
    age: Cell = BLANK


@record
class Legs:
    """All legs in order. `threshold_header` names the fourth column: `THRESH` for loans, `MAINT` for perps."""

    rows: tuple[LegRow, ...] = ()
    threshold_header: str = "THRESH"
    nothing: str = ""


@record
class Fact:
    """A label and its value; the value is right-aligned."""

    label: str
    value: Line


@record
class FactList:
    """Facts, one line each."""

    rows: tuple[Fact, ...] = ()


@record
class Text:
    """Lines as they are, from the left, cropped at the right."""

    lines: tuple[Line, ...] = ()


_INDENT = 2


@lru_cache(maxsize=8)
def leg_layout(width: int, threshold_header: str) -> Layout[LegRow]:
    """Return the columns that a leg table of `width` cells shows."""
    columns: tuple[Column[LegRow], ...] = (
        text_column("LEG", 11, lambda row: row.leg),
        number_column("AMOUNT", 16, lambda row: row.amount),
        number_column("VALUE $", 10, lambda row: row.value),
        number_column(threshold_header, 7, lambda row: row.threshold, 60),
        number_column("RATE %", 7, lambda row: row.rate, 68),
        number_column("PRICE", 10, lambda row: row.price, 52),
        right_column("AGE", 4, lambda row: row.age, 73),
    )
    return arrange(columns, width, indent=_INDENT, margin=0)


class LegTable(LineWidget):
    """One line per leg of an account, under a header."""

    model: reactive[Legs] = reactive(Legs(), repaint=False)

    def line_count(self, width: int) -> int:
        return 1 + max(1, len(self.model.rows))

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        layout = leg_layout(width, clean(self.model.threshold_header))
        if not self.model.rows:
            return (layout.heading(), _said(self.model.nothing, width))
        shown = self.model.rows[: max(0, height - 1)]
        lines = [layout.heading(), *(layout.line(row) for row in shown)]
        hidden = len(self.model.rows) - len(shown)
        if hidden:
            lines[-1] = _said(f"{hidden + 1} more legs", width)
        return lines


class Facts(LineWidget):
    """Labels at the left, their values at the right."""

    model: reactive[FactList] = reactive(FactList(), repaint=False)

    def line_count(self, width: int) -> int:
        return max(1, len(self.model.rows))

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        return [_fact_line(row, width) for row in self.model.rows[:height]]


class TextLines(LineWidget):
    """Lines as they are."""

    model: reactive[Text] = reactive(Text(), repaint=False)

    def line_count(self, width: int) -> int:
        return max(1, len(self.model.lines))

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        return [fitted((Span(" "), *spans_of(line)), width) for line in self.model.lines[:height]]


def _fact_line(row: Fact, width: int) -> Spans:
    value = spans_of(row.value)
    room = max(0, width - _INDENT - 2 - length(value))
    label = row.label if 2 * room >= len(row.label) else ""  # a letter of it says nothing
    gap = " " if room else ""
    return fitted((Span(" " * _INDENT), Span(f"{fit(label, room)}{gap}", Tone.MUTED), *value), width)


def _said(text: str, width: int) -> Spans:
    return fitted((Span(" " * _INDENT), Span(clean(text), Tone.MUTED)), width)
