"""What a piece of text on screen means, and how a theme paints that meaning.

A view model carries text and `Tone`; only a theme knows colours. A theme paints tone `danger` by these variables, each
optional:

    tone-danger              foreground, any colour that Textual parses, `ansi_bright_red` included
    tone-stale-background    background; for the tones in `FILLED` only, as is `reverse`
    tone-danger-style        text attributes, as in CSS: `bold`, `dim`, `reverse`, `bold reverse`, `none`

and a line's ground by `ground-raised`, `ground-drowned` and `ground-surface` (a colour, or absent for none) and
`ground-raised-style` (`reverse` in themes without colours: the cursor row is then reversed in one colour).
A theme that has none of them is painted from Textual's own variables, so every widget also runs in a plain `App`.
"""

from collections.abc import Mapping
from enum import StrEnum

from rich.style import Style
from textual.color import Color

from engine.assessment import Severity
from engine.record import record


class Tone(StrEnum):
    """What a text means; a theme decides its colour and attributes."""

    TEXT = "text"
    STRONG = "strong"
    MUTED = "muted"
    FAINT = "faint"
    RULE = "rule"
    ACCENT = "accent"
    KEY = "key"
    WATCH = "watch"
    WARN = "warn"
    DANGER = "danger"
    LIQUIDATABLE = "liquidatable"
    UNKNOWN = "unknown"
    NEXT = "next"
    STALE = "stale"


FILLED = frozenset({Tone.LIQUIDATABLE, Tone.STALE})
"""Tones that may have a background or be reversed; the blanks beside their text stay clear of it."""


class Ground(StrEnum):
    """What lies behind a whole line: nothing, the cursor, the drowned ground of the verdict, or a chart's surface."""

    NONE = "none"
    RAISED = "raised"
    DROWNED = "drowned"
    SURFACE = "surface"


SEVERITY_TONES: Mapping[Severity, Tone] = {
    Severity.SAFE: Tone.TEXT,
    Severity.WATCH: Tone.WATCH,
    Severity.WARN: Tone.WARN,
    Severity.DANGER: Tone.DANGER,
    Severity.LIQUIDATABLE: Tone.LIQUIDATABLE,
    Severity.UNKNOWN: Tone.UNKNOWN,
}
"""The tone that a severity takes where it is coloured at all; `SAFE` has no colour."""


@record
class Cell:
    """A piece of text and what it means. The text is sanitised again when painted: it can hold anything."""

    text: str = ""
    tone: Tone = Tone.TEXT


BLANK = Cell()
"""The cell of what does not apply."""

Line = tuple[Cell, ...]
"""Cells painted one after the other, without gaps."""


@record
class Phrase:
    """Cells that stay or go as one. Where room is short, the highest `rank` goes first, and of equals the last."""

    cells: Line
    rank: int = 0

    @classmethod
    def of(cls, text: str, tone: Tone = Tone.TEXT, rank: int = 0) -> "Phrase":
        """Return a phrase of one cell."""
        return cls((Cell(text, tone),), rank)

    @classmethod
    def key(cls, key: str, label: str, rank: int = 0) -> "Phrase":
        """Return a key hint: the key, then what it does."""
        return cls((Cell(key, Tone.KEY), Cell(f" {label}", Tone.MUTED)), rank)


_FALLBACKS: Mapping[Tone, tuple[str, str]] = {
    Tone.TEXT: ("foreground", "none"),
    Tone.STRONG: ("foreground", "bold"),
    Tone.MUTED: ("foreground-muted", "none"),
    Tone.FAINT: ("foreground-disabled", "none"),
    Tone.RULE: ("foreground-disabled", "none"),
    Tone.ACCENT: ("accent", "none"),
    Tone.KEY: ("accent", "bold"),
    Tone.WATCH: ("success", "none"),
    Tone.WARN: ("warning", "none"),
    Tone.DANGER: ("error", "bold"),
    Tone.LIQUIDATABLE: ("error", "bold reverse"),
    Tone.UNKNOWN: ("secondary", "none"),
    Tone.NEXT: ("secondary", "none"),
    Tone.STALE: ("secondary", "reverse"),
}
_GROUND_FALLBACKS: Mapping[Ground, str] = {
    Ground.RAISED: "panel",
    Ground.DROWNED: "error-muted",
    Ground.SURFACE: "surface",
}


@record
class Palette:
    """Every tone and ground as a Rich style; made once per theme by `palette`."""

    tones: Mapping[Tone, Style]
    grounds: Mapping[Ground, Style]

    def style(self, tone: Tone, ground: Ground = Ground.NONE) -> Style:
        """Return the style of `tone` on `ground`.

        On a ground that is reversed every tone gives up its colour and its own reverse, and keeps only bold.
        """
        style = self.tones[tone]
        if ground is Ground.NONE:
            return style
        below = self.grounds[ground]
        if below.reverse:
            return below + Style(bold=True) if style.bold else below
        return below + style


def palette(variables: Mapping[str, str]) -> Palette:
    """Return the styles for a theme's variables (`App.theme_variables`)."""
    canvas = Color.parse(variables.get("background", "ansi_default"))
    is_themed = f"tone-{Tone.TEXT}" in variables
    tones = {}
    for tone in Tone:
        fallback_colour, fallback_style = _FALLBACKS[tone]
        name = f"tone-{tone}"
        colour = variables.get(name) if is_themed else variables.get(fallback_colour, variables.get("foreground"))
        attributes = variables.get(f"{name}-style", "none") if is_themed else fallback_style
        tones[tone] = _style(colour, variables.get(f"{name}-background"), attributes, canvas)
    grounds = {Ground.NONE: Style.null()}
    for ground, fallback in _GROUND_FALLBACKS.items():
        name = f"ground-{ground}"
        colour = variables.get(name) if is_themed else variables.get(fallback)
        grounds[ground] = _style(None, colour, variables.get(f"{name}-style", "none"), canvas)
    return Palette(tones, grounds)


def _style(colour: str | None, background: str | None, attributes: str, canvas: Color) -> Style:
    words = attributes.split()
    return Style(
        color=_opaque(colour, canvas).rich_color if colour else None,
        bgcolor=_opaque(background, canvas).rich_color if background else None,
        bold=True if "bold" in words else None,
        dim=True if "dim" in words else None,
        reverse=True if "reverse" in words else None,
        underline=True if "underline" in words else None,
    )


def _opaque(colour: str, canvas: Color) -> Color:
    """Return a theme's colour laid over the canvas; it may carry its opacity as in CSS (`ansi_default 50%`)."""
    name, _, opacity = colour.partition(" ")
    parsed = Color.parse(name)
    if parsed.ansi is not None:
        return parsed
    if opacity:
        parsed = parsed.multiply_alpha(float(opacity.removesuffix("%")) / 100)
    return parsed if parsed.a == 1 else canvas + parsed
