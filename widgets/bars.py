"""One-line bars: what the program is doing, the verdict, the sources, the keys, and a section's titled rule."""

from collections.abc import Sequence
from typing import ClassVar

from textual.reactive import reactive

from engine.record import record
from widgets.lines import LineWidget, Span, Spans, fitted, length, spans_of
from widgets.tones import Ground, Phrase, Tone


@record
class Bar:
    """Phrases from the left and phrases pinned to the right; what does not fit goes whole, by rank."""

    left: tuple[Phrase, ...] = ()
    right: tuple[Phrase, ...] = ()
    ground: Ground = Ground.NONE


@record
class Section:
    """A section's title on a rule, a note at its right end, and whether the section has the focus."""

    title: str
    note: str = ""
    is_focused: bool = False


class PhraseBar(LineWidget):
    """One line of phrases, `GAP` cells apart, a margin cell at both ends."""

    GAP: ClassVar[int] = 2
    DEFAULT_CSS = "PhraseBar { height: 1; }"
    model: reactive[Bar] = reactive(Bar(), repaint=False)

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        return (bar_line(self.model, width, self.GAP),)


class HeaderBar(PhraseBar):
    """What runs, in which mode, with which totals; counts by severity and the clock at the right."""


class Verdict(PhraseBar):
    """The worst account as a sentence, on the ground of its severity."""

    GAP = 3


class FeedBar(PhraseBar):
    """Every source's state and age, and what carries alarms."""


class KeyBar(PhraseBar):
    """The keys that do something here."""


class SectionRule(LineWidget):
    """A titled rule; heavy where its section has the focus."""

    DEFAULT_CSS = "SectionRule { height: 1; }"
    model: reactive[Section] = reactive(Section(""), repaint=False)

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        return (rule_line(self.model, width),)


def bar_line(bar: Bar, width: int, gap: int) -> Spans:
    """Return a bar's line, less the phrases that do not fit, by rank and then from the end."""
    left = [(phrase, spans_of(phrase.cells, bar.ground)) for phrase in bar.left]
    right = [(phrase, spans_of(phrase.cells, bar.ground)) for phrase in bar.right]
    while len(left) + len(right) > 1 and sum(length(spans) + gap for _, spans in (*left, *right)) - gap + 2 > width:
        # Of equal rank the left side gives first, from its end; the right side is pinned and gives from its start.
        candidates = [(phrase.rank, 1, at) for at, (phrase, _) in enumerate(left)]
        candidates += [(phrase.rank, 0, -at) for at, (phrase, _) in enumerate(right)]
        _, is_left, at = max(candidates)
        del (left if is_left else right)[abs(at)]
    between = Span(" " * gap, Tone.TEXT, bar.ground)
    first, last = _joined([spans for _, spans in left], between), _joined([spans for _, spans in right], between)
    room = width - 2 - length(first) - length(last)
    margin = Span(" ", Tone.TEXT, bar.ground)
    middle = (Span(" " * room, Tone.TEXT, bar.ground),) if room > 0 else ()
    return fitted((margin, *first, *middle, *last, margin), width, bar.ground)


def rule_line(section: Section, width: int) -> Spans:
    """Return a section's rule; the note goes before the title is cropped."""
    tone = Tone.KEY if section.is_focused else Tone.MUTED
    lead = Span("━━ " if section.is_focused else "── ", Tone.KEY if section.is_focused else Tone.RULE)
    title = (lead, *spans_of(Phrase.of(section.title, tone).cells), Span(" "))
    note = (Span(" "), *spans_of(Phrase.of(section.note, Tone.MUTED).cells), Span(" "), Span("─", Tone.RULE))
    room = width - length(title) - (length(note) if section.note else 0)
    if section.note and room < 2:
        note, room = (), width - length(title)
    elif not section.note:
        note = ()
    rule = (Span("─" * room, Tone.RULE),) if room > 0 else ()
    return fitted((*title, *rule, *note), width)


def _joined(phrases: Sequence[Spans], between: Span) -> Spans:
    spans: list[Span] = []
    for index, phrase in enumerate(phrases):
        if index:
            spans.append(between)
        spans.extend(phrase)
    return tuple(spans)
