"""Account data of Aave v3 to the last digit, against figures of the compiled contracts (tests/fixtures/aave)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.aave import (
    NO_DEBT,
    AaveEMode,
    AaveHolding,
    AaveReserve,
    AaveUser,
    account_data,
    debt_balance,
    in_emode,
    legs,
    normalized_debt_ray,
    normalized_income_ray,
    supply_balance,
)
from engine.aave_math import AaveVersion, compounded_interest_ray, linear_interest_ray, version_of_revision

FIXTURE = json.loads((Path(__file__).parents[1] / "fixtures" / "aave" / "portfolios.json").read_text())
CASES: list[dict[str, Any]] = FIXTURE["cases"]
OLD, NEW = AaveVersion.V3_3, AaveVersion.V3_7


def user_of(case: dict[str, Any], version: AaveVersion) -> AaveUser:
    reserves = {
        raw["id"]: AaveReserve(
            asset=raw["symbol"],
            reserve_id=raw["id"],
            decimals=raw["decimals"],
            price=int(raw["priceInMarketReferenceCurrency"]),
            ltv_bps=int(raw["baseLTVasCollateral"]),
            liquidation_threshold_bps=int(raw["reserveLiquidationThreshold"]),
            liquidation_bonus_bps=int(raw["reserveLiquidationBonus"]),
            liquidity_index_ray=int(raw["liquidityIndex"]),
            variable_borrow_index_ray=int(raw["variableBorrowIndex"]),
            liquidity_rate_ray=int(raw["liquidityRate"]),
            variable_borrow_rate_ray=int(raw["variableBorrowRate"]),
            last_update_s=raw["lastUpdateTimestamp"],
        )
        for raw in case["reserves"]
    }
    holdings = tuple(
        AaveHolding(
            reserve=reserves[raw["id"]],
            scaled_supply=int(raw["scaledATokenBalance"]),
            scaled_debt=int(raw["scaledVariableDebt"]),
            is_collateral=raw["usageAsCollateralEnabledOnUser"],
            is_borrowing=int(raw["scaledVariableDebt"]) > 0,
        )
        for raw in case["user"]
    )
    return AaveUser(version, case["timestamp"], 10**8, holdings)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
@pytest.mark.parametrize(("version", "key"), [(OLD, "contract_v33"), (NEW, "contract_v37")])
def test_account_data_equals_the_contract_to_the_last_digit(
    case: dict[str, Any], version: AaveVersion, key: str
) -> None:
    expected = case[key]
    user = user_of(case, version)
    data = account_data(user)
    assert data.total_collateral_base == int(expected["totalCollateralBase"])
    assert data.total_debt_base == int(expected["totalDebtBase"])
    assert data.available_borrows_base == int(expected["availableBorrowsBase"])
    assert data.liquidation_threshold_bps == int(expected["currentLiquidationThreshold"])
    assert data.ltv_bps == int(expected["ltv"])
    assert data.health_factor_wad == int(expected["healthFactor"])
    for holding, balance in zip(user.holdings, expected["balances"], strict=True):
        assert holding.reserve.asset == balance["symbol"]
        assert supply_balance(version, holding, user.timestamp_s) == int(balance["aTokenBalance"])
        assert debt_balance(version, holding, user.timestamp_s) == int(balance["variableDebtBalance"])
        assert normalized_income_ray(holding.reserve, user.timestamp_s) == int(balance["normalizedIncome"])
        assert normalized_debt_ray(version, holding.reserve, user.timestamp_s) == int(balance["normalizedDebt"])


@pytest.mark.parametrize("vector", FIXTURE["interest_vectors"], ids=lambda vector: f"{vector['rate']}x{vector['dt']}")
def test_interest_equals_the_contract_to_the_last_digit(vector: dict[str, Any]) -> None:
    rate, elapsed = int(vector["rate"]), int(vector["dt"])
    assert linear_interest_ray(rate, elapsed) == int(vector["contract_linear"])
    assert compounded_interest_ray(AaveVersion.V3_3, rate, elapsed) == int(vector["contract_compound_v33"])
    assert compounded_interest_ray(AaveVersion.V3_4, rate, elapsed) == int(vector["contract_compound_v34plus"])


def test_a_published_supply_balance_of_a_real_block_is_reproduced() -> None:
    """@aave/math-utils test data: the balance that a mainnet block held on 2021-01-03."""
    reserve = AaveReserve(
        "X",
        0,
        18,
        10**8,
        0,
        0,
        0,
        liquidity_index_ray=1001723339432542553527150680,
        variable_borrow_index_ray=10**27,
        liquidity_rate_ray=22461916953455574582370088,
        variable_borrow_rate_ray=0,
        last_update_s=1609673617,
    )
    holding = AaveHolding(reserve, scaled_supply=161316503206059870)
    assert supply_balance(AaveVersion.V3_0, holding, 1609675535) == 161594727054623229


@pytest.mark.parametrize(
    ("revision", "version"),
    [(1, 30), (2, 30), (3, 30), (4, 31), (5, 32), (6, 33), (7, 33), (8, 34), (9, 35), (10, 36), (11, 37), (12, 37)],
)
def test_a_pool_revision_tells_the_arithmetic(revision: int, version: int) -> None:
    assert version_of_revision(revision) == version


def test_a_revision_below_one_is_impossible() -> None:
    with pytest.raises(ValueError, match="starts at 1"):
        version_of_revision(0)


def _reserve(asset: str, reserve_id: int, price: int, **changes: Any) -> AaveReserve:
    base = AaveReserve(asset, reserve_id, 18, price, 8000, 8300, 10500, 10**27, 10**27, 0, 0, 1_700_000_000)
    return replace(base, **changes)


def _pair(version: AaveVersion, emode: AaveEMode | None = None, **changes: Any) -> AaveUser:
    eth = _reserve("ETH", 0, 2500 * 10**8, **changes)
    dai = _reserve("DAI", 3, 10**8)
    return AaveUser(
        version,
        1_700_000_000,
        10**8,
        (
            AaveHolding(eth, scaled_supply=10**19, is_collateral=True),
            AaveHolding(dai, scaled_debt=15_000 * 10**18, is_borrowing=True),
        ),
        emode,
    )


@pytest.mark.parametrize("version", list(AaveVersion))
def test_ten_eth_against_fifteen_thousand_dollars_reads_the_same_on_every_version(version: AaveVersion) -> None:
    data = account_data(_pair(version))
    assert data.health_factor_wad == 1383333333333333333
    assert (data.liquidation_threshold_bps, data.ltv_bps) == (8300, 8000)


@pytest.mark.parametrize("version", list(AaveVersion))
def test_without_debt_the_health_factor_is_the_largest_integer(version: AaveVersion) -> None:
    user = _pair(version)
    assert account_data(replace(user, holdings=user.holdings[:1])).health_factor_wad == NO_DEBT
    assert account_data(replace(user, holdings=())).health_factor_wad == NO_DEBT


@pytest.mark.parametrize("version", list(AaveVersion))
def test_disabled_collateral_counts_for_nothing(version: AaveVersion) -> None:
    user = _pair(version)
    off = replace(user, holdings=(replace(user.holdings[0], is_collateral=False), user.holdings[1]))
    assert account_data(off).total_collateral_base == 0
    assert account_data(off).health_factor_wad == 0


def test_one_wei_of_debt_is_worth_nothing_before_3_5_and_one_unit_after() -> None:
    for version, debt in ((AaveVersion.V3_4, 0), (AaveVersion.V3_5, 1)):
        user = _pair(version)
        dust = replace(user, holdings=(user.holdings[0], replace(user.holdings[1], scaled_debt=1)))
        assert account_data(dust).total_debt_base == debt


@pytest.mark.parametrize("version", [AaveVersion.V3_0, AaveVersion.V3_1])
def test_an_old_emode_holds_by_the_category_of_the_reserve_and_brings_its_price(version: AaveVersion) -> None:
    emode = AaveEMode(1, 9300, 9500, 10100, price=2400 * 10**8)
    data = account_data(_pair(version, emode, emode_category=1))
    assert (data.liquidation_threshold_bps, data.ltv_bps) == (9500, 9300)
    assert data.total_collateral_base == 24_000 * 10**8
    outside = account_data(_pair(version, emode, emode_category=2))
    assert (outside.liquidation_threshold_bps, outside.total_collateral_base) == (8300, 25_000 * 10**8)


@pytest.mark.parametrize("version", [v for v in AaveVersion if v >= AaveVersion.V3_2])
def test_a_liquid_emode_holds_by_its_bitmap_and_never_brings_a_price(version: AaveVersion) -> None:
    emode = AaveEMode(1, 9300, 9500, 10100, collateral_bitmap=0b1, price=1)
    data = account_data(_pair(version, emode))
    assert (data.liquidation_threshold_bps, data.ltv_bps) == (9500, 9300)
    assert data.total_collateral_base == 25_000 * 10**8
    assert account_data(_pair(version, replace(emode, collateral_bitmap=0b10))).liquidation_threshold_bps == 8300


@pytest.mark.parametrize("version", list(AaveVersion))
def test_a_reserve_without_a_threshold_of_its_own_counts_only_once_emode_is_decoupled(version: AaveVersion) -> None:
    emode = AaveEMode(1, 9300, 9500, 10100, collateral_bitmap=0b1)
    user = _pair(version, emode, emode_category=1, liquidation_threshold_bps=0)
    expected = 9500 if version >= AaveVersion.V3_6 else 0
    assert account_data(user).liquidation_threshold_bps == expected


def test_zero_ltv_in_emode_leaves_the_threshold_alone() -> None:
    emode = AaveEMode(1, 9300, 9500, 10100, collateral_bitmap=0b1, ltv_zero_bitmap=0b1)
    data = account_data(_pair(AaveVersion.V3_6, emode))
    assert (data.ltv_bps, data.liquidation_threshold_bps) == (0, 9500)
    older = account_data(_pair(AaveVersion.V3_5, replace(emode, ltv_zero_bitmap=0), ltv_bps=0))
    assert (older.ltv_bps, older.liquidation_threshold_bps) == (0, 9500)


def test_an_isolated_emode_takes_the_ltv_of_outsiders_but_not_their_threshold() -> None:
    emode = AaveEMode(1, 9300, 9500, 10100, collateral_bitmap=0b10, is_isolated=True)
    data = account_data(_pair(AaveVersion.V3_7, emode))
    assert (data.ltv_bps, data.liquidation_threshold_bps) == (0, 8300)
    assert account_data(_pair(AaveVersion.V3_6, emode)).ltv_bps == 8000


def test_isolation_is_one_enabled_collateral_with_a_debt_ceiling_until_3_6() -> None:
    assert _pair(AaveVersion.V3_6, debt_ceiling=100).is_isolated
    assert not _pair(AaveVersion.V3_7, debt_ceiling=100).is_isolated
    assert not _pair(AaveVersion.V3_6).is_isolated


def test_stable_debt_counts_until_3_1_and_a_discounted_balance_replaces_the_scaled_one() -> None:
    user = _pair(AaveVersion.V3_0)
    holding = replace(user.holdings[1], stable_debt=7)
    assert debt_balance(AaveVersion.V3_1, holding, user.timestamp_s) == 15_000 * 10**18 + 7
    assert debt_balance(AaveVersion.V3_2, holding, user.timestamp_s) == 15_000 * 10**18
    assert debt_balance(AaveVersion.V3_3, replace(holding, debt_balance=5), user.timestamp_s) == 5


def test_legs_carry_the_weights_in_force() -> None:
    emode = AaveEMode(1, 9300, 9500, 10100, collateral_bitmap=0b1)
    user = _pair(AaveVersion.V3_6, emode)
    eth, dai = legs(user)
    assert (eth.liquidation_threshold_bps, eth.liquidation_bonus_bps, eth.owed) == (9500, 10100, 0)
    assert (dai.counts, dai.owed, dai.liquidation_threshold_bps) == (False, 15_000 * 10**18, 8300)
    assert not in_emode(AaveVersion.V3_6, None, eth.reserve)
