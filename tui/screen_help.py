"""The help overlay: every key, and what the marks mean."""

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.screen import ModalScreen

from widgets.facts import Text, TextLines
from widgets.tones import Cell, Line, Tone

_KEYS = (
    ("move", (("j k, arrows", "row"), ("g G", "first, last"), ("ctrl+d ctrl+u", "half a page"))),
    ("panes", (("1", "accounts"), ("2", "prices"), ("3", "risk"), ("4", "alerts"), ("5", "feeds"))),
    ("", (("7 w", "what if"), ("8 h", "hedges"), ("9 c", "cascade"), ("m", "how each number is told"))),
    ("", (("tab", "next pane"), ("z", "zoom the pane"), ("enter", "detail"), ("esc", "back"))),
    ("find", (("/", "filter, ! for not"), ("n N", "next, previous"), ("s S", "sort, reverse"))),
    ("act", (("space", "freeze"), ("a", "acknowledge"), ("r", "read now"), ("ctrl+l", "repaint"))),
    ("rescue", (("t", "plan"), ("A", "arm"), ("T", "one key"), ("!", "disarm"), ("6", "history"))),
    ("", (("f", "in progress or history: send what waits again at a higher fee"),)),
    ("copy", (("y", "the account as a line"), ("Y", "the account as JSON"), ("$", "mask amounts"))),
    ("more", (("ctrl+p or :", "commands"), ("q", "quit"), ("ctrl+c twice", "quit"), ("ctrl+z", "shell"))),
)
_MARKS: tuple[tuple[str, Tone, str], ...] = (
    ("X", Tone.LIQUIDATABLE, "liquidatable: health below 1"),
    ("!!", Tone.DANGER, "danger"),
    ("?", Tone.UNKNOWN, "unknown: stale or not computable; ranks as warn or worse"),
    ("!", Tone.WARN, "warn"),
    ("o", Tone.WATCH, "watch"),
    ("·", Tone.MUTED, "safe"),
    ("1.310?", Tone.MUTED, "nobody vouches for this number any more"),
    ("~1.310", Tone.MUTED, "an estimate"),
    ("?", Tone.MUTED, "not known; blank: does not apply"),
    ("P24H %", Tone.MUTED, "chance to be liquidated within a day; P1H an hour, P7D a week"),
    ("O M N", Tone.MUTED, "oracle, market, next print on the load line; P a perp's mark"),
)


def help_text() -> Text:
    """Return the lines of the overlay."""
    lines: list[Line] = [(Cell("keys", Tone.STRONG), Cell("   esc closes this", Tone.MUTED)), ()]
    for group, keys in _KEYS:
        cells = [Cell(f"  {group:<7}", Tone.MUTED)]
        for key, does in keys:
            cells.extend((Cell(key, Tone.KEY), Cell(f" {does}   ", Tone.TEXT)))
        lines.append(tuple(cells))
    lines.extend(((), (Cell("marks", Tone.STRONG),), ()))
    lines.extend((Cell(f"  {mark:>7}  ", tone), Cell(means, Tone.TEXT)) for mark, tone, means in _MARKS)
    return Text(tuple(lines))


class HelpScreen(ModalScreen[None]):
    """Every key and mark; any of its own keys closes it."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,question_mark,q,f1,enter", "dismiss", "close", show=False),
    ]

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            yield TextLines()

    def on_mount(self) -> None:
        """Write the text and let arrows scroll it."""
        self.query_one(TextLines).model = help_text()
        self.query_one(VerticalScroll).focus()
