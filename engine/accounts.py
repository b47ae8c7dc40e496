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
    """What backs the positions of a perp account: all it has, one position's own margin, or a scan of the whole book.

    A `PORTFOLIO` account has no single liquidation price: distances along named directions stand in for it.
    """

    CROSS = "cross"
    ISOLATED = "isolated"
    PORTFOLIO = "portfolio"


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

    Positions of one asset may have marks of their own (two contracts on it): they move together, in proportion.
    An `inverse` contract pays in the asset itself: its face value in quote currency is constant, `quantity` is face
    value / entry_price (signed), which makes its profit in quote currency quantity x (price - entry_price) exactly,
    and its maintenance is asked of the face value, quantity x entry_price, at any price. `contract` is what the venue
    calls it ("BTCUSDT"). `adl_rank` is the venue's queue for auto-deleverage, 1 (last) to 5 (first).
    `predicted_funding_rate` is annual like `funding_rate`, of the payment due at `next_funding_ns`. `funding_paid` is
    what has been paid since the position was opened (negative: received), in quote currency. `margin_at_entry`: the
    venue asks maintenance of a linear contract at its entry price too, whatever the mark (Kraken Futures).
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
    inverse: bool = False
    contract: str = ""
    adl_rank: int | None = None
    predicted_funding_rate: Decimal | None = None
    next_funding_ns: int | None = None
    funding_paid: Decimal | None = None
    margin_at_entry: bool = False


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
    """What the venue or contract itself says of the account, kept beside our own figures for comparison.

    `equity` and `maintenance_requirement` are the venue's own, in the account's quote currency, before
    `Account.liquidation_multiple`. `status` is the venue's own word for the account when it is not the usual one
    ("MARGIN_CALL"), "" when all is well. `directions` are common moves, by name, at which the venue itself says that it
    liquidates (signed fractions). `tolerance` is how far ours may be from theirs, as a fraction, before the account is
    degraded: what fees, ticks and the age of marks explain at this venue.
    """

    health_factor: Decimal | None = None
    equity: Decimal | None = None
    maintenance_requirement: Decimal | None = None
    status: str = ""
    directions: Mapping[str, Decimal] = field(default_factory=dict)
    tolerance: Decimal = Decimal("0.01")


@record
class MarginCall:
    """A broker's or venue's demand for money: `amount` in quote currency, `due_ns` its deadline (`None`: not told)."""

    amount: Decimal
    due_ns: int | None = None
    text: str = ""


@record
class Session:
    """Whether the market that moves the account is open now; the next opening and close, where they are known."""

    is_open: bool
    opens_ns: int | None = None
    closes_ns: int | None = None


@record
class Account:
    """One account: an Aave user in one market, a venue's cross account, one isolated position, a broker account.

    `loan` uses `collateral` and `debt`; `perp` uses `balance` (wallet balance without unrealised profit) and
    `positions`; `broker` uses `balance` (its cash, negative when borrowed), `cash_rate` and `positions`.
    A `perp` account that also counts other coins has them as `collateral` (`liquidation_threshold` is the weight that
    the venue gives the coin) and what it has borrowed as `debt`: both enter its equity at their own prices.
    `extra_requirement` is maintenance that no position explains (open orders, options, loans), in quote currency; it
    is taken as constant. `liquidation_multiple` is the equity over maintenance at which the venue takes over (1.05 for
    a Binance unified margin ratio): health is equity / (maintenance x multiple). `order_margin` is initial margin
    locked in open orders, `initial_requirement` what opening more would need. `trigger` is whose price liquidates
    ("mark", "index", "oracle", "broker"), "" for the usual one of its kind. `estimated` says why its distances are
    estimates, "" when they are exact. `margin_call` and `session` are set where a broker tells them.
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
    extra_requirement: Decimal = Decimal(0)
    liquidation_multiple: Decimal = Decimal(1)
    order_margin: Decimal | None = None
    initial_requirement: Decimal | None = None
    trigger: str = ""
    estimated: str = ""
    margin_call: MarginCall | None = None
    session: Session | None = None

    @property
    def assets(self) -> frozenset[str]:
        """Return every asset on any leg."""
        legs: tuple[Collateral | Debt | Position, ...] = (*self.collateral, *self.debt, *self.positions)
        return frozenset(leg.asset for leg in legs)
