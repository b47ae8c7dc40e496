"""One-line bars: what the program is doing, the verdict, the sources, the keys."""

from dataclasses import dataclass

from widgets.tones import Ground, Phrase


@dataclass(frozen=True, slots=True)
class Bar:
    """Phrases from the left and phrases pinned to the right; what does not fit goes whole, by rank."""

    left: tuple[Phrase, ...] = ()
    right: tuple[Phrase, ...] = ()
    ground: Ground = Ground.NONE


@dataclass(frozen=True, slots=True)
class Section:
    """A section's title on a rule, a note at its right end, and whether the section has the focus."""

    title: str
    note: str = ""
    is_focused: bool = False
