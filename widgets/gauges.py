"""Small charts that fit a table's cell: room to the line, a day of health, divergence, heartbeat."""

from engine.record import record
from widgets.glyphs import LEVELS
from widgets.tones import Tone

Texts = tuple[tuple[str, Tone], ...]

SPAN = 1.6
"""A divergence bar shows this many of its feed's deviation thresholds to each side."""


@record
class Gauge:
    """How full: `fraction` 0 to 1 (clamped), in `tone`."""

    fraction: float
    tone: Tone = Tone.MUTED


@record
class Spark:
    """A series from old to new, each 0 to 1 (clamped); `None` is a gap."""

    values: tuple[float | None, ...]
    tone: Tone = Tone.MUTED


@record
class Divergence:
    """Market against oracle in bps (+ = market above), on a scale of 1.6 x the feed's own `deviation_bps`.

    Without a known deviation there is no scale: only the axis is painted.
    """

    bps: float | None
    deviation_bps: float | None
    tone: Tone = Tone.ACCENT


def gauge(value: Gauge | None, width: int) -> Texts:
    """Return a bar in `width` cells: heavy as far as it is full, at least one cell of it when not empty."""
    if value is None:
        return ((" " * width, Tone.TEXT),)
    fraction = max(0.0, min(1.0, value.fraction))
    full = max(1, round(fraction * width)) if fraction > 0 else 0
    return (("━" * full, value.tone), ("─" * (width - full), Tone.RULE))


def spark(value: Spark | None, width: int) -> Texts:
    """Return a series in `width` cells, the newest at the right; a cell of several values shows the lowest."""
    if value is None or not value.values:
        return ((" " * width, Tone.TEXT),)
    count = len(value.values)
    columns = min(width, count)
    cells = []
    for column in range(columns):
        slice_ = value.values[column * count // columns : (column + 1) * count // columns]
        known = [level for level in slice_ if level is not None]
        cells.append(LEVELS[_level(min(known))] if known else " ")
    return (("".join(cells).rjust(width), value.tone),)


def _level(fraction: float) -> int:
    return min(len(LEVELS) - 1, int(max(0.0, fraction) * len(LEVELS)))


def divergence_bar(value: Divergence | None, width: int) -> Texts:
    """Return a bar from the axis in the middle towards the market's side, a tick at each deviation threshold.

    A divergence of less than a cell is a thin dash; one beyond the scale fills its side.
    """
    if value is None:
        return ((" " * width, Tone.TEXT),)
    half = (width - 1) // 2
    left, right = [(" ", Tone.TEXT)] * half, [(" ", Tone.TEXT)] * half
    if value.deviation_bps and value.deviation_bps > 0:
        tick = round(half / SPAN)
        left[half - tick], right[tick - 1] = ("│", Tone.RULE), ("│", Tone.RULE)
        if value.bps:
            cells = min(float(half), abs(value.bps) / (SPAN * value.deviation_bps) * half)
            filled = max(1, round(cells))
            bar = [("━" if cells >= 1 else "─", value.tone)] * filled
            if value.bps < 0:
                left[half - filled :] = bar
            else:
                right[:filled] = bar
    return _merged([*left, ("│", Tone.MUTED), *right, *[(" ", Tone.TEXT)] * (width - 1 - 2 * half)])


def divergence_heading(width: int) -> str:
    """Return the scale's words above a divergence bar: `-dev 0 +dev`, each near its tick."""
    half = (width - 1) // 2
    tick = round(half / SPAN)
    cells = [" "] * width
    for text, at in (("-dev", half - tick - 1), ("0", half), ("+dev", half + tick - 2)):
        cells[max(0, at) : max(0, at) + len(text)] = text
    return "".join(cells)[:width]


def _merged(cells: list[tuple[str, Tone]]) -> Texts:
    merged: list[tuple[str, Tone]] = []
    for text, tone in cells:
        if merged and merged[-1][1] is tone:
            merged[-1] = (merged[-1][0] + text, tone)
        else:
            merged.append((text, tone))
    return tuple(merged)
