"""Exact liquidation prices: brute force over every integer price, and the properties that the ledger promises."""

from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.aave import AaveEMode, AaveHolding, AaveReserve, AaveUser
from engine.aave_ledger import SHOCK_DIGITS, AaveLedger
from engine.aave_math import WAD, AaveVersion
from engine.accounts import Ledger
from engine.crossing import nearest

NOW = 1_700_000_000
OLD, NEW = AaveVersion.V3_4, AaveVersion.V3_6
UNIT = Decimal("1e-8")


def reserve(asset: str, reserve_id: int, price: int, threshold: int = 8300, decimals: int = 18) -> AaveReserve:
    ltv = max(threshold - 300, 0)
    return AaveReserve(asset, reserve_id, decimals, price, ltv, threshold, 10_500, 10**27, 10**27, 0, 0, NOW)


def holding(of: AaveReserve, supplied: int = 0, owed: int = 0, *, enabled: bool = True) -> AaveHolding:
    is_collateral = enabled and supplied > 0
    return AaveHolding(of, scaled_supply=supplied, scaled_debt=owed, is_collateral=is_collateral, is_borrowing=owed > 0)


def ledger(version: AaveVersion, *holdings: AaveHolding, base_unit: int = 10**8) -> AaveLedger:
    return AaveLedger(AaveUser(version, NOW, base_unit, holdings))


def worked(version: AaveVersion) -> AaveLedger:
    """Ten ETH at 2,500 against 15,000 USDC."""
    eth, usdc = reserve("ETH", 0, 2500 * 10**8), reserve("USDC", 1, 10**8, 7800, decimals=6)
    return ledger(version, holding(eth, supplied=10**19), holding(usdc, owed=15_000 * 10**6))


def both_sides(version: AaveVersion) -> AaveLedger:
    """Two collaterals with different thresholds and two debts, ETH on both sides."""
    eth, btc = reserve("ETH", 0, 2500 * 10**8), reserve("BTC", 1, 60_000 * 10**8, 7800, decimals=8)
    usdc = reserve("USDC", 2, 10**8, 7800, decimals=6)
    return ledger(
        version,
        holding(eth, supplied=7 * 10**18 + 1234567, owed=10**18 + 7654321),
        holding(btc, supplied=31_415_926),
        holding(usdc, owed=19_000 * 10**6 + 77),
    )


def is_safe(subject: AaveLedger, moved: dict[str, Decimal]) -> bool:
    health = subject.health_factor_wad(moved)
    assert health is not None
    return health >= WAD


@pytest.mark.parametrize("version", list(AaveVersion))
def test_the_worked_example_liquidates_at_1807_22891566(version: AaveVersion) -> None:
    subject: Ledger = worked(version)
    assert subject.health_factor_wad() == 1383333333333333333
    assert subject.liquidation_price("ETH") == Decimal("1807.22891566")
    assert subject.liquidation_price("USDC") == Decimal("1.38333334")
    assert subject.liquidation_price("DOGE") is None


@pytest.mark.parametrize("version", list(AaveVersion))
@pytest.mark.parametrize("build", [worked, both_sides])
def test_one_unit_on_the_safe_side_the_contract_still_refuses(version: AaveVersion, build: object) -> None:
    subject = worked(version) if build is worked else both_sides(version)
    assert is_safe(subject, {})
    for leg in subject.legs:
        asset = leg.reserve.asset
        price = subject.liquidation_price(asset)
        assert price is not None
        now = Decimal(leg.price).scaleb(-8)
        toward = UNIT if price < now else -UNIT
        assert not is_safe(subject, {asset: price})
        assert is_safe(subject, {asset: price + toward})


@pytest.mark.parametrize("version", list(AaveVersion))
def test_a_uniform_shock_is_tight_too(version: AaveVersion) -> None:
    subject = both_sides(version)
    shock = subject.uniform_shock(frozenset({"ETH", "BTC"}))
    assert shock is not None
    assert -1 < shock < 0
    step = Decimal(1).scaleb(-SHOCK_DIGITS)
    for at, safe in ((shock, False), (shock + step, True)):
        moved = {"ETH": Decimal(2500) * (1 + at), "BTC": Decimal(60_000) * (1 + at)}
        assert is_safe(subject, moved) is safe
    assert subject.uniform_shock(frozenset({"DOGE"})) is None


def test_a_truncated_average_can_liquidate_on_a_rise_of_collateral() -> None:
    """Up to 3.4 the average threshold is whole basis points: more of the weaker collateral can lower health."""
    strong, weak = reserve("A", 0, 10**8, 9000), reserve("B", 1, 10**8, 5000)
    debt = reserve("D", 2, 1)
    collateral = (holding(strong, supplied=10_000 * 10**18), holding(weak, supplied=10_000 * 10**18))
    owed = 14_000 * 10**8 * 10**18
    subject = ledger(OLD, *collateral, holding(debt, owed=owed))
    assert is_safe(subject, {})
    price = subject.liquidation_price("B")
    assert price == Decimal("1.00000001")
    assert not is_safe(subject, {"B": Decimal("1.00000001")})
    newer = ledger(NEW, *collateral, holding(debt, owed=owed))
    assert newer.liquidation_price("B") == Decimal("0.99999999")


def test_an_account_without_debt_has_no_liquidation() -> None:
    subject = ledger(NEW, holding(reserve("ETH", 0, 2500 * 10**8), supplied=10**18))
    assert subject.health_factor_wad() is None
    assert subject.liquidation_price("ETH") is None
    assert subject.uniform_shock(frozenset({"ETH"})) is None
    assert subject.loss_at_liquidation() is None
    assert subject.close_factor() is None


def test_a_price_that_cannot_save_or_sink_has_no_liquidation() -> None:
    eth, usdc = reserve("ETH", 0, 2500 * 10**8), reserve("USDC", 1, 10**8, 7800, decimals=6)
    idle = holding(reserve("OFF", 2, 10**8), supplied=10**18, enabled=False)
    hedge = ledger(NEW, holding(eth, supplied=10**19, owed=10**18), holding(usdc, supplied=9 * 10**9), idle)
    assert hedge.liquidation_price("OFF") is None
    assert hedge.liquidation_price("ETH") is None


def test_a_liquidatable_account_names_the_last_price_before_safety() -> None:
    eth, usdc = reserve("ETH", 0, 1700 * 10**8), reserve("USDC", 1, 10**8, 7800, decimals=6)
    subject = ledger(NEW, holding(eth, supplied=10**19), holding(usdc, owed=15_000 * 10**6))
    assert not is_safe(subject, {})
    assert subject.liquidation_price("ETH") == Decimal("1807.22891566")
    shock = subject.uniform_shock(frozenset({"ETH"}))
    assert shock is not None
    assert shock > 0


def test_reserves_that_share_an_emode_price_move_together() -> None:
    emode = AaveEMode(1, 9300, 9500, 10_100, price=2500 * 10**8)
    steth = replace(reserve("stETH", 0, 2600 * 10**8), emode_category=1)
    eth = replace(reserve("ETH", 1, 2500 * 10**8), emode_category=1)
    usdc = reserve("USDC", 2, 10**8, 7800, decimals=6)
    holdings = (holding(steth, supplied=10**19), holding(eth, owed=2 * 10**18), holding(usdc, owed=10_000 * 10**6))
    subject = AaveLedger(AaveUser(AaveVersion.V3_0, NOW, 10**8, holdings, emode))
    assert subject.liquidation_price("stETH") == subject.liquidation_price("ETH")
    price = subject.liquidation_price("ETH")
    assert price is not None
    both = {"stETH": price, "ETH": price}
    assert not is_safe(subject, both)
    assert is_safe(subject, {asset: at + UNIT for asset, at in both.items()})


def test_the_contracts_own_figure_wins_at_the_prices_that_were_read() -> None:
    subject = replace(worked(NEW), reported_health_wad=7 * WAD)
    assert subject.health_factor_wad() == 7 * WAD
    assert subject.health_factor_wad({"ETH": Decimal(2500)}) == 1383333333333333333


@pytest.mark.parametrize("bad", [Decimal("NaN"), Decimal("Infinity"), Decimal(-1)])
def test_a_price_that_is_no_price_is_refused(bad: Decimal) -> None:
    with pytest.raises(ValueError, match="finite number"):
        worked(NEW).health_factor_wad({"ETH": bad})


def test_the_loss_is_the_bonus_on_what_the_first_call_repays() -> None:
    """Half of 15,000 is repaid at a bonus of 5 %: 375 USD, and small debts are closed whole from 3.3 on."""
    for version in (AaveVersion.V3_0, NEW):
        subject = worked(version)
        loss = subject.loss_at_liquidation()
        assert loss is not None
        assert abs(loss - 375) < Decimal("0.001")
        assert subject.close_factor() == Decimal("0.5")
    eth, usdc = reserve("ETH", 0, 2500 * 10**8), reserve("USDC", 1, 10**8, 7800, decimals=6)
    small = ledger(NEW, holding(eth, supplied=10**18), holding(usdc, owed=1_500 * 10**6))
    assert small.close_factor() == 1


@settings(max_examples=100, deadline=None)
@given(
    version=st.sampled_from([AaveVersion.V3_0, OLD, AaveVersion.V3_5, NEW]),
    prices=st.lists(st.integers(1, 300), min_size=3, max_size=3),
    thresholds=st.lists(st.integers(1, 9_900), min_size=3, max_size=3),
    supplied=st.lists(st.integers(0, 40), min_size=3, max_size=3),
    owed=st.lists(st.integers(0, 40), min_size=3, max_size=3),
)
def test_the_nearest_price_is_the_one_that_a_full_scan_finds(
    version: AaveVersion, prices: list[int], thresholds: list[int], supplied: list[int], owed: list[int]
) -> None:
    holdings = [
        holding(reserve(f"T{index}", index, prices[index], thresholds[index], decimals=1), supplied[index], owed[index])
        for index in range(3)
    ]
    subject = ledger(version, *holdings, base_unit=1)
    health = subject.health_factor_wad()
    for index in range(3):
        asset, start = f"T{index}", prices[index]
        found = subject.liquidation_price(asset)
        touched = supplied[index] or owed[index]
        if health is None or not touched:
            # With every debt rounded to nothing there is no health to lose at the prices that were read.
            assert found is None
            continue
        now_safe = health >= WAD
        flips = [
            x
            for x in range(1, 4 * start + 400)
            if ((value := subject.health_factor_wad({asset: Decimal(x)})) is None or value >= WAD) is not now_safe
        ]
        if not flips:
            assert found is None or found > 4 * start + 300
            continue
        best = min(flips, key=lambda x: (abs(x - start), x < start))
        expected = best if now_safe else (best - 1 if best > start else best + 1)
        assert found == expected


def test_a_reserve_with_nothing_in_it_moves_nothing() -> None:
    usdc, empty = reserve("USDC", 0, 10**8), reserve("EMPTY", 1, 10**8)
    for version in (OLD, NEW):
        broke = ledger(version, holding(usdc, owed=1), replace(holding(empty), is_collateral=True))
        assert broke.liquidation_price("EMPTY") is None
        assert broke.uniform_shock(frozenset({"EMPTY"})) is None


def test_the_search_stops_on_the_near_side_when_its_budget_ends() -> None:
    def never_sure(low: int, high: int) -> bool | None:
        return None if low != high else low % 1000 == 999

    assert nearest(never_sure, 0, 10**6) == 999
    assert nearest(never_sure, 10**6, 0) == 999_999
    stopped = nearest(never_sure, 0, 10**6, budget=100)
    assert stopped is not None
    assert stopped < 999
    assert nearest(lambda low, high: False, 0, 10) is None
