"""The table of accounts: worst first, one line each."""

from collections.abc import Sequence
from functools import lru_cache

from textual.reactive import reactive

from engine.assessment import Severity
from engine.record import record
from widgets.columns import Column, Layout, arrange, number_column, right_column, text_column
from widgets.gauges import Gauge, Spark, gauge, spark
from widgets.lines import Spans
from widgets.rowlist import RowList
from widgets.tones import BLANK, Cell, Ground, Tone


@record
class AccountRow:
    """One account as text; an empty cell does not apply. `key` is the account's name and identifies the row.

    A number's trailing `?` is painted in the marker cell after its last digit. The presenter keeps the same object for
    an account that did not change: the table compares rows by identity first.
    """

    key: str
    severity: Severity
    glyph: Cell
    account: Cell
    health: Cell = BLANK
    by: Cell = BLANK
    liq_at: Cell = BLANK
    distance: Cell = BLANK
    age: Cell = BLANK
    market: Cell = BLANK
    sigma_days: Cell = BLANK
    next: Cell = BLANK
    venue: Cell = BLANK
    room: Gauge | None = None
    buffer: Cell = BLANK
    history: Spark | None = None
    equity: Cell = BLANK
    debt: Cell = BLANK
    leverage: Cell = BLANK
    cost: Cell = BLANK
    rescue: Cell = BLANK
    chance: Cell = BLANK
    chance_hour: Cell = BLANK
    chance_week: Cell = BLANK


@record
class Accounts:
    """All rows in the order to be painted; the table never sorts. `sorted_by` is the header to emphasise, or empty.

    `nothing` is the line to show instead of rows when there are none (no match for a filter, say). `has_rescue` adds
    the column that says whether a rescue would work now. `keys` are those of `rows` in order, for looking a row up
    without making those before it; empty: the rows tell.
    """

    rows: Sequence[AccountRow] = ()
    sorted_by: str = ""
    nothing: str = ""
    has_rescue: bool = False
    keys: tuple[str, ...] = ()


COLUMNS: tuple[Column[AccountRow], ...] = (
    right_column("", 2, lambda row: row.glyph),
    text_column("ACCOUNT", 11, lambda row: row.account, grow=4),
    text_column("VENUE", 11, lambda row: row.venue, 91),
    number_column("HEALTH", 8, lambda row: row.health),
    number_column("MARKET", 7, lambda row: row.market, 63),
    number_column("NEXT", 7, lambda row: row.next, 79),
    text_column("BY", 6, lambda row: row.by),
    number_column("LIQ AT", 9, lambda row: row.liq_at, 42),
    number_column("DIST %", 7, lambda row: row.distance, 50),
    number_column("σ-DAYS", 7, lambda row: row.sigma_days, 71),
    Column("ROOM", 12, lambda row, width: gauge(row.room, width), 104),
    right_column("AGE", 4, lambda row: row.age, 55),
    number_column("BUFFER $", 10, lambda row: row.buffer, 115),
    number_column("P1H %", 6, lambda row: row.chance_hour, 199),
    number_column("P24H %", 7, lambda row: row.chance, 123),
    number_column("P7D %", 6, lambda row: row.chance_week, 199),
    Column("HF 24H", 14, lambda row, width: spark(row.history, width), 138),
    number_column("EQUITY $", 10, lambda row: row.equity, 149),
    number_column("DEBT $", 8, lambda row: row.debt, 158),
    number_column("LEV ×", 6, lambda row: row.leverage, 165),
    number_column("COST $/D", 9, lambda row: row.cost, 175),
)
"""Every column in screen order and the width from which it is shown."""

RESCUE: Column[AccountRow] = text_column("RESCUE", 9, lambda row: row.rescue, 185)
"""The last column, where someone can carry out rescues."""


@lru_cache(maxsize=8)
def account_layout(width: int, *, has_rescue: bool = False) -> Layout[AccountRow]:
    """Return the columns that a table of `width` cells shows."""
    return arrange((*COLUMNS, RESCUE) if has_rescue else COLUMNS, width)


class AccountTable(RowList[AccountRow]):
    """One line per account; its cursor stays visible without focus, as other panes show the account under it."""

    CURSOR_NEEDS_FOCUS = False
    model: reactive[Accounts] = reactive(Accounts(), repaint=False, always_update=True)

    class Highlighted(RowList.Highlighted):
        """The cursor came to another account."""

    class Chosen(RowList.Chosen):
        """An account was opened."""

    def rows(self) -> Sequence[AccountRow]:
        return self.model.rows

    def key_at(self, index: int) -> str:
        return self.model.keys[index] if self.model.keys else super().key_at(index)

    def nothing(self) -> str:
        return self.model.nothing

    def header_line(self, width: int) -> Spans:
        return account_layout(width, has_rescue=self.model.has_rescue).heading(self.model.sorted_by)

    def row_line(self, row: AccountRow, width: int, is_cursor: bool) -> Spans:
        mark = ("▌", Tone.ACCENT) if is_cursor and self.has_focus else (" ", Tone.TEXT)
        layout = account_layout(width, has_rescue=self.model.has_rescue)
        return layout.line(row, Ground.RAISED if is_cursor else Ground.NONE, mark)
