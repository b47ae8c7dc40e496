"""Work that a presenter does once for an object that never changes, and not again for every frame that shows it."""

from collections.abc import Callable
from functools import wraps
from typing import TypeVar

Shown = TypeVar("Shown")
Made = TypeVar("Made")


def latest(make: Callable[[Shown], Made]) -> Callable[[Shown], Made]:
    """Return `make` with its last answer kept, for as long as it is asked of the very same object."""
    last: tuple[Shown, Made] | None = None

    @wraps(make)
    def kept(shown: Shown) -> Made:
        nonlocal last
        if last is None or last[0] is not shown:
            last = shown, make(shown)
        return last[1]

    return kept
