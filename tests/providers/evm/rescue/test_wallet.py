"""When supplying counts: enabled, first supply, LTV 0, isolation, eMode; by the rules of 3.0.2 to 3.7."""

from dataclasses import replace

import pytest

from engine.aave import AaveEMode, AaveHolding, AaveReserve, AaveUser
from engine.aave_math import AaveVersion
from providers.evm.rescue.wallet import counting

RAY = 10**27
V30, V36, V37 = AaveVersion.V3_0, AaveVersion.V3_6, AaveVersion.V3_7


def reserve(number: int, **changes: object) -> AaveReserve:
    plain = AaveReserve(
        asset=f"A{number}",
        reserve_id=number,
        decimals=18,
        price=10**8,
        ltv_bps=7000,
        liquidation_threshold_bps=8000,
        liquidation_bonus_bps=10500,
        liquidity_index_ray=RAY,
        variable_borrow_index_ray=RAY,
        liquidity_rate_ray=0,
        variable_borrow_rate_ray=0,
        last_update_s=0,
    )
    return replace(plain, **changes)  # type: ignore[arg-type]  # a plain dict of its fields


FIRST = AaveHolding(reserve(1))
DISABLED = AaveHolding(reserve(1), scaled_supply=5)
ENABLED = AaveHolding(reserve(1), scaled_supply=5, is_collateral=True)
OTHER = AaveHolding(reserve(2), scaled_supply=5, is_collateral=True)
ISOLATED = AaveHolding(reserve(2, debt_ceiling=100), scaled_supply=5, is_collateral=True)


def judged(
    holding: AaveHolding, *others: AaveHolding, version: AaveVersion = V36, emode: AaveEMode | None = None
) -> tuple[bool, bool, int]:
    return counting(AaveUser(version, 0, 10**8, others, emode), holding)


@pytest.mark.parametrize("version", [V30, V36, V37])
def test_an_enabled_collateral_counts_and_so_does_a_first_supply(version: AaveVersion) -> None:
    assert judged(ENABLED, ENABLED, version=version) == (True, False, 8000)
    assert judged(FIRST, version=version) == (True, False, 8000)
    assert judged(FIRST, OTHER, version=version) == (True, False, 8000)


def test_what_was_disabled_has_to_be_enabled() -> None:
    assert judged(DISABLED, DISABLED, OTHER) == (False, True, 8000)


@pytest.mark.parametrize("version", [V30, V36])
def test_nothing_can_be_added_in_isolation_mode(version: AaveVersion) -> None:
    assert judged(FIRST, ISOLATED, version=version) == (False, False, 8000)
    assert judged(ISOLATED, ISOLATED, version=version) == (True, False, 8000)


def test_isolation_is_gone_from_3_7_on() -> None:
    assert judged(FIRST, ISOLATED, version=V37) == (True, False, 8000)


def test_an_asset_with_a_debt_ceiling_is_never_enabled_by_itself() -> None:
    capped = AaveHolding(reserve(1, debt_ceiling=100))
    assert judged(capped) == (False, True, 8000)
    assert judged(capped, OTHER) == (False, False, 8000)


def test_without_ltv_only_what_is_enabled_already_counts() -> None:
    without = reserve(1, ltv_bps=0)
    assert judged(replace(FIRST, reserve=without)) == (False, False, 8000)
    assert judged(replace(DISABLED, reserve=without)) == (False, False, 8000)
    assert judged(replace(ENABLED, reserve=without), replace(ENABLED, reserve=without)) == (True, False, 8000)


def test_without_a_threshold_nothing_counts() -> None:
    assert judged(replace(FIRST, reserve=reserve(1, ltv_bps=0, liquidation_threshold_bps=0))) == (False, False, 0)


def test_the_efficiency_mode_of_the_owner_decides() -> None:
    emode = AaveEMode(1, 9000, 9300, 10100, collateral_bitmap=0b10)
    bare = AaveHolding(reserve(1, ltv_bps=0, liquidation_threshold_bps=0))
    assert judged(FIRST, version=V36, emode=emode) == (True, False, 9300)
    assert judged(bare, version=V36, emode=emode) == (True, False, 9300)
    assert judged(FIRST, version=V36, emode=replace(emode, ltv_zero_bitmap=0b10)) == (False, False, 9300)
    old = replace(FIRST, reserve=reserve(1, emode_category=1))
    assert judged(old, version=V30, emode=emode) == (True, False, 9300)
    assert judged(FIRST, version=V30, emode=emode) == (True, False, 8000)
