"""Prices: what liquidates, what the venues agree on, how far apart they are, and when the oracle prints next."""

from dataclasses import dataclass

from widgets.gauges import Divergence, Gauge
from widgets.tones import BLANK, Cell


@dataclass(frozen=True, slots=True)
class PriceRow:
    """One asset. `heartbeat` fills as the feed's heartbeat elapses; `heartbeat_label` is its length, or `none`."""

    key: str
    asset: Cell
    oracle: Cell = BLANK
    age: Cell = BLANK
    market: Cell = BLANK
    divergence_bps: Cell = BLANK
    divergence: Divergence | None = None
    heartbeat: Gauge | None = None
    heartbeat_label: Cell = BLANK
    next_print: Cell = BLANK
    venues: Cell = BLANK
    note: Cell = BLANK


@dataclass(frozen=True, slots=True)
class Prices:
    """All assets in order; `nothing` is shown instead when there are none."""

    rows: tuple[PriceRow, ...] = ()
    nothing: str = ""


@dataclass(frozen=True, slots=True)
class QuoteRow:
    """One quote of an asset: a venue, the oracle or the next print. `low` is the bid or the source, `high` the ask."""

    name: Cell
    low: Cell = BLANK
    high: Cell = BLANK
    age: Cell = BLANK
    divergence_bps: Cell = BLANK
    divergence: Divergence | None = None
    state: Cell = BLANK


@dataclass(frozen=True, slots=True)
class Quotes:
    """All quotes of one asset in order; `nothing` is shown instead when there are none."""

    rows: tuple[QuoteRow, ...] = ()
    nothing: str = ""
