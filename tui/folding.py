"""Sentences over as many lines as a width takes: nothing that is said is cropped at the right edge."""

from collections.abc import Iterable
from textwrap import wrap

from widgets.tones import Cell, Line, Tone

_LEAST = 20


def folded(told: Iterable[tuple[str, Tone]], width: int) -> tuple[Line, ...]:
    """Return lines of at most `width` - 1 cells, as `TextLines` shows them: a scroll bar fits beside."""
    return tuple(
        (Cell(f" {line}", tone),)
        for text, tone in told
        for line in wrap(text, max(_LEAST, width - 3), subsequent_indent="  ")
    )
