"""A rescue on screen: its alternatives side by side, the line that says what a key would do, and its progress."""

import textwrap
from collections.abc import Sequence

from textual.reactive import reactive

from engine.record import record
from widgets.bars import PhraseBar
from widgets.glyphs import clean
from widgets.lines import LineWidget, Span, Spans, fitted, length, spans_of
from widgets.tones import Cell, Ground, Line, Tone


@record
class PlanRow:
    """One fact of every alternative, in their order. `gap` leaves a line before it where there is room.

    Cells of a wrapped row are broken into lines between words; those of any other are cropped.
    """

    label: str
    cells: tuple[Line, ...]
    gap: bool = False
    is_wrapped: bool = False


@record
class PlanTable:
    """All alternatives; `chosen` is the column that stands out. `closing` follows in full width.

    `said` stands instead of everything else while there is nothing to compare.
    """

    heads: tuple[Line, ...] = ()
    rows: tuple[PlanRow, ...] = ()
    chosen: int = 0
    closing: tuple[tuple[str, Line], ...] = ()
    said: tuple[Line, ...] = ()
    is_dense: bool = False


@record
class ProgressStep:
    """One step: its number or glyph, title, how far it is, and the evidence."""

    mark: Cell
    title: str
    fate: Cell
    evidence: str = ""


@record
class Progress:
    """An action on its way: a loud first line on its ground, what it is, its steps, and what follows."""

    headline: Line = ()
    ground: Ground = Ground.NONE
    about: tuple[Line, ...] = ()
    steps: tuple[ProgressStep, ...] = ()
    closing: tuple[Line, ...] = ()


_LABEL = 13
_LEAST_COLUMN = 20
_MOST_COLUMN = 30
_INDENT = 2


def columns_for(width: int, count: int, chosen: int) -> range:
    """Return the alternatives that fit side by side, the chosen one among them."""
    fits = max(1, min(count, (width - _INDENT - _LABEL) // _LEAST_COLUMN))
    first = max(0, min(chosen - chosen % fits, count - fits))
    return range(first, first + fits)


class PlanCompare(LineWidget):
    """Alternatives as columns, facts as rows; the chosen column stands on the cursor's ground."""

    model: reactive[PlanTable] = reactive(PlanTable(), repaint=False)

    def line_count(self, width: int) -> int:
        return len(table_lines(self.model, width)) if width else 1

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        return table_lines(self.model, width)


class ConfirmLine(PhraseBar):
    """What enter would do now, or why it does nothing."""


class ProgressSteps(LineWidget):
    """Every step of an action with what became of it."""

    model: reactive[Progress] = reactive(Progress(), repaint=False)

    def line_count(self, width: int) -> int:
        return max(1, len(progress_lines(self.model, width))) if width else 1

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        return progress_lines(self.model, width)


def table_lines(model: PlanTable, width: int) -> list[Spans]:
    """Return the comparison as lines of `width` cells."""
    if model.said:
        return [line for said in model.said for line in _wrapped(said, width, _INDENT)]
    if not model.heads:
        return [fitted((), width)]
    shown = columns_for(width, len(model.heads), model.chosen)
    room = min(_MOST_COLUMN, (width - _INDENT - _LABEL) // max(1, len(shown)))
    lines = [_columns("", [model.heads[at] for at in shown], shown, model.chosen, room, width)]
    empty: list[Line] = [()] * len(shown)
    for row in model.rows:
        if row.gap and not model.is_dense:
            lines.append(_columns("", empty, shown, model.chosen, room, width))
        cells = [row.cells[at] for at in shown]
        if not row.is_wrapped:
            lines.append(_columns(row.label, cells, shown, model.chosen, room, width))
            continue
        broken = [_broken(cell, room - 2) for cell in cells]
        for index in range(max((len(parts) for parts in broken), default=0)):
            part = [parts[index] if index < len(parts) else () for parts in broken]
            lines.append(_columns(row.label if index == 0 else "", part, shown, model.chosen, room, width))
    for label, line in model.closing:
        if not model.is_dense:
            lines.append(fitted((), width))
        lines.extend(_labelled(label, line, width))
    return lines


def progress_lines(model: Progress, width: int) -> list[Spans]:
    """Return an action's progress as lines of `width` cells."""
    lines: list[Spans] = []
    if model.headline:
        headline = (Span(" " * _INDENT, Tone.TEXT, model.ground), *spans_of(model.headline, model.ground))
        lines.extend((fitted(headline, width, model.ground), fitted((), width)))
    for about in model.about:
        lines.extend(_wrapped(about, width, _INDENT))
    if model.steps:
        lines.append(fitted((), width))
    titles = min(max((len(clean(step.title)) for step in model.steps), default=0) + 2, max(12, width - 36))
    for step in model.steps:
        head: Spans = (
            Span(" " * _INDENT),
            *fitted(spans_of((step.mark,)), 4),
            *fitted((Span(clean(step.title), Tone.STRONG),), titles),
            *spans_of((step.fate,)),
        )
        beside = _INDENT + 4 + titles + 11
        if step.evidence and width - beside >= 24:
            first, *more = textwrap.wrap(clean(step.evidence), width - beside) or [""]
            head = (*fitted(head, beside), Span(first, Tone.MUTED))
            lines.append(fitted(head, width))
            lines.extend(fitted((Span(" " * beside), Span(text, Tone.MUTED)), width) for text in more)
        else:
            lines.append(fitted(head, width))
            lines.extend(_wrapped((Cell(step.evidence, Tone.MUTED),), width, _INDENT + 4) if step.evidence else ())
    if model.closing:
        lines.append(fitted((), width))
    for closing in model.closing:
        lines.extend(_wrapped(closing, width, _INDENT))
    return lines


def _columns(label: str, cells: Sequence[Line], shown: Sequence[int], chosen: int, room: int, width: int) -> Spans:
    spans: list[Span] = [Span(" " * _INDENT), *fitted((Span(clean(label), Tone.MUTED),), _LABEL)]
    for at, cell in zip(shown, cells, strict=True):
        ground = Ground.RAISED if at == chosen else Ground.NONE
        inner = fitted(spans_of(cell, ground), room - 2, ground)
        spans.extend((Span(" ", Tone.TEXT, ground), *inner, Span(" ", Tone.TEXT, ground)))
    return fitted(spans, width)


def _broken(line: Line, width: int) -> list[Line]:
    """Return cells in lines of at most `width`, broken between words; every cell starts a line of its own."""
    return [(Cell(part, cell.tone),) for cell in line for part in textwrap.wrap(clean(cell.text), max(8, width))]


def _wrapped(line: Line, width: int, indent: int) -> list[Spans]:
    """Return one line, broken between words where it is too long; it then takes the tone of its first cell."""
    spans = spans_of(line)
    if length(spans) <= width - indent - 1 or not line:
        return [fitted((Span(" " * indent), *spans), width)]
    text = "".join(span.text for span in spans)
    parts = textwrap.wrap(text, max(8, width - indent - 1))
    return [fitted((Span(" " * indent), Span(part, line[0].tone)), width) for part in parts]


def _labelled(label: str, line: Line, width: int) -> list[Spans]:
    lines = _wrapped(line, width - _INDENT - _LABEL, 1)
    heads = (label, *[""] * (len(lines) - 1))
    return [
        (Span(" " * _INDENT), *fitted((Span(clean(head), Tone.MUTED),), _LABEL), *rest)
        for head, rest in zip(heads, lines, strict=True)
    ]
