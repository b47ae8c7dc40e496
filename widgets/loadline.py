"""The load line: a price scale with the line that must not be crossed and the prices above it."""

from collections.abc import Sequence
from typing import NamedTuple

from textual.reactive import reactive

from engine.assessment import Direction
from engine.record import record
from widgets.glyphs import clean, crop, width_of
from widgets.lines import LineWidget, Span, Spans, fitted
from widgets.tones import Tone


@record
class Mark:
    """A price on the scale: its letter (`O`, `M`, `N`), its name, its price as text and as a coordinate."""

    letter: str
    name: str
    price: float
    label: str
    tone: Tone = Tone.STRONG


@record
class Scale:
    """Where the line is and which prices stand beside it; the first mark is the trigger price.

    `line` is `None` when no move of this asset liquidates; `reason` then says so in words. With `direction` up the
    drowned ground lies to the right. A stale scale keeps its shape and loses its colours.
    """

    line: float | None
    line_label: str = ""
    direction: Direction | None = Direction.DOWN
    marks: tuple[Mark, ...] = ()
    is_stale: bool = False
    reason: str = ""


_INDENT = 2
_DROWNED_SIDE = 0.11
_SPAN = 0.78
_LABEL_GAP = 2


class LoadLine(LineWidget):
    """The scale in three lines (names, scale, prices), or in one where there is no more room."""

    DEFAULT_CSS = "LoadLine { height: 3; }"
    model: reactive[Scale] = reactive(Scale(None), repaint=False)

    def compose_lines(self, width: int, height: int) -> Sequence[Spans]:
        return load_lines(self.model, width, height)


def load_lines(scale: Scale, width: int, height: int = 3) -> Sequence[Spans]:
    """Return the scale's lines: three from a height of three on, else the scale alone."""
    track = max(1, width - 2 * _INDENT)
    if scale.line is None:
        said = fitted((Span(" " * _INDENT), Span(clean(scale.reason), Tone.MUTED)), width)
        return (fitted((), width), said) if height >= 3 else (said,)
    is_up = scale.direction is Direction.UP
    line_at, places = _places(scale, scale.line, track)
    cells = [_track_cell(x, line_at, places, scale, is_up) for x in range(track)]
    middle = _spans([(" ", Tone.TEXT)] * _INDENT + cells, width)
    if height < 3:
        return (middle,)
    names, prices = _labels(scale, line_at, places, track)
    indent = [(" ", Tone.TEXT)] * _INDENT
    return (_spans(indent + names, width), middle, _spans(indent + prices, width))


def _places(scale: Scale, line: float, track: int) -> tuple[int, list[tuple[int, Mark]]]:
    """Return the line's cell and each mark's: true to scale, but never on the line nor on one another."""
    prices = [line, *(mark.price for mark in scale.marks)]
    low, high = min(prices), max(prices)
    is_up = scale.direction is Direction.UP
    before = 1 - _DROWNED_SIDE - _SPAN if is_up else _DROWNED_SIDE

    def at(price: float) -> int:
        share = (price - low) / (high - low) if high > low else float(is_up)
        return min(track - 1, max(0, round(track * (before + _SPAN * share))))

    line_at = at(line)
    taken = {line_at}
    places = []
    for mark in scale.marks:
        wanted = at(mark.price)
        side = 1 if mark.price > line or (mark.price == line and is_up) else -1
        free = [x for x in range(track) if x not in taken and (x - line_at) * side > 0]
        if not free:
            continue
        x = min(free, key=lambda x: (abs(x - wanted), (x - line_at) * side))
        taken.add(x)
        places.append((x, mark))
    return line_at, places


def _track_cell(
    x: int, line_at: int, places: Sequence[tuple[int, Mark]], scale: Scale, is_up: bool
) -> tuple[str, Tone]:
    for at, mark in places:
        if at == x:
            return clean(mark.letter)[:1], Tone.STRONG if scale.is_stale else mark.tone
    if x == line_at:
        return "┃", Tone.UNKNOWN if scale.is_stale else Tone.DANGER
    if (x > line_at) if is_up else (x < line_at):
        return "░", Tone.MUTED if scale.is_stale else Tone.DANGER
    trigger_at = places[0][0] if places else line_at
    is_room = trigger_at < x < line_at if is_up else line_at < x < trigger_at
    return ("━", Tone.MUTED) if is_room else ("─", Tone.RULE)


def _labels(
    scale: Scale, line_at: int, places: Sequence[tuple[int, Mark]], track: int
) -> tuple[list[tuple[str, Tone]], list[tuple[str, Tone]]]:
    names, prices = [(" ", Tone.TEXT)] * track, [(" ", Tone.TEXT)] * track
    labels = [_Label(line_at, crop("line", track), crop(scale.line_label, track), Tone.DANGER)]
    labels += [_Label(at, crop(mark.name, track), crop(mark.label, track), mark.tone) for at, mark in places]
    blocks = _blocks(labels, track)
    if len(labels) > 1 and labels[1] not in blocks:
        # The trigger price counts for more than its line standing centred.
        blocks = _blocks([labels[1], labels[0], *labels[2:]], track)
    for label, block in blocks.items():
        _write(names, label.name, label.at, block, Tone.MUTED)
        _write(prices, label.price, label.at, block, Tone.MUTED if scale.is_stale else label.tone)
    return names, prices


class _Label(NamedTuple):
    at: int
    name: str
    price: str
    tone: Tone

    @property
    def width(self) -> int:
        return max(width_of(self.name), width_of(self.price))


def _blocks(labels: Sequence[_Label], track: int) -> dict[_Label, tuple[int, int]]:
    """Return where each label stands, the first ones preferred; a price that is written already is not repeated."""
    blocks: dict[_Label, tuple[int, int]] = {}
    for label in labels:
        if any(label.price == other.price for other in blocks):
            continue
        block = _block(label.at, label.width, [(other.at, *taken) for other, taken in blocks.items()], track)
        if block is not None:
            blocks[label] = block
    return blocks


def _block(at: int, width: int, blocks: Sequence[tuple[int, int, int]], track: int) -> tuple[int, int] | None:
    """Return where a label of `width` cells stands: centred on its mark, else beside the label in its way.

    Labels stand in the order of their marks and touch or cover their own; `None` where that leaves no room.
    """
    starts = [at - (width - 1) // 2, 0, track - width]
    starts += [begin - _LABEL_GAP - width for _, begin, _ in blocks] + [end + _LABEL_GAP for _, _, end in blocks]
    for start in sorted(starts, key=lambda start: abs(start + (width - 1) // 2 - at)):
        end = start + width
        is_clear = all(
            end + _LABEL_GAP <= begin if at < other else start >= stop + _LABEL_GAP for other, begin, stop in blocks
        )
        if start >= 0 and end <= track and is_clear and start - width <= at <= end + width:
            return start, end
    return None


def _write(cells: list[tuple[str, Tone]], text: str, at: int, block: tuple[int, int], tone: Tone) -> None:
    start = max(block[0], min(at - (width_of(text) - 1) // 2, block[1] - width_of(text)))
    column = start
    for char in text:
        taken = width_of(char)
        if column + taken > len(cells):
            break
        cells[column : column + taken] = [(char, tone)] + [("", tone)] * (taken - 1)
        column += taken


def _spans(cells: Sequence[tuple[str, Tone]], width: int) -> Spans:
    merged: list[Span] = []
    for text, tone in cells:
        if merged and merged[-1].tone is tone:
            merged[-1] = Span(merged[-1].text + text, tone)
        else:
            merged.append(Span(text, tone))
    return fitted(merged, width)
