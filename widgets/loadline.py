"""The load line: a price scale with the line that must not be crossed and the prices above it."""

from dataclasses import dataclass

from engine.assessment import Direction
from widgets.tones import Tone


@dataclass(frozen=True, slots=True)
class Mark:
    """A price on the scale: its letter (`O`, `M`, `N`), its name, its price as text and as a coordinate."""

    letter: str
    name: str
    price: float
    label: str
    tone: Tone = Tone.STRONG


@dataclass(frozen=True, slots=True)
class Scale:
    """Where the line is and which prices stand beside it; the first mark is the trigger price.

    `line` is `None` when no move of this asset liquidates; `reason` then says so in words. With `direction` up the
    drowned ground lies to the right. A stale scale keeps its shape and loses its colours.
    """

    line: float | None
    line_label: str = ""
    direction: Direction | None = Direction.DOWN
    marks: tuple[Mark, ...] = ()
    is_stale: bool = False
    reason: str = ""
