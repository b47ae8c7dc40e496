"""Text attributes of terminal cells: interned styles, and the shortest SGR sequence from one to another.

A style is a small integer; 0 is the terminal's default. SGR parameters: ECMA-48 section 8.3.117.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from engine.record import record

_SWITCHES: dict[str, tuple[int, str]] = {
    "1": (1, "22"),
    "2": (2, "22"),
    "3": (4, "23"),
    "4": (8, "24"),
    "5": (16, "25"),
    "7": (32, "27"),
    "8": (64, "28"),
    "9": (128, "29"),
}
_OFF: dict[str, int] = {"22": 1 | 2, "23": 4, "24": 8, "25": 16, "27": 32, "28": 64, "29": 128}
_SEEN_ON_BLANKS = 8 | 32 | 128
_BOLD_OR_DIM = 1 | 2


@record
class Ink:
    """What one style means: a bit set of attributes, and the SGR parameters of its colours ("" = default)."""

    attributes: int = 0
    foreground: str = ""
    background: str = ""


@dataclass(slots=True)
class Palette:
    """Interns styles and remembers every answer; it only ever holds as many entries as a theme has styles."""

    _inks: list[Ink] = field(default_factory=lambda: [Ink()])
    _ids: dict[Ink, int] = field(default_factory=lambda: {Ink(): 0})
    _applied: dict[tuple[int, str], int] = field(default_factory=dict)
    _changes: dict[tuple[int, int], str] = field(default_factory=dict)
    _blank: dict[int, int] = field(default_factory=dict)

    def apply(self, style: int, parameters: str) -> int:
        """Return the style that follows `style` after the SGR `parameters` ("1;38;5;203")."""
        key = (style, parameters)
        known = self._applied.get(key)
        if known is None:
            known = self._applied[key] = self._intern(_after(self._inks[style], parameters.split(";")))
        return known

    def change(self, old: int, new: int) -> str:
        """Return the shortest SGR sequence from `old` to `new`; empty when they are the same."""
        if old == new:
            return ""
        key = (old, new)
        known = self._changes.get(key)
        if known is None:
            known = self._changes[key] = _shortest(self._inks[old], self._inks[new])
        return known

    def blank(self, style: int) -> int:
        """Return a style that paints a space exactly as `style` does, the same for all such styles."""
        known = self._blank.get(style)
        if known is None:
            ink = self._inks[style]
            shows = ink.attributes & _SEEN_ON_BLANKS
            known = self._intern(ink if shows else Ink(background=ink.background))
            self._blank[style] = known
        return known

    def _intern(self, ink: Ink) -> int:
        known = self._ids.get(ink)
        if known is None:
            known = self._ids[ink] = len(self._inks)
            self._inks.append(ink)
        return known


def _after(ink: Ink, parameters: list[str]) -> Ink:
    attributes, foreground, background = ink.attributes, ink.foreground, ink.background
    queue = iter(parameters)
    for code in queue:
        if code in ("", "0"):
            attributes, foreground, background = 0, "", ""
        elif code in _SWITCHES:
            attributes |= _SWITCHES[code][0]
        elif code in _OFF:
            attributes &= ~_OFF[code]
        elif code in ("38", "48"):
            colour = _extended(code, next(queue, ""), queue)
            foreground, background = (colour, background) if code == "38" else (foreground, colour)
        elif code == "39":
            foreground = ""
        elif code == "49":
            background = ""
        elif code.isdigit() and (30 <= int(code) <= 37 or 90 <= int(code) <= 97):
            foreground = code
        elif code.isdigit() and (40 <= int(code) <= 47 or 100 <= int(code) <= 107):
            background = code
    return Ink(attributes, foreground, background)


def _extended(code: str, kind: str, queue: Iterator[str]) -> str:
    count = 1 if kind == "5" else 3
    return ";".join((code, kind, *(next(queue, "0") or "0" for _ in range(count))))


def _shortest(old: Ink, new: Ink) -> str:
    full = ";".join(("0", *_codes(new.attributes), *filter(None, (new.foreground, new.background))))
    delta: list[str] = []
    gone = old.attributes & ~new.attributes
    kept = old.attributes & new.attributes
    for bit, off in _SWITCHES.values():
        if gone & bit and off not in delta:
            delta.append(off)
            if bit & _BOLD_OR_DIM:
                kept &= ~_BOLD_OR_DIM
    delta.extend(_codes(new.attributes & ~kept))
    if new.foreground != old.foreground:
        delta.append(new.foreground or "39")
    if new.background != old.background:
        delta.append(new.background or "49")
    partial = ";".join(delta)
    if new == Ink():
        return "\x1b[m"
    return f"\x1b[{partial if len(partial) <= len(full) else full}m"


def _codes(attributes: int) -> list[str]:
    return [code for code, (bit, _) in _SWITCHES.items() if attributes & bit]
