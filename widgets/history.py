"""Health over time, with the floor at 1.00, where liquidation begins."""

from dataclasses import dataclass

from widgets.tones import Tone


@dataclass(frozen=True, slots=True)
class Threshold:
    """A ladder rung: below `level` the edge takes `tone`; `label` is written at its dashes when not empty."""

    level: float
    label: str
    tone: Tone


@dataclass(frozen=True, slots=True)
class History:
    """Health by time between `start_ns` and `end_ns`.

    `points` are (time_ns, health), oldest first; a health holds until the next point, and `None` opens a gap.
    `thresholds` are in falling order of level. `tone` colours the edge above the highest of them. `start_label` and
    `end_label` are written under the ends; `nothing` replaces the chart when no point can be drawn.
    """

    points: tuple[tuple[int, float | None], ...] = ()
    start_ns: int = 0
    end_ns: int = 0
    thresholds: tuple[Threshold, ...] = ()
    tone: Tone = Tone.MUTED
    is_stale: bool = False
    start_label: str = ""
    end_label: str = "now"
    floor_label: str = "1.00 line"
    nothing: str = "no history yet"
