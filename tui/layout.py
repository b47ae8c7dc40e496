"""How much room each pane of the main screen gets: size classes, and rows by terminal height."""

from enum import StrEnum

from engine.record import record

_BARS = 2
_FOOT = 2
_GAPS = 4
_LEAST_LOWER = 6
_LEAST_TABLE = 5


class SizeClass(StrEnum):
    """How much a terminal shows at once: a table and one line, all panes, or all panes side by side."""

    SMALL = "small"
    MEDIUM = "medium"
    LARGE = "large"


@record
class Rows:
    """Heights of the account table and of the selection below it; the lower panes take the rest."""

    table: int
    selection: int


def size_class(width: int, height: int) -> SizeClass:
    """Return the size class of a terminal."""
    if width < 100 or height < 32:
        return SizeClass.SMALL
    return SizeClass.LARGE if width >= 160 and height >= 44 else SizeClass.MEDIUM


def rows(width: int, height: int, accounts: int, legs: int) -> Rows:
    """Return the heights from the medium class up, for so many accounts and so many legs of the selected one."""
    room = height - _BARS - _FOOT - _GAPS
    spacious = height >= 36
    selection = (6 if spacious else 5) + min(max(legs, 4), 6 if spacious else 4)
    if size_class(width, height) is SizeClass.LARGE:
        selection += 2
    table = max(_LEAST_TABLE, min(accounts + 1, room - selection - _LEAST_LOWER))
    return Rows(table, selection)
