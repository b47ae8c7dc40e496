"""The base of every widget here: lines of spans from one view model, repainted only where they changed."""

from collections.abc import Sequence
from typing import NamedTuple

from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region, Size
from textual.reactive import reactive
from textual.strip import Strip
from textual.widget import Widget

from widgets.glyphs import clean, crop, fit, to_ascii, width_of
from widgets.tones import Ground, Line, Palette, Tone, palette


class Span(NamedTuple):
    """A clean text of known width in one tone on one ground."""

    text: str
    tone: Tone = Tone.TEXT
    ground: Ground = Ground.NONE


Spans = tuple[Span, ...]
"""One painted line: spans side by side."""


def spans_of(cells: Line, ground: Ground = Ground.NONE) -> Spans:
    """Return cells as spans, sanitised."""
    return tuple(Span(clean(cell.text), cell.tone, ground) for cell in cells if cell.text)


def length(spans: Sequence[Span]) -> int:
    """Return the cells that spans take together."""
    return sum(width_of(span.text) for span in spans)


def fitted(spans: Sequence[Span], width: int, ground: Ground = Ground.NONE) -> Spans:
    """Return spans in exactly `width` cells: cropped with an ellipsis, or filled up on `ground`."""
    line: list[Span] = []
    room = width
    for index, span in enumerate(spans):
        taken = width_of(span.text)
        if taken > room or (taken == room and any(later.text for later in spans[index + 1 :])):
            line.append(span._replace(text=fit(crop(span.text + " ", room), room)))
            return tuple(line)
        line.append(span)
        room -= taken
    if room:
        line.append(Span(" " * room, Tone.TEXT, ground))
    return tuple(line)


def plain(spans: Sequence[Span]) -> str:
    """Return the text of a line."""
    return "".join(span.text for span in spans)


class LineWidget(Widget):
    """Paints lines made by `compose_lines`; a subclass holds its view model in the reactive `model`.

    With `ascii_glyphs = True` on the app every glyph is painted by its ASCII counterpart.
    """

    ALLOW_SELECT = False
    DEFAULT_CSS = "LineWidget { height: auto; width: 1fr; }"

    model: reactive[object]

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._lines: list[Spans] = []
        self._painted_size = Size(0, 0)
        self._looks: tuple[Style, Palette] | None = None
        self._styles_by_look: dict[tuple[Tone, Ground], Style] = {}

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        """Return the lines for this size, each exactly `width` cells wide; missing lines at the end are blank."""
        return ()

    def line_count(self, width: int) -> int:
        """Return how many lines the model wants; the height of a widget whose height is `auto`."""
        return 1

    def watch_model(self) -> None:
        """Repaint what the new model changed."""
        self.repaint_changes()

    def repaint_changes(self) -> None:
        """Compose the lines again and refresh those that differ from the ones on screen."""
        if not self.is_attached:
            return
        size = self.content_size
        if self.styles.is_auto_height and self.line_count(size.width) != size.height:
            self.refresh(layout=True)
        if not size or size != self._painted_size:
            self._painted_size = Size(0, 0)
            self.refresh()
            return
        old, self._lines = self._lines, self._composed(size)
        if dirty := [
            Region(0, y, size.width, 1)
            for y, (before, after) in enumerate(zip(old, self._lines, strict=True))
            if before is not after and before != after
        ]:
            self.refresh(*dirty)

    def render_line(self, y: int) -> Strip:
        size = self.content_size
        if size != self._painted_size:
            self._lines = self._composed(size)
            self._painted_size = size
        if y >= len(self._lines):
            return Strip.blank(size.width, self._style(Tone.TEXT, Ground.NONE))
        return self._strip(self._lines[y], size.width)

    def get_content_height(self, container: Size, viewport: Size, width: int) -> int:
        return self.line_count(width)

    def notify_style_update(self) -> None:
        self._looks = None
        self._styles_by_look.clear()
        super().notify_style_update()

    @property
    def text_lines(self) -> tuple[str, ...]:
        """Return the lines as text, as they stand on screen, without trailing blanks."""
        return tuple(self.render_line(y).text.rstrip() for y in range(self.content_size.height))

    def _composed(self, size: Size) -> list[Spans]:
        lines = list(self.compose_lines(size.width, size.height)[: size.height])
        blank = (Span(" " * size.width),)
        return lines + [blank] * (size.height - len(lines))

    def _strip(self, spans: Spans, width: int) -> Strip:
        if getattr(self.app, "ascii_glyphs", False):
            segments = [Segment(to_ascii(text), self._style(tone, ground)) for text, tone, ground in spans]
        else:
            segments = [Segment(text, self._style(tone, ground)) for text, tone, ground in spans]
        return Strip(segments, width)

    def _style(self, tone: Tone, ground: Ground) -> Style:
        style = self._styles_by_look.get((tone, ground))
        if style is None:
            if self._looks is None:
                self._looks = self.rich_style, palette(self.app.theme_variables)
            base, colours = self._looks
            style = base + colours.style(tone, ground)
            self._styles_by_look[tone, ground] = style
        return style
