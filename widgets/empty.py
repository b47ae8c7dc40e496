"""What a screen without accounts says: what to do first."""

from collections.abc import Sequence

from textual.reactive import reactive

from engine.record import record
from widgets.glyphs import clean, fit
from widgets.lines import LineWidget, Span, Spans, fitted, length
from widgets.tones import Tone


@record
class Choice:
    """A key, the command behind it, and what it does."""

    key: str
    name: str
    description: str


@record
class Empty:
    """A headline, one explaining line, the choices and a closing line."""

    headline: str = ""
    explanation: str = ""
    choices: tuple[Choice, ...] = ()
    footnote: str = ""


_EMBLEM = (Span("░░░░░", Tone.DANGER), Span("┃", Tone.DANGER), Span("─" * 38, Tone.RULE), Span("O", Tone.STRONG))
_EMBLEM_END = Span("─" * 7, Tone.RULE)


class EmptyState(LineWidget):
    """The choices in the middle of the room, under the line that gives the program its name."""

    DEFAULT_CSS = "EmptyState { height: 1fr; }"
    model: reactive[Empty] = reactive(Empty(), repaint=False)

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        block = _block(self.model)
        if len(block) > height:
            block = [line for line in block[1:] if length(line)]
        indent = max(1, (width - max((length(line) for line in block), default=0)) // 2)
        lines = [fitted((Span(" " * indent), *line), width) for line in block]
        return [fitted((), width)] * max(0, (height - len(lines)) // 2) + lines


def _block(empty: Empty) -> list[Spans]:
    keys = max((len(clean(choice.key)) for choice in empty.choices), default=0)
    names = max((len(clean(choice.name)) for choice in empty.choices), default=0)
    return [
        (*_EMBLEM, _EMBLEM_END),
        (),
        (Span(clean(empty.headline), Tone.STRONG),),
        (Span(clean(empty.explanation), Tone.MUTED),),
        (),
        *(
            (
                Span(fit(choice.key, keys + 2), Tone.KEY),
                Span(fit(choice.name, names + 4), Tone.TEXT),
                Span(clean(choice.description), Tone.MUTED),
            )
            for choice in empty.choices
        ),
        (),
        (Span(clean(empty.footnote), Tone.FAINT),),
    ]
