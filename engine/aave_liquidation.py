"""What one `liquidationCall` of Aave v3 takes and repays, per version, to the last unit.

Source: LiquidationLogic of aave-v3-core 1.19 and of aave-v3-origin at v3.2 to v3.7.
"""

from engine.aave import AaveLeg
from engine.aave_math import (
    WAD,
    AaveVersion,
    mul_div_ceil,
    percent_div,
    percent_div_ceil,
    percent_div_floor,
    percent_mul,
    percent_mul_ceil,
    percent_mul_floor,
)
from engine.record import record

CLOSE_FACTOR_HEALTH_WAD = 95 * WAD // 100
CLOSE_FACTOR_BPS = 5_000
# The contract hard-codes these in units of 1e-8 USD, whatever the oracle's base unit.
FULL_CLOSE_BELOW_BASE = 2_000 * 10**8
LEAST_LEFTOVER_BASE = 1_000 * 10**8


@record
class LiquidationTerms:
    """What a call depends on: prices and values in the oracle's base unit, balances in the tokens' smallest units."""

    version: AaveVersion
    collateral_price: int
    collateral_unit: int
    collateral_balance: int
    debt_price: int
    debt_unit: int
    reserve_debt: int
    total_debt_base: int
    health_factor_wad: int
    bonus_bps: int
    protocol_fee_bps: int = 0

    @property
    def collateral_base(self) -> int:
        """Return the value of the whole collateral balance."""
        return self.collateral_balance * self.collateral_price // self.collateral_unit

    def debt_base(self, debt: int) -> int:
        """Return the value of an amount of debt, rounded as the version rounds debt."""
        if self.version >= AaveVersion.V3_5:
            return mul_div_ceil(debt, self.debt_price, self.debt_unit)
        return debt * self.debt_price // self.debt_unit


@record
class LiquidationSplit:
    """One call's outcome in token units; `leaves_dust` means that the contract reverts with MustNotLeaveDust."""

    debt_repaid: int
    collateral_to_liquidator: int
    protocol_fee: int
    leaves_dust: bool

    @property
    def collateral_seized(self) -> int:
        """Return what the owner loses of the collateral: the liquidator's part and the protocol's."""
        return self.collateral_to_liquidator + self.protocol_fee


def largest_repayment(terms: LiquidationTerms) -> int:
    """Return the most debt, in token units, that one call may repay."""
    if terms.version < AaveVersion.V3_3:
        is_whole = terms.health_factor_wad <= CLOSE_FACTOR_HEALTH_WAD
        return terms.reserve_debt if is_whole else percent_mul(terms.reserve_debt, CLOSE_FACTOR_BPS)
    reserve_debt_base = terms.debt_base(terms.reserve_debt)
    if (
        terms.collateral_base >= FULL_CLOSE_BELOW_BASE
        and reserve_debt_base >= FULL_CLOSE_BELOW_BASE
        and terms.health_factor_wad > CLOSE_FACTOR_HEALTH_WAD
    ):
        half_base = percent_mul(terms.total_debt_base, CLOSE_FACTOR_BPS)
        if reserve_debt_base > half_base:
            return half_base * terms.debt_unit // terms.debt_price
    return terms.reserve_debt


def liquidation_split(terms: LiquidationTerms, debt_to_cover: int) -> LiquidationSplit:
    """Return what a call with `debt_to_cover` (capped at the largest repayment) repays and takes."""
    version, balance = terms.version, terms.collateral_balance
    repaid = min(debt_to_cover, largest_repayment(terms))
    base = terms.debt_price * repaid * terms.collateral_unit // (terms.collateral_price * terms.debt_unit)
    wanted = (
        percent_mul_floor(base, terms.bonus_bps) if version >= AaveVersion.V3_7 else percent_mul(base, terms.bonus_bps)
    )
    seized = min(wanted, balance)
    if wanted > balance:
        worth = terms.collateral_price * balance * terms.debt_unit // (terms.debt_price * terms.collateral_unit)
        divide = percent_div_ceil if version >= AaveVersion.V3_5 else percent_div
        repaid = divide(worth, terms.bonus_bps)
    fee = _protocol_fee(terms, seized) if terms.protocol_fee_bps else 0
    split = LiquidationSplit(repaid, seized - fee, fee, leaves_dust=False)
    if version >= AaveVersion.V3_3 and repaid < terms.reserve_debt and seized < balance:
        left_base = (balance - seized) * terms.collateral_price // terms.collateral_unit
        is_dust = min(terms.debt_base(terms.reserve_debt - repaid), left_base) < LEAST_LEFTOVER_BASE
        split = LiquidationSplit(repaid, seized - fee, fee, leaves_dust=is_dust)
    return split


def worst_call(terms: LiquidationTerms) -> LiquidationSplit | None:
    """Return the largest call that the contract accepts; `None` when the dust rule allows none.

    Where the largest repayment would leave dust, the largest that leaves just enough on both sides.
    """
    split = liquidation_split(terms, terms.reserve_debt)
    if not split.leaves_dust:
        return split
    spare_debt = terms.reserve_debt - mul_div_ceil(LEAST_LEFTOVER_BASE, terms.debt_unit, terms.debt_price)
    spare_collateral = terms.collateral_balance - mul_div_ceil(
        LEAST_LEFTOVER_BASE + 1, terms.collateral_unit, terms.collateral_price
    )
    worth = spare_collateral * terms.collateral_price * terms.debt_unit // (terms.debt_price * terms.collateral_unit)
    cover = min(spare_debt, percent_div_floor(worth, terms.bonus_bps))
    if cover <= 0:
        return None
    split = liquidation_split(terms, cover)
    return None if split.leaves_dust else split


def pairs(
    version: AaveVersion, user_legs: tuple[AaveLeg, ...], prices: list[int], total_debt_base: int, health_wad: int
) -> list[LiquidationTerms]:
    """Return the terms of every collateral and debt that a call could name: active, not paused, priced."""
    priced = list(zip(user_legs, prices, strict=True))
    usable = [(leg, price) for leg, price in priced if leg.reserve.is_active and not leg.reserve.is_paused and price]
    return [
        LiquidationTerms(
            version=version,
            collateral_price=collateral_price,
            collateral_unit=collateral.reserve.unit,
            collateral_balance=collateral.supplied,
            debt_price=debt_price,
            debt_unit=debt.reserve.unit,
            reserve_debt=debt.owed,
            total_debt_base=total_debt_base,
            health_factor_wad=health_wad,
            bonus_bps=collateral.liquidation_bonus_bps,
            protocol_fee_bps=collateral.reserve.protocol_fee_bps,
        )
        for collateral, collateral_price in usable
        if collateral.counts and collateral.supplied and collateral.liquidation_bonus_bps
        for debt, debt_price in usable
        if debt.owed
    ]


def _protocol_fee(terms: LiquidationTerms, seized: int) -> int:
    if terms.version >= AaveVersion.V3_7:
        bonus = seized - percent_div_floor(seized, terms.bonus_bps)
        return percent_mul_ceil(bonus, terms.protocol_fee_bps)
    return percent_mul(seized - percent_div(seized, terms.bonus_bps), terms.protocol_fee_bps)
