"""Legs of an account, labelled facts, and plain lines."""

from dataclasses import dataclass

from widgets.tones import BLANK, Cell, Line


@dataclass(frozen=True, slots=True)
class LegRow:
    """One collateral (+), debt (-) or position; `leg` holds sign and asset (`+ ETH`)."""

    leg: Cell
    amount: Cell = BLANK
    value: Cell = BLANK
    threshold: Cell = BLANK
    rate: Cell = BLANK
    price: Cell = BLANK
    age: Cell = BLANK


@dataclass(frozen=True, slots=True)
class Legs:
    """All legs in order. `threshold_header` names the fourth column: `THRESH` for loans, `MAINT` for perps."""

    rows: tuple[LegRow, ...] = ()
    threshold_header: str = "THRESH"
    nothing: str = ""


@dataclass(frozen=True, slots=True)
class Fact:
    """A label and its value; the value is right-aligned."""

    label: str
    value: Line


@dataclass(frozen=True, slots=True)
class FactList:
    """Facts, one line each."""

    rows: tuple[Fact, ...] = ()


@dataclass(frozen=True, slots=True)
class Text:
    """Lines as they are, from the left, cropped at the right."""

    lines: tuple[Line, ...] = ()
