"""What a liquidation call takes, against figures of the compiled contracts (tests/fixtures/aave)."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.aave_liquidation import LiquidationTerms, largest_repayment, liquidation_split, worst_call
from engine.aave_math import AaveVersion

CASES = json.loads((Path(__file__).parents[1] / "fixtures" / "aave" / "liquidations.json").read_text())["cases"]


def terms_of(raw: dict[str, str], version: AaveVersion) -> LiquidationTerms:
    return LiquidationTerms(
        version=version,
        collateral_price=int(raw["collateralPrice"]),
        collateral_unit=int(raw["collateralUnit"]),
        collateral_balance=int(raw["collateralBalance"]),
        debt_price=int(raw["debtPrice"]),
        debt_unit=int(raw["debtUnit"]),
        reserve_debt=int(raw["debtReserveBalance"]),
        total_debt_base=int(raw["totalDebtBase"]),
        health_factor_wad=int(raw["healthFactor"]),
        bonus_bps=int(raw["liquidationBonusBps"]),
        protocol_fee_bps=int(raw["protocolFeeBps"]),
    )


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["name"]))
@pytest.mark.parametrize(("version", "key"), [(AaveVersion.V3_6, "v36"), (AaveVersion.V3_7, "v37")])
def test_a_call_takes_what_the_contract_takes(case: dict[str, Any], version: AaveVersion, key: str) -> None:
    terms, expected = terms_of(case["input"], version), case[key]
    assert largest_repayment(terms) == int(expected["maxLiquidatableDebt"])
    split = liquidation_split(terms, int(case["input"]["debtToCover"]))
    assert split.debt_repaid == int(expected["actualDebtToLiquidate"])
    assert split.collateral_to_liquidator == int(expected["collateralToLiquidator"])
    assert split.protocol_fee == int(expected["protocolFeeCollateral"])
    assert split.leaves_dust is (expected["revert"] == "MustNotLeaveDust")


def _terms(version: AaveVersion, debt_usd: int, collateral_usd: int, **changes: Any) -> LiquidationTerms:
    base = LiquidationTerms(
        version=version,
        collateral_price=10**8,
        collateral_unit=10**18,
        collateral_balance=collateral_usd * 10**18,
        debt_price=10**8,
        debt_unit=10**6,
        reserve_debt=debt_usd * 10**6,
        total_debt_base=debt_usd * 10**8,
        health_factor_wad=96 * 10**16,
        bonus_bps=10_500,
    )
    return replace(base, **changes)


def test_up_to_3_2_half_of_the_reserve_is_closed_above_0_95_and_all_at_it() -> None:
    assert largest_repayment(_terms(AaveVersion.V3_2, 500, 10_000)) == 250 * 10**6
    assert largest_repayment(_terms(AaveVersion.V3_2, 500, 10_000, health_factor_wad=95 * 10**16)) == 500 * 10**6


def test_from_3_3_small_positions_are_closed_whole_and_large_ones_by_half_of_all_debt() -> None:
    assert largest_repayment(_terms(AaveVersion.V3_3, 1_999, 10_000)) == 1_999 * 10**6
    assert largest_repayment(_terms(AaveVersion.V3_3, 9_000, 1_999)) == 9_000 * 10**6
    assert largest_repayment(_terms(AaveVersion.V3_3, 9_000, 12_000)) == 4_500 * 10**6
    third = _terms(AaveVersion.V3_3, 3_000, 12_000, total_debt_base=9_000 * 10**8)
    assert largest_repayment(third) == 3_000 * 10**6


def test_the_worst_call_stops_short_of_leaving_dust() -> None:
    terms = _terms(AaveVersion.V3_6, 4_000, 4_100, total_debt_base=6_500 * 10**8)
    assert liquidation_split(terms, terms.reserve_debt).leaves_dust
    split = worst_call(terms)
    assert split is not None
    assert not split.leaves_dust
    assert terms.reserve_debt - split.debt_repaid >= 1_000 * 10**6
    assert terms.collateral_balance - split.collateral_seized >= 1_000 * 10**18
    one_dollar_more = liquidation_split(terms, split.debt_repaid + 10**6)
    assert one_dollar_more.leaves_dust


def test_the_protocol_takes_its_fee_from_the_bonus_only() -> None:
    terms = _terms(AaveVersion.V3_6, 10_000, 20_000, protocol_fee_bps=1_000)
    split = liquidation_split(terms, 1_000 * 10**6)
    assert split.collateral_seized == 1_050 * 10**18
    assert split.protocol_fee == 5 * 10**18
