"""What can happen to the desk's state; `LiveState.apply` takes these and nothing else."""

from dataclasses import dataclass
from decimal import Decimal

from engine.alerts import Alert
from providers.ports import LinkChange, PriceTick, Reading


@dataclass(frozen=True, slots=True)
class Linked:
    """The link of the source (`kind`, `name`) changed."""

    kind: str
    name: str
    change: LinkChange


@dataclass(frozen=True, slots=True)
class Idled:
    """The source (`kind`, `name`) has nothing to do; it `waits` for something, or never will have."""

    kind: str
    name: str
    detail: str
    waits: bool


@dataclass(frozen=True, slots=True)
class ClockTicked:
    """Time passed: everything that ages is looked at again."""


@dataclass(frozen=True, slots=True)
class VolatilityLearned:
    """An asset's annualised volatility (0.62 = 62 %)."""

    asset: str
    volatility: Decimal


@dataclass(frozen=True, slots=True)
class Backfilled:
    """Readings of the past, for the history of their accounts alone."""

    readings: tuple[Reading, ...]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The owner has seen an alert; an account that vanished leaves the list with it."""

    key: str


@dataclass(frozen=True, slots=True)
class Delivered:
    """What became of sending `alerts`; `again_at_ns` is when a failed one is tried again."""

    alerts: tuple[Alert, ...]
    ok: bool
    delivery: str
    again_at_ns: int | None = None


Event = Reading | PriceTick | Linked | Idled | ClockTicked | VolatilityLearned | Backfilled | Acknowledged | Delivered
