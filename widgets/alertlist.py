"""Alerts, newest first as the presenter orders them."""

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from textual.reactive import reactive

from engine.record import record
from widgets.columns import Column, Layout, arrange, right_column, text_column
from widgets.lines import Spans
from widgets.rowlist import RowList
from widgets.tones import BLANK, Cell, Ground, Tone


@record
class AlertRow:
    """One alert: `time` as HH:MM:SS (narrow lists show HH:MM), who, what, how it was sent, where it stands."""

    key: str
    time: Cell
    glyph: Cell
    subject: Cell
    text: Cell
    delivery: Cell = BLANK
    state: Cell = BLANK


@record
class Alerts:
    """All alerts in order; `nothing` is shown instead when there are none.

    `keys` are those of `rows` in order, for looking a row up without making those before it; empty: the rows tell.
    """

    rows: Sequence[AlertRow] = ()
    nothing: str = ""
    keys: tuple[str, ...] = ()


_WIDE = 70

COLUMNS: tuple[Column[AlertRow], ...] = (
    text_column("", 5, lambda row: replace(row.time, text=row.time.text[:5]), until_width=_WIDE),
    text_column("", 8, lambda row: row.time, _WIDE),
    text_column("", 2, lambda row: row.glyph),
    text_column("", 11, lambda row: row.subject),
    text_column("", 10, lambda row: row.text, grow=1000),
    text_column("", 12, lambda row: row.delivery, 90),
    right_column("", 10, lambda row: row.state, _WIDE),
)
"""Every column in screen order; the list has no header."""


@lru_cache(maxsize=8)
def alert_layout(width: int) -> Layout[AlertRow]:
    """Return the columns that an alert list of `width` cells shows."""
    return arrange(COLUMNS, width, margin=0 if width < _WIDE else 1)


class AlertList(RowList[AlertRow]):
    """One line per alert; its cursor shows with the focus only."""

    HEADER_LINES = 0
    model: reactive[Alerts] = reactive(Alerts(), repaint=False, always_update=True)

    class Highlighted(RowList.Highlighted):
        """The cursor came to another alert."""

    class Chosen(RowList.Chosen):
        """An alert was opened."""

    def rows(self) -> Sequence[AlertRow]:
        return self.model.rows

    def key_at(self, index: int) -> str:
        return self.model.keys[index] if self.model.keys else super().key_at(index)

    def nothing(self) -> str:
        return self.model.nothing

    def row_line(self, row: AlertRow, width: int, is_cursor: bool) -> Spans:
        mark = ("▌", Tone.ACCENT) if is_cursor else (" ", Tone.TEXT)
        return alert_layout(width).line(row, Ground.RAISED if is_cursor else Ground.NONE, mark)
