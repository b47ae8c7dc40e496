"""One immutable picture of everything the desk knows: the only thing that screens and JSON commands consume."""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from typing import TYPE_CHECKING

from engine.accounts import Account
from engine.alerts import Alert
from engine.assessment import Assessment
from engine.prices import AssetPrice, Consensus
from engine.record import record
from providers.ports import LinkState

if TYPE_CHECKING:
    from desk.actions import ActionState
    from engine.simulation.forecast import AccountForecast
    from engine.simulation.requirement import Required
    from engine.whatif import WhatIf


@record
class AccountState:
    """One account with its assessment and the age of what it rests on.

    `observed_at_ns` is our clock when it was read; `block_time_ns` the chain's. `is_stale` says that the reading is
    past its budget: figures stay visible and unvouched. `health_history` is (time_ns, health) oldest first, `None`
    health = gap.
    """

    source: str
    account: Account
    assessment: Assessment
    observed_at_ns: int
    block_number: int | None = None
    block_time_ns: int | None = None
    is_stale: bool = False
    health_history: tuple[tuple[int, float | None], ...] = ()


@record
class AssetState:
    """One asset: the shared price entry, what the venues agree on, and divergence from the oracle in bps."""

    asset: str
    price: AssetPrice
    consensus: Consensus
    divergence_bps: Decimal | None = None


@record
class SourceState:
    """One source: `kind` is "account", "prices", "history" or "notify".

    `updated_at_ns` is the last data, `None` before any. `is_unauthorised` says that its key or URL was not accepted.
    `warnings` are for the owner and say nothing against the figures (a key that may withdraw, a clock that is off).
    """

    name: str
    kind: str
    state: LinkState
    updated_at_ns: int | None = None
    detail: str = ""
    retry_at_ns: int | None = None
    dropped: int = 0
    is_unauthorised: bool = False
    warnings: tuple[str, ...] = ()


@record
class Snapshot:
    """Everything at `taken_at_ns`. `sequence` rises by one with each. `simulated` is the scenario's name or empty.

    `bell` counts escalations that ring; it rises by one with each. `is_resting` says that no source has anything more
    to say, so that no other snapshot need follow; else one follows every second, if only because ages grow.
    `actions` are the latest rescues, newest first; `armed_until_ns` is `None` unarmed; `readiness` says in a phrase per
    account whether its standing plan would work now ("ready", "no gas"). `outlooks` are forecasts per account,
    `requirements` what each would need under a volatility rule, `what_if` what crashes would do: made once a
    minute, the last time of the readings and prices at `foreseen_at_ns` (`None`: none is made).
    """

    sequence: int
    taken_at_ns: int
    accounts: Mapping[str, AccountState] = field(default_factory=dict)
    prices: Mapping[str, AssetState] = field(default_factory=dict)
    sources: tuple[SourceState, ...] = ()
    alerts: tuple[Alert, ...] = ()
    degraded: tuple[str, ...] = ()
    simulated: str = ""
    bell: int = 0
    is_resting: bool = False
    actions: "tuple[ActionState, ...]" = ()
    armed_until_ns: int | None = None
    readiness: Mapping[str, str] = field(default_factory=dict)
    outlooks: "Mapping[str, AccountForecast]" = field(default_factory=dict)
    requirements: "Mapping[str, Required]" = field(default_factory=dict)
    what_if: "WhatIf | None" = None
    foreseen_at_ns: int | None = None
