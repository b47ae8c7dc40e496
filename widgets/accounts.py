"""The table of accounts: worst first, one line each."""

from dataclasses import dataclass

from engine.assessment import Severity
from widgets.gauges import Gauge, Spark
from widgets.tones import Cell


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account as text; an empty cell does not apply. `key` is the account's name and identifies the row.

    A number's trailing `?` is painted in the marker cell after its last digit. The presenter keeps the same object for
    an account that did not change: the table compares rows by identity first.
    """

    key: str
    severity: Severity
    glyph: Cell
    account: Cell
    health: Cell = Cell()
    by: Cell = Cell()
    liq_at: Cell = Cell()
    distance: Cell = Cell()
    age: Cell = Cell()
    market: Cell = Cell()
    sigma_days: Cell = Cell()
    next: Cell = Cell()
    venue: Cell = Cell()
    room: Gauge | None = None
    buffer: Cell = Cell()
    history: Spark | None = None
    equity: Cell = Cell()
    debt: Cell = Cell()
    leverage: Cell = Cell()
    cost: Cell = Cell()


@dataclass(frozen=True, slots=True)
class Accounts:
    """All rows in the order to be painted; the table never sorts. `sorted_by` is the header to emphasise, or empty.

    `nothing` is the line to show instead of rows when there are none (no match for a filter, say).
    """

    rows: tuple[AccountRow, ...] = ()
    sorted_by: str = ""
    nothing: str = ""
