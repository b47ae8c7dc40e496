"""The answers that every kind of account gives: the shape of `risk --json` and of every screen."""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from enum import StrEnum

from engine.accounts import Kind, MarginCall, Session
from engine.record import record


class Severity(StrEnum):
    """How urgent an account is. `UNKNOWN` is never safe: it ranks as the worse of `WARN` and the last known."""

    SAFE = "safe"
    WATCH = "watch"
    WARN = "warn"
    DANGER = "danger"
    LIQUIDATABLE = "liquidatable"
    UNKNOWN = "unknown"


class Direction(StrEnum):
    """Which way a price must move to liquidate."""

    DOWN = "down"
    UP = "up"


class Due(StrEnum):
    """Why the next oracle print is due."""

    DEVIATION = "deviation"
    HEARTBEAT = "heartbeat"


class Method(StrEnum):
    """How a number came about: read from the venue, computed exactly, or estimated."""

    VENUE = "venue"
    DERIVED = "derived"
    ESTIMATED = "estimated"


@record
class LiquidationPoint:
    """Where one asset alone liquidates: price (quote per base), distance (positive fraction), direction.

    All three are `None` when no move of that asset alone can liquidate.
    """

    price: Decimal | None = None
    distance: Decimal | None = None
    direction: Direction | None = None


@record
class CostOfDebt:
    """Annual rate of the debt, cost `per_day` (quote), `net_carry` as a yearly fraction of equity (+ earns).

    Where a venue predicts its funding, `predicted_per_day` is the cost at the predicted rates and `next_funding_ns`
    when the next payment is due; `funding_paid` is what the open positions have paid so far (negative: received).
    """

    annual_rate: Decimal | None
    per_day: Decimal | None
    net_carry: Decimal | None
    predicted_per_day: Decimal | None = None
    next_funding_ns: int | None = None
    funding_paid: Decimal | None = None


@record
class MarketHealth:
    """Health with every trigger price replaced by the venues' consensus.

    `divergence_bps` per asset: + means market above oracle. `assumed` lists stables taken at their oracle price.
    """

    health_factor: Decimal | None
    divergence_bps: Mapping[str, Decimal] = field(default_factory=dict)
    assumed: tuple[str, ...] = ()


@record
class OracleUpdate:
    """A print that is due: why, and the price it will carry."""

    due: Due
    price: Decimal


@record
class NextOracleHealth:
    """Health after every due oracle print; equals the present health when none is due."""

    health_factor: Decimal | None
    updates: Mapping[str, OracleUpdate] = field(default_factory=dict)


@record
class Assessment:
    """Everything the engine says of one account at one moment; see DESIGN 6 for each field's meaning.

    `nearest` is the asset whose liquidation is nearest by distance, `None` when no asset alone liquidates.
    `sigma_days` is that distance over the one-day volatility of its asset. `missing` maps a field that is `None`
    for want of input to the reason. `directions` are the common moves that liquidate a portfolio-margin account, by
    name, as signed fractions: each asset alone, all assets, the venue's own scan. `liquidation_note` says in words how
    such an account, or a broker's, is liquidated where no price tells it; `estimated` why distances are estimates.
    `initial_requirement`, `margin_call` and `session` are what a broker or venue says of the account; `status` is its
    own word for it ("MARGIN_CALL").
    """

    name: str
    kind: Kind
    severity: Severity
    severity_because: str
    trigger: str
    health_factor: Decimal | None
    health_factor_wad: int | None
    collateral_value: Decimal | None
    debt_value: Decimal | None
    maintenance_requirement: Decimal | None
    equity: Decimal | None
    buffer: Decimal | None
    leverage: Decimal | None
    capital_efficiency: Decimal | None
    cost_of_debt: CostOfDebt | None
    interest_only_days: int | None
    liquidation: Mapping[str, LiquidationPoint]
    uniform_shock: Decimal | None
    at_market: MarketHealth | None
    at_next_oracle: NextOracleHealth | None
    loss_at_liquidation: Decimal | None = None
    nearest: str | None = None
    sigma_days: Decimal | None = None
    has_debt: bool = True
    method: Method = Method.DERIVED
    last_known: Severity | None = None
    missing: Mapping[str, str] = field(default_factory=dict)
    degraded: tuple[str, ...] = ()
    directions: Mapping[str, Decimal] = field(default_factory=dict)
    liquidation_note: str = ""
    estimated: str = ""
    initial_requirement: Decimal | None = None
    margin_call: MarginCall | None = None
    session: Session | None = None
    status: str = ""
