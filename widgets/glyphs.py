"""Text as a terminal can be trusted with: sanitised, measured in cells, and mapped to ASCII where asked.

Whatever comes in, what leaves here is one line of printable characters of one or two cells each, read from left to
right. A character that is none of that (control, format and bidirectional marks, right-to-left letters, combining
marks, emoji) becomes `_`, so that a symbol with an invisible mark in it does not look like the real one.
"""

import unicodedata
from functools import lru_cache
from itertools import islice

from rich.cells import cell_len, get_character_cell_size

ELLIPSIS = "…"
INERT = "_"
LONGEST = 512
"""Characters of a text that are looked at; nothing on screen is longer."""

LEVELS = "▁▂▃▄▅▆"
"""Spark levels; `▆` is the highest, or stacked rows melt together."""

_ASCII = str.maketrans(
    {
        "─": "-",
        "━": "=",
        "│": "|",
        "┃": "|",
        "░": ".",
        "▌": "#",
        "╌": ".",
        "▁": ".",
        "▂": ":",
        "▃": ":",
        "▄": "-",
        "▅": "=",
        "▆": "=",
        "·": ".",
        "σ": "S",
        "→": ">",
        "…": ".",
        "×": "x",
        "\u2800": " ",
        **{chr(code): "*" for code in range(0x2801, 0x2900)},
    }
)
_RIGHT_TO_LEFT = frozenset({"R", "AL", "AN"})


def clean(text: str) -> str:
    """Return `text` as one line of inert characters, its first `LONGEST` only; white space becomes blanks."""
    if text.isascii() and text.isprintable() and len(text) <= LONGEST:
        return text
    return _cleaned(text[:LONGEST])


@lru_cache(maxsize=2048)
def _cleaned(text: str) -> str:
    return "".join(map(_inert, unicodedata.normalize("NFC", text)))


def _inert(char: str) -> str:
    if char in "\t\n\r\v\f":
        return " "
    width = get_character_cell_size(char)
    if not char.isprintable() or width == 0 or unicodedata.bidirectional(char) in _RIGHT_TO_LEFT:
        return INERT
    if unicodedata.category(char) in {"So", "Sk"} and width == 2:
        return INERT
    return char


def to_ascii(text: str) -> str:
    """Return `text` in ASCII, as many cells wide: our own glyphs by their counterparts, any other as `_`."""
    if text.isascii():
        return text
    return "".join(char if char.isascii() else INERT * get_character_cell_size(char) for char in text.translate(_ASCII))


def width_of(text: str) -> int:
    """Return the cells that a clean text takes."""
    return len(text) if text.isascii() else cell_len(text)


def crop(text: str, width: int) -> str:
    """Return a clean text in at most `width` cells, with an ellipsis where something was cut."""
    text = clean(text)
    if width_of(text) <= width:
        return text
    if width <= 0:
        return ""
    if text.isascii():
        return text[: width - 1] + ELLIPSIS
    kept, room = [], width - 1
    for char in islice(text, width):
        room -= get_character_cell_size(char)
        if room < 0:
            break
        kept.append(char)
    return "".join(kept) + ELLIPSIS


def fit(text: str, width: int) -> str:
    """Return a text in exactly `width` cells, from the left."""
    text = crop(text, width)
    return text + " " * (width - width_of(text))


def right(text: str, width: int) -> str:
    """Return a text in exactly `width` cells, against the right edge."""
    text = crop(text, width)
    return " " * (width - width_of(text)) + text


def number(text: str, width: int) -> str:
    """Return a number in exactly `width` cells, the last of which belongs to its marker.

    `1.310?` ends with its `?` in the marker cell, `1.310` and a lone `?` end before it. A number that does not fit
    loses its thousands commas first; one that still does not fit becomes `#`s, never a smaller number.
    """
    text = clean(text)
    digits, marker = (text[:-1], "?") if len(text) > 1 and text.endswith("?") else (text, " ")
    room = width - 1
    if width_of(digits) > room:
        digits = digits.replace(",", "")
        if width_of(digits) > room:
            digits = "#" * room
    return " " * (room - width_of(digits)) + digits + marker
