"""The table of accounts: worst first, one line each."""

from dataclasses import dataclass

from engine.assessment import Severity
from widgets.gauges import Gauge, Spark
from widgets.tones import BLANK, Cell


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


@dataclass(frozen=True, slots=True)
class Accounts:
    """All rows in the order to be painted; the table never sorts. `sorted_by` is the header to emphasise, or empty.

    `nothing` is the line to show instead of rows when there are none (no match for a filter, say).
    """

    rows: tuple[AccountRow, ...] = ()
    sorted_by: str = ""
    nothing: str = ""
