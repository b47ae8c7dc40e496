"""Rescues as pure data: what may be done for an account, with what, what it would change, and whether it would work.

A plan is computed from the account, its prices and a `Standing` (wallets, reserves, fees: everything else that decides
whether a rescue would land, read at one moment). Nothing here signs or sends.
"""

from collections.abc import Mapping
from dataclasses import field
from decimal import Decimal
from enum import StrEnum

from engine.record import record


class Means(StrEnum):
    """How an account is rescued. `SUPPLY` is the default for loans, `ADD_MARGIN` for perps."""

    SUPPLY = "supply"
    REPAY = "repay"
    DELEVERAGE = "deleverage"
    ADD_MARGIN = "add-margin"
    REDUCE = "reduce"
    DEPOSIT = "deposit"


@record
class Target:
    """What a rescue must reach: a health factor, or a distance to the nearest liquidation; exactly one is set."""

    health: Decimal | None = None
    distance: Decimal | None = None

    def __post_init__(self) -> None:
        if (self.health is None) == (self.distance is None):
            raise ValueError("a target is either a health factor or a distance")


@record
class Facility:
    """What the venue or protocol lets one do with one asset for this account, as read with it.

    `token` is its contract address (or the venue's coin), `decimals` its smallest unit. `room` is how much more may be
    supplied, `None` without a cap. `counts` says that supplying it raises health; `needs_enabling` that it does so
    only after a further step. `refused` is the venue's own reason why nothing works now (frozen, paused, ...). `price`
    is the trigger price of an asset that the account has nothing in yet, `None` where the account or market knows it.
    `liquidation_threshold` is the weight at which more of it counts. `contract` and `side` ("long", "short") say which
    position a reduction closes where the account has several in the asset; "" where it has one.
    """

    asset: str
    means: frozenset[Means]
    token: str = ""
    decimals: int = 18
    room: Decimal | None = None
    counts: bool = True
    needs_enabling: bool = False
    has_permit: bool = False
    refused: str = ""
    liquidation_threshold: Decimal | None = None
    price: Decimal | None = None
    contract: str = ""
    side: str = ""


@record
class Funds:
    """What a rescuer holds of one asset: `source` is for people ("rescue 0x12..ab", "spot"), `owner` for machines.

    `allowance` is what the protocol may already take, `None` where none is needed. `is_native` is the chain's own
    coin, to be wrapped first. `is_owner` says that the holder is the account's own address.
    """

    asset: str
    amount: Decimal
    source: str
    owner: str = ""
    allowance: Decimal | None = None
    is_native: bool = False
    is_owner: bool = True


@record
class Tariff:
    """What one means costs and how long it takes to land; `None` is unknown. `gas_asset_needed` is in the gas coin."""

    cost_usd: Decimal | None = None
    time_to_land_s: Decimal | None = None
    gas_asset_needed: Decimal | None = None


@record
class Standing:
    """Everything beyond account and prices that decides whether a rescue lands, read at one moment.

    `gas_balance` is the rescuer's balance of the chain's coin, `None` where no gas is paid. `signer` names who would
    sign, "" for read-only. `problems` are reasons why nothing at all can be sent.
    """

    account: str
    read_at_ns: int
    facilities: tuple[Facility, ...] = ()
    funds: tuple[Funds, ...] = ()
    tariffs: Mapping[Means, Tariff] = field(default_factory=dict)
    gas_balance: Decimal | None = None
    signer: str = ""
    block_number: int | None = None
    problems: tuple[str, ...] = ()


@record
class HealthPath:
    """Health factors: now, after the rescue, after it at the market, and after a further 10 % fall; `None` unknown."""

    before: Decimal | None
    after: Decimal | None
    after_at_market: Decimal | None
    after_minus_10pct: Decimal | None


@record
class Option:
    """One alternative of a plan. `amount` is in whole tokens of `asset` (base quantity for `REDUCE`).

    `amount_units` is the same in the smallest unit, exact, what would be sent; `None` where the venue takes decimals.
    `is_full_close` repays everything, interest of the last second included. `ready` is true exactly when `blockers` is
    empty. `steps` say in order what would be signed. `value_usd` counts against the caps.
    """

    means: Means
    asset: str
    amount: Decimal
    source: str
    cost_usd: Decimal | None
    health: HealthPath
    time_to_land_s: Decimal | None
    steps: tuple[str, ...] = ()
    blockers: tuple[str, ...] = ()
    value_usd: Decimal | None = None
    amount_units: int | None = None
    is_full_close: bool = False
    funds: Funds | None = None
    facility: Facility | None = None
    distance_after: Decimal | None = None

    @property
    def ready(self) -> bool:
        """Return whether it would work now."""
        return not self.blockers


@record
class Plan:
    """Alternatives that reach `target` for one account, best first, and what is lost if nothing is done.

    `possible` says, when no option reaches the target, what could be reached. `based_on` fixes the state it was
    computed from (block number and health), so that a plan overtaken by the market is noticed.
    """

    account: str
    target: Target
    made_at_ns: int
    options: tuple[Option, ...] = ()
    loss_if_nothing: Decimal | None = None
    possible: str = ""
    block_number: int | None = None
    health_before: Decimal | None = None
