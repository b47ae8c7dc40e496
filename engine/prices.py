"""Prices as the engine sees them: a trigger price with its provenance, and venue quotes beside it."""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal

from engine.record import record


@record
class Quote:
    """One venue's best bid and ask in quote currency, and when we received it.

    `observed_at_ns` is `None` when the age is unknown; such a quote never enters a consensus.
    """

    venue: str
    bid: Decimal
    ask: Decimal
    observed_at_ns: int | None

    @property
    def mid(self) -> Decimal:
        """Return the middle of bid and ask."""
        return (self.bid + self.ask) / 2


@record
class OracleLeg:
    """One factor of a composite oracle price; the price is the product of its legs.

    `asset` names the market whose consensus this leg follows, `None` for a rate that no venue quotes (an exchange
    rate of a staked token, a cap). `deviation_bps` and `heartbeat_s` are the feed's update rule, `None` if unknown.
    """

    price: Decimal
    asset: str | None = None
    updated_at_ns: int | None = None
    heartbeat_s: Decimal | None = None
    deviation_bps: Decimal | None = None
    description: str = ""


@record
class OraclePrice:
    """The price that liquidates, and where it comes from.

    `updated_at_ns` is when the feed last printed, `as_of_ns` the time against which its age counts: the timestamp of
    the block that was read for a chain, the clock otherwise. `legs` is empty for a single feed.
    """

    price: Decimal
    updated_at_ns: int | None = None
    as_of_ns: int | None = None
    heartbeat_s: Decimal | None = None
    deviation_bps: Decimal | None = None
    legs: tuple[OracleLeg, ...] = ()
    source: str = ""
    round_id: int | None = None

    @property
    def age_s(self) -> Decimal | None:
        """Return seconds between the last print and `as_of_ns`; `None` when either is unknown."""
        if self.updated_at_ns is None or self.as_of_ns is None:
            return None
        return Decimal(self.as_of_ns - self.updated_at_ns) / 1_000_000_000


@record
class AssetPrice:
    """All that is known of one asset's price. `volatility` is annualised on 365 days (0.62 = 62 %)."""

    oracle: OraclePrice | None = None
    quotes: tuple[Quote, ...] = ()
    volatility: Decimal | None = None
    stable: bool = False


@record
class Consensus:
    """What the venues agree on, and who was left out and why (`excluded`: venue -> reason).

    `price` is `None` below the quorum; `reason` then says why. `single_venue` labels a price that rests on one venue.
    """

    price: Decimal | None
    venues: tuple[str, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    reason: str = ""
    single_venue: bool = False
