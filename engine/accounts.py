"""Leveraged accounts as the engine sees them: the unit that is liquidated as one, and its legs.

Amounts, prices and ratios are `Decimal`; time is integer UTC nanoseconds (`_ns`). A missing value is `None`, never 0.
"""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from engine.prices import OraclePrice
from engine.record import record


class Kind(StrEnum):
    """How an account is liquidated: by a protocol's threshold, a venue's maintenance margin, or a broker."""

    LOAN = "loan"
    PERP = "perp"
    BROKER = "broker"


class MarginMode(StrEnum):
    """Whether a perp account shares its balance among positions or backs exactly one."""

    CROSS = "cross"
    ISOLATED = "isolated"


@record
class Collateral:
    """An asset that backs a loan.

    `liquidation_threshold` is the fraction of its value that counts toward debt; 0 when the owner disabled it as
    collateral. Rates are annual fractions, continuously compounded. `liquidation_bonus` is the fraction a liquidator
    receives on top (0.05 = 5 %).
    """

    asset: str
    amount: Decimal
    liquidation_threshold: Decimal
    max_ltv: Decimal | None = None
    supply_rate: Decimal | None = None
    liquidation_bonus: Decimal | None = None


@record
class Debt:
    """An asset owed; `borrow_rate` is an annual fraction, continuously compounded."""

    asset: str
    amount: Decimal
    borrow_rate: Decimal | None = None


@record
class Tier:
    """One maintenance tier: from `notional_floor` on, maintenance = notional x `maintenance_rate` - `deduction`."""

    notional_floor: Decimal
    maintenance_rate: Decimal
    deduction: Decimal = Decimal(0)


@record
class Position:
    """A perp or broker position.

    `quantity` is signed (negative = short). `mark_price` defaults to the asset's oracle price. `tiers` are sorted by
    floor and join continuously; a flat maintenance rate is one tier from 0. `fee_rate` adds notional x rate to the
    maintenance. `funding_rate` is the annual fraction of notional that a long pays (negative: receives); for a
    broker position it is the annual borrow fee of a short. `margin_used` is the initial margin now held by it.
    `venue_liquidation_price` is what the venue itself reports, `None` when it reports none.
    """

    asset: str
    quantity: Decimal
    tiers: tuple[Tier, ...]
    entry_price: Decimal | None = None
    mark_price: Decimal | None = None
    fee_rate: Decimal | None = None
    funding_rate: Decimal | None = None
    margin_used: Decimal | None = None
    venue_liquidation_price: Decimal | None = None


class Ledger(Protocol):
    """A protocol's own integer arithmetic over one account, exactly as read from its chain at one block.

    `moved` replaces oracle prices by asset (quote per base); assets not in it stay at the price that was read.
    """

    def health_factor_wad(self, moved: Mapping[str, Decimal] | None = None) -> int | None:
        """Return the contract's health factor, 1e18 = 1; `None` without debt."""

    def liquidation_price(self, asset: str) -> Decimal | None:
        """Return the nearest price of `asset` alone at which the contract would liquidate; `None` if there is none.

        One price unit on the safe side of it the contract still refuses.
        """

    def uniform_shock(self, assets: frozenset[str]) -> Decimal | None:
        """Return the nearest common fraction by which `assets` move to liquidation (negative = fall), or `None`."""

    def loss_at_liquidation(self) -> Decimal | None:
        """Return what the owner loses in quote currency when the first liquidation call takes all it may."""


@record
class VenueReport:
    """What the venue or contract itself says of the account, kept beside our own figures for comparison."""

    health_factor: Decimal | None = None
    equity: Decimal | None = None
    maintenance_requirement: Decimal | None = None


@record
class Account:
    """One account: an Aave user in one market, a venue's cross account, one isolated position, a broker account.

    `loan` uses `collateral` and `debt`; `perp` uses `balance` (wallet balance without unrealised profit) and
    `positions`; `broker` uses `balance` (its cash, negative when borrowed), `cash_rate` and `positions`.
    `quote` is the currency of its values. `oracles` are this account's own trigger prices and win over shared ones.
    `ledger` is present where the protocol's integer arithmetic is known. `close_factor` is the fraction of the debt
    that the first liquidation may repay. `degraded` holds reasons why figures may not be fully trusted.
    `venue` is the short text for a column ("aave-v3 eth"); `note` is one line for the detail pane.
    """

    name: str
    kind: Kind
    provider: str | None = None
    chain_id: int | None = None
    mode: MarginMode | None = None
    quote: str = "USD"
    collateral: tuple[Collateral, ...] = ()
    debt: tuple[Debt, ...] = ()
    balance: Decimal = Decimal(0)
    cash_rate: Decimal | None = None
    positions: tuple[Position, ...] = ()
    oracles: Mapping[str, OraclePrice] = field(default_factory=dict)
    ledger: Ledger | None = None
    reported: VenueReport | None = None
    close_factor: Decimal | None = None
    degraded: tuple[str, ...] = ()
    venue: str = ""
    note: str = ""

    @property
    def assets(self) -> frozenset[str]:
        """Return every asset on any leg."""
        legs: tuple[Collateral | Debt | Position, ...] = (*self.collateral, *self.debt, *self.positions)
        return frozenset(leg.asset for leg in legs)
