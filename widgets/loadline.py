"""The load line: a price scale with the line that must not be crossed and the prices above it."""

from collections.abc import Sequence
from dataclasses import dataclass

from textual.reactive import reactive

from engine.assessment import Direction
from widgets.glyphs import clean, crop, width_of
from widgets.lines import LineWidget, Span, Spans, fitted
from widgets.tones import Tone


@dataclass(frozen=True, slots=True)
class Mark:
    """A price on the scale: its letter (`O`, `M`, `N`), its name, its price as text and as a coordinate."""

    letter: str
    name: str
    price: float
    label: str
    tone: Tone = Tone.STRONG


@dataclass(frozen=True, slots=True)
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
    blocks: list[tuple[int, int]] = []
    said: set[str] = set()
    wanted = [(line_at, "line", scale.line_label, Tone.DANGER)]
    wanted += [(at, mark.name, mark.label, mark.tone) for at, mark in places]
    for at, raw_name, raw_price, tone in wanted:
        name, price = crop(raw_name, track), crop(raw_price, track)
        block = _block(at, max(width_of(name), width_of(price)), blocks, track)
        if block is None or (price and price in said and at != line_at):
            continue
        blocks.append(block)
        said.add(price)
        price_tone = Tone.MUTED if scale.is_stale else tone
        _write(names, name, at, block, Tone.MUTED)
        _write(prices, price, at, block, price_tone)
    return names, prices


def _block(at: int, width: int, blocks: Sequence[tuple[int, int]], track: int) -> tuple[int, int] | None:
    """Return where a label of `width` cells stands: centred on its mark, else beside the label in its way."""
    starts = [at - (width - 1) // 2]
    starts += [begin - _LABEL_GAP - width for begin, _ in blocks] + [end + _LABEL_GAP for _, end in blocks]
    starts += [0, track - width]
    for start in sorted(starts, key=lambda start: abs(start + (width - 1) // 2 - at)):
        end = start + width
        is_clear = all(end + _LABEL_GAP <= begin or start >= stop + _LABEL_GAP for begin, stop in blocks)
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
