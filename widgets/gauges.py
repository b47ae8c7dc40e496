"""Small charts that fit a table's cell: room to the line, a day of health, divergence, heartbeat."""

from dataclasses import dataclass

from widgets.tones import Tone


@dataclass(frozen=True, slots=True)
class Gauge:
    """How full: `fraction` 0 to 1 (clamped), in `tone`."""

    fraction: float
    tone: Tone = Tone.MUTED


@dataclass(frozen=True, slots=True)
class Spark:
    """A series from old to new, each 0 to 1 (clamped); `None` is a gap."""

    values: tuple[float | None, ...]
    tone: Tone = Tone.MUTED


@dataclass(frozen=True, slots=True)
class Divergence:
    """Market against oracle in bps (+ = market above), on a scale of 1.6 x the feed's own `deviation_bps`.

    Without a known deviation there is no scale: only the axis is painted.
    """

    bps: float | None
    deviation_bps: float | None
    tone: Tone = Tone.ACCENT
