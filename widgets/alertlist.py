"""Alerts, newest first as the presenter orders them."""

from dataclasses import dataclass

from widgets.tones import BLANK, Cell


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert: `time` as HH:MM:SS (narrow lists show HH:MM), who, what, how it was sent, where it stands."""

    key: str
    time: Cell
    glyph: Cell
    subject: Cell
    text: Cell
    delivery: Cell = BLANK
    state: Cell = BLANK


@dataclass(frozen=True, slots=True)
class Alerts:
    """All alerts in order; `nothing` is shown instead when there are none."""

    rows: tuple[AlertRow, ...] = ()
    nothing: str = ""
