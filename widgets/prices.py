"""Prices: what liquidates, what the venues agree on, how far apart they are, and when the oracle prints next."""

from collections.abc import Sequence
from functools import lru_cache

from textual.reactive import reactive

from engine.record import record
from widgets.columns import Column, Layout, arrange, number_column, right_column, text_column
from widgets.gauges import Divergence, Gauge, divergence_bar, divergence_heading, gauge
from widgets.glyphs import clean
from widgets.lines import LineWidget, Span, Spans, fitted
from widgets.rowlist import RowList
from widgets.tones import BLANK, Cell, Ground, Tone


@record
class PriceRow:
    """One asset. `heartbeat` fills as the feed's heartbeat elapses; `heartbeat_label` is its length, or `none`."""

    key: str
    asset: Cell
    oracle: Cell = BLANK
    age: Cell = BLANK
    market: Cell = BLANK
    divergence_bps: Cell = BLANK
    divergence: Divergence | None = None
    heartbeat: Gauge | None = None
    heartbeat_label: Cell = BLANK
    next_print: Cell = BLANK
    venues: Cell = BLANK
    note: Cell = BLANK


@record
class Prices:
    """All assets in order; `nothing` is shown instead when there are none.

    `keys` are those of `rows` in order, for looking a row up without making those before it; empty: the rows tell.
    """

    rows: Sequence[PriceRow] = ()
    nothing: str = ""
    keys: tuple[str, ...] = ()


@record
class QuoteRow:
    """One quote of an asset: a venue, the oracle or the next print. `low` is the bid or the source, `high` the ask."""

    name: Cell
    low: Cell = BLANK
    high: Cell = BLANK
    age: Cell = BLANK
    divergence_bps: Cell = BLANK
    divergence: Divergence | None = None
    state: Cell = BLANK


@record
class Quotes:
    """All quotes of one asset in order; `nothing` is shown instead when there are none."""

    rows: tuple[QuoteRow, ...] = ()
    nothing: str = ""


_QUOTE_INDENT = 2


def _scale(header: str, width: int) -> str:
    return divergence_heading(width)


PRICE_COLUMNS: tuple[Column[PriceRow], ...] = (
    text_column("ASSET", 6, lambda row: row.asset),
    number_column("ORACLE", 9, lambda row: row.oracle),
    right_column("AGE", 4, lambda row: row.age, 44),
    number_column("MARKET", 9, lambda row: row.market),
    number_column("DIV bps", 9, lambda row: row.divergence_bps),
    Column("", 15, lambda row, width: divergence_bar(row.divergence, width), 60, grow=6, align=_scale),
    Column("HEARTBEAT", 10, lambda row, width: gauge(row.heartbeat, width), 92),
    right_column("", 4, lambda row: row.heartbeat_label, 92),
    text_column("NEXT PRINT", 16, lambda row: row.next_print, 76),
    text_column("VENUES", 6, lambda row: row.venues, 104),
    text_column("", 11, lambda row: row.note, 116, grow=40),
)
"""Every column of the price table in screen order."""

QUOTE_COLUMNS: tuple[Column[QuoteRow], ...] = (
    text_column("", 11, lambda row: row.name),
    right_column("", 10, lambda row: row.low, 52),
    number_column("", 10, lambda row: row.high),
    right_column("", 5, lambda row: row.age, 42),
    number_column("", 9, lambda row: row.divergence_bps),
    Column("", 15, lambda row, width: divergence_bar(row.divergence, width), 90, grow=16),
    text_column("", 20, lambda row: row.state, 73, grow=40),
)
"""Every column of the quote list in screen order; it has no header."""


@lru_cache(maxsize=8)
def price_layout(width: int) -> Layout[PriceRow]:
    """Return the columns that a price table of `width` cells shows."""
    return arrange(PRICE_COLUMNS, width)


@lru_cache(maxsize=8)
def quote_layout(width: int) -> Layout[QuoteRow]:
    """Return the columns that a quote list of `width` cells shows."""
    return arrange(QUOTE_COLUMNS, width, indent=_QUOTE_INDENT)


class PriceTable(RowList[PriceRow]):
    """One line per asset; its cursor shows with the focus only."""

    model: reactive[Prices] = reactive(Prices(), repaint=False, always_update=True)

    class Highlighted(RowList.Highlighted):
        """The cursor came to another asset."""

    class Chosen(RowList.Chosen):
        """An asset was opened."""

    def rows(self) -> Sequence[PriceRow]:
        return self.model.rows

    def key_at(self, index: int) -> str:
        return self.model.keys[index] if self.model.keys else super().key_at(index)

    def nothing(self) -> str:
        return self.model.nothing

    def header_line(self, width: int) -> Spans:
        return price_layout(width).heading()

    def row_line(self, row: PriceRow, width: int, is_cursor: bool) -> Spans:
        mark = ("▌", Tone.ACCENT) if is_cursor else (" ", Tone.TEXT)
        return price_layout(width).line(row, Ground.RAISED if is_cursor else Ground.NONE, mark)


class QuoteList(LineWidget):
    """One line per quote of one asset, with the same divergence bar as the price table."""

    model: reactive[Quotes] = reactive(Quotes(), repaint=False)

    def line_count(self, width: int) -> int:
        return max(1, len(self.model.rows))

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        if not self.model.rows:
            indent = Span(" " * _QUOTE_INDENT)
            return (fitted((indent, Span(clean(self.model.nothing), Tone.MUTED)), width),)
        return [quote_layout(width).line(row) for row in self.model.rows[:height]]
