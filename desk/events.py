"""What can happen to the desk's state; `LiveState.apply` takes these and nothing else."""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.alerts import Alert
from engine.record import record
from providers.ports import LinkChange, PriceTick, Reading

if TYPE_CHECKING:
    from desk.actions import ActionState
    from engine.simulation.forecast import AccountForecast
    from engine.simulation.requirement import Required
    from engine.whatif import WhatIf


@record
class Linked:
    """The link of the source (`kind`, `name`) changed."""

    kind: str
    name: str
    change: LinkChange


@record
class Idled:
    """The source (`kind`, `name`) has nothing to do; it `waits` for something, or never will have."""

    kind: str
    name: str
    detail: str
    waits: bool


@record
class ClockTicked:
    """Time passed: everything that ages is looked at again."""


@record
class VolatilityLearned:
    """An asset's annualised volatility (0.62 = 62 %)."""

    asset: str
    volatility: Decimal


@record
class Backfilled:
    """Readings of the past, for the history of their accounts alone."""

    readings: tuple[Reading, ...]


@record
class Acknowledged:
    """The owner has seen an alert; an account that vanished leaves the list with it."""

    key: str


@record
class Delivered:
    """What became of sending `alerts`; `again_at_ns` is when a failed one is tried again."""

    alerts: tuple[Alert, ...]
    ok: bool
    delivery: str
    again_at_ns: int | None = None


@record
class Acted:
    """Where rescues stand: the latest, newest first, and until when sending is armed (`None`: it is not)."""

    actions: "tuple[ActionState, ...]"
    armed_until_ns: int | None


@record
class Readied:
    """Per account in a phrase: whether its standing plan would work now."""

    readiness: Mapping[str, str]


@record
class Foreseen:
    """Estimates made off the loop: forecasts and requirements per account, and what crashes would do to all of them.

    An account that is not in a mapping has none now. `failed` says why none could be made, else it is empty.
    `made_at_ns` is the moment of the readings and prices they rest on.
    """

    outlooks: "Mapping[str, AccountForecast]"
    requirements: "Mapping[str, Required]" = field(default_factory=dict)
    what_if: "WhatIf | None" = None
    failed: str = ""
    made_at_ns: int | None = None


Event = (
    Reading
    | PriceTick
    | Linked
    | Idled
    | ClockTicked
    | VolatilityLearned
    | Backfilled
    | Acknowledged
    | Delivered
    | Acted
    | Readied
    | Foreseen
)
