"""One user of one Aave v3 pool as its contract sees it, in raw integers, and what `getUserAccountData` makes of it.

Amounts are in the token's smallest unit, prices and values in the oracle's base unit (1e8 = 1 USD on every USD
market), thresholds in basis points, indexes and rates in ray. `account_data` equals the contract's answer to the
last digit at the same block and timestamp. Source: GenericLogic of aave-v3-core 1.19 and aave-v3-origin 3.1 to 3.7.
"""

from engine.aave_math import (
    AaveVersion,
    compounded_interest_ray,
    linear_interest_ray,
    mul_div_ceil,
    percent_mul,
    percent_mul_floor,
    ray_mul,
    ray_mul_ceil,
    ray_mul_floor,
    wad_div,
)
from engine.record import record

NO_DEBT = 2**256 - 1


@record
class AaveReserve:
    """One reserve as read: its configuration word taken apart, its indexes, its oracle price.

    `asset` is our canonical name, `reserve_id` its place in the user's bitmap. `emode_category` is the single
    category of 3.0 and 3.1, 0 later. `debt_ceiling` (2 decimals) marks isolation collateral up to 3.6, else 0.
    """

    asset: str
    reserve_id: int
    decimals: int
    price: int
    ltv_bps: int
    liquidation_threshold_bps: int
    liquidation_bonus_bps: int
    liquidity_index_ray: int
    variable_borrow_index_ray: int
    liquidity_rate_ray: int
    variable_borrow_rate_ray: int
    last_update_s: int
    protocol_fee_bps: int = 0
    emode_category: int = 0
    debt_ceiling: int = 0
    is_active: bool = True
    is_paused: bool = False

    @property
    def unit(self) -> int:
        """Return one whole token in its smallest unit."""
        return int(10**self.decimals)


@record
class AaveEMode:
    """The efficiency mode that the user is in.

    Up to 3.1 a reserve belongs by its own `emode_category`, and `price` is the price of the category's own oracle
    source (`None` when it has none); from 3.2 on it belongs when its bit is set in `collateral_bitmap`.
    `ltv_zero_bitmap` exists from 3.6, `is_isolated` from 3.7.
    """

    category: int
    ltv_bps: int
    liquidation_threshold_bps: int
    liquidation_bonus_bps: int
    collateral_bitmap: int = 0
    borrowable_bitmap: int = 0
    ltv_zero_bitmap: int = 0
    is_isolated: bool = False
    price: int | None = None
    label: str = ""


@record
class AaveHolding:
    """What the user has in one reserve: scaled balances and the two bits of the user's configuration word.

    `stable_debt` exists up to 3.1. `debt_balance` replaces the scaled debt where the contract reads `balanceOf`
    (GHO without virtual accounting in 3.3, whose token applies a discount), `None` elsewhere.
    """

    reserve: AaveReserve
    scaled_supply: int = 0
    scaled_debt: int = 0
    stable_debt: int = 0
    is_collateral: bool = False
    is_borrowing: bool = False
    debt_balance: int | None = None


@record
class AaveUser:
    """One user of one pool at one block, at its `timestamp_s`; `base_unit` is the oracle's `BASE_CURRENCY_UNIT`."""

    version: AaveVersion
    timestamp_s: int
    base_unit: int
    holdings: tuple[AaveHolding, ...] = ()
    emode: AaveEMode | None = None

    @property
    def is_isolated(self) -> bool:
        """Return whether the user borrows in isolation mode: one enabled collateral, with a debt ceiling (to 3.6)."""
        enabled = [holding.reserve for holding in self.holdings if holding.is_collateral]
        return self.version < AaveVersion.V3_7 and len(enabled) == 1 and enabled[0].debt_ceiling != 0


@record
class AaveAccountData:
    """The six values of `getUserAccountData`; `health_factor_wad` is 2**256-1 without debt, as on chain."""

    total_collateral_base: int
    total_debt_base: int
    available_borrows_base: int
    liquidation_threshold_bps: int
    ltv_bps: int
    health_factor_wad: int


@record
class AaveLeg:
    """One holding reduced to what depends on prices only: current balances, and the weights that apply to it.

    `counts` says that the supply is collateral in the contract's sums. `owed` is what counts as debt.
    """

    reserve: AaveReserve
    supplied: int
    owed: int
    counts: bool
    ltv_bps: int
    liquidation_threshold_bps: int
    liquidation_bonus_bps: int
    price: int
    shares_emode_price: bool = False


def normalized_income_ray(reserve: AaveReserve, timestamp_s: int) -> int:
    """Return the supply index at `timestamp_s` (`getReserveNormalizedIncome`)."""
    elapsed_s = timestamp_s - reserve.last_update_s
    if elapsed_s == 0:
        return reserve.liquidity_index_ray
    return ray_mul(linear_interest_ray(reserve.liquidity_rate_ray, elapsed_s), reserve.liquidity_index_ray)


def normalized_debt_ray(version: AaveVersion, reserve: AaveReserve, timestamp_s: int) -> int:
    """Return the variable debt index at `timestamp_s` (`getReserveNormalizedVariableDebt`)."""
    elapsed_s = timestamp_s - reserve.last_update_s
    if elapsed_s == 0:
        return reserve.variable_borrow_index_ray
    growth = compounded_interest_ray(version, reserve.variable_borrow_rate_ray, elapsed_s)
    return ray_mul(growth, reserve.variable_borrow_index_ray)


def supply_balance(version: AaveVersion, holding: AaveHolding, timestamp_s: int) -> int:
    """Return the aToken balance at `timestamp_s`: half up to 3.4, rounded down from 3.5."""
    multiply = ray_mul_floor if version >= AaveVersion.V3_5 else ray_mul
    return multiply(holding.scaled_supply, normalized_income_ray(holding.reserve, timestamp_s))


def debt_balance(version: AaveVersion, holding: AaveHolding, timestamp_s: int) -> int:
    """Return variable plus stable debt at `timestamp_s`: half up to 3.4, rounded up from 3.5."""
    if holding.debt_balance is not None:
        return holding.debt_balance
    multiply = ray_mul_ceil if version >= AaveVersion.V3_5 else ray_mul
    variable = multiply(holding.scaled_debt, normalized_debt_ray(version, holding.reserve, timestamp_s))
    return variable + (holding.stable_debt if version < AaveVersion.V3_2 else 0)


def in_emode(version: AaveVersion, emode: AaveEMode | None, reserve: AaveReserve) -> bool:
    """Return whether `reserve` as collateral takes the weights of the user's efficiency mode."""
    if emode is None or emode.category == 0:
        return False
    if version < AaveVersion.V3_2:
        return reserve.emode_category == emode.category
    return emode.collateral_bitmap >> reserve.reserve_id & 1 == 1


def legs(user: AaveUser) -> tuple[AaveLeg, ...]:
    """Return the user's holdings with current balances and the weights that the contract applies to them."""
    return tuple(_leg(user, holding) for holding in user.holdings)


def account_data(user: AaveUser) -> AaveAccountData:
    """Return what `getUserAccountData` answers for `user` at its block."""
    reduced = legs(user)
    return account_data_at(user.version, reduced, [leg.price for leg in reduced])


def account_data_at(version: AaveVersion, user_legs: tuple[AaveLeg, ...], prices: list[int]) -> AaveAccountData:
    """Return `getUserAccountData` with `prices` (oracle base units, one per leg) in place of those that were read."""
    collateral = debt = weighted_ltv = weighted_threshold = 0
    for leg, price in zip(user_legs, prices, strict=True):
        unit = leg.reserve.unit
        if leg.counts:
            value = leg.supplied * price // unit
            collateral += value
            weighted_ltv += value * leg.ltv_bps
            weighted_threshold += value * leg.liquidation_threshold_bps
        if leg.owed:
            debt += mul_div_ceil(leg.owed, price, unit) if version >= AaveVersion.V3_5 else leg.owed * price // unit
    ltv = weighted_ltv // collateral if collateral else 0
    threshold = weighted_threshold // collateral if collateral else 0
    if version >= AaveVersion.V3_5:
        health = wad_div(weighted_threshold, debt) // 10_000 if debt else NO_DEBT
        borrowable = percent_mul_floor(collateral, ltv)
    else:
        health = wad_div(percent_mul(collateral, threshold), debt) if debt else NO_DEBT
        borrowable = percent_mul(collateral, ltv)
    return AaveAccountData(collateral, debt, max(borrowable - debt, 0), threshold, ltv, health)


def _leg(user: AaveUser, holding: AaveHolding) -> AaveLeg:
    version, reserve, emode = user.version, holding.reserve, user.emode
    member = in_emode(version, emode, reserve)
    threshold, bonus = reserve.liquidation_threshold_bps, reserve.liquidation_bonus_bps
    if member and emode is not None:
        threshold, bonus = emode.liquidation_threshold_bps, emode.liquidation_bonus_bps
    # Up to 3.5 a reserve with threshold 0 of its own is skipped even inside an eMode; from 3.6 the two are decoupled.
    counts = holding.is_collateral and (version >= AaveVersion.V3_6 or reserve.liquidation_threshold_bps != 0)
    has_emode_price = version < AaveVersion.V3_2 and member and emode is not None and bool(emode.price)
    return AaveLeg(
        reserve=reserve,
        supplied=supply_balance(version, holding, user.timestamp_s),
        owed=debt_balance(version, holding, user.timestamp_s) if holding.is_borrowing else 0,
        counts=counts,
        ltv_bps=_ltv_bps(version, emode, reserve, member=member),
        liquidation_threshold_bps=threshold,
        liquidation_bonus_bps=bonus,
        price=emode.price if has_emode_price and emode is not None and emode.price is not None else reserve.price,
        shares_emode_price=has_emode_price,
    )


def _ltv_bps(version: AaveVersion, emode: AaveEMode | None, reserve: AaveReserve, *, member: bool) -> int:
    if emode is not None and member:
        if version >= AaveVersion.V3_6:
            return 0 if emode.ltv_zero_bitmap >> reserve.reserve_id & 1 else emode.ltv_bps
        return emode.ltv_bps if reserve.ltv_bps else 0
    if emode is not None and emode.category and emode.is_isolated and version >= AaveVersion.V3_7:
        return 0
    return reserve.ltv_bps
