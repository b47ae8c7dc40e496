from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.accounts import Account, Kind, Position, Tier
from engine.assess import trigger_side
from engine.assessment import Direction, LiquidationPoint
from engine.liquidation import liquidation_points, uniform_shock
from engine.prices import AssetPrice
from engine.solvency import solvency_of, trigger_prices
from tests.engine.portfolios import (
    NOW,
    cross_accounts,
    d,
    flat,
    ladder_of_tiers,
    loan,
    loans,
    perp,
    price,
    venue_accounts,
)

TINY = Decimal("1e-15")


def near(value: Decimal) -> object:
    """Return a comparison that forgives the last of 28 digits."""
    return pytest.approx(value, rel=d("1e-25"))


def margin_by_hand(
    account: Account, factors: dict[str, Fraction], marks: dict[str, Fraction]
) -> tuple[Fraction, Fraction]:
    """Return cover and requirement in exact fractions, straight from the definitions."""

    def coin(asset: str) -> Fraction:
        own = account.oracles.get(asset)
        at = marks[asset] if own is None else Fraction(own.price)
        return Fraction(1) if asset == account.quote else at * factors.get(asset, 1)

    cover, requirement = Fraction(account.balance), Fraction(account.extra_requirement)
    for leg in account.collateral:
        cover += Fraction(leg.amount * leg.liquidation_threshold) * coin(leg.asset)
    for debt in account.debt:
        cover -= Fraction(debt.amount) * coin(debt.asset)
    for position in account.positions:
        own = marks[position.asset] if position.mark_price is None else Fraction(position.mark_price)
        mark = own * factors.get(position.asset, 1)
        entry = Fraction(position.entry_price or 0)
        cover += Fraction(position.quantity) * (mark - entry)
        notional = abs(Fraction(position.quantity)) * (entry if position.inverse or position.margin_at_entry else mark)
        tier = [tier for tier in position.tiers if tier.notional_floor <= notional][-1]
        requirement += notional * (Fraction(tier.maintenance_rate) + Fraction(position.fee_rate or 0))
        requirement -= Fraction(tier.deduction)
    return cover, requirement * Fraction(account.liquidation_multiple)


def exact_marks(account: Account, prices: dict[str, AssetPrice] | None = None) -> dict[str, Fraction]:
    known, lacking = trigger_prices(account, prices or {})
    assert not lacking
    return {asset: Fraction(mark) for asset, mark in known.items()}


def scan(root: Fraction | None) -> list[Fraction]:
    """Return factors from 1 to just before `root`, or both ways far out when there is none."""
    if root is not None:
        return [1 + (root - 1) * Fraction(step, 12) for step in range(12)]
    return [Fraction(step, 12) for step in range(1, 12)] + [1 + Fraction(step**3, 5) for step in range(12)]


@settings(deadline=None, max_examples=60)
@given(st.one_of(cross_accounts(), venue_accounts()))
def test_a_cross_account_liquidates_where_a_brute_force_scan_over_tiers_says(account: Account) -> None:
    marks = exact_marks(account)
    cover, requirement = margin_by_hand(account, {}, marks)
    if cover < requirement:
        return
    solvency = solvency_of(account)
    known, _ = trigger_prices(account, {})
    points = liquidation_points(solvency, known)
    gross = sum((abs(exposure.weight) * known[exposure.asset] for exposure in solvency.exposures), abs(solvency.fixed))
    scale = Fraction(gross) * 10
    for asset, point in list(points.items())[:4]:
        root = None if point.price is None else Fraction(point.price) / marks[asset]
        assert_nearest(account, marks, (asset,), root, scale)
    shock = uniform_shock(solvency, known, account.assets)
    assert_nearest(account, marks, tuple(marks), None if shock is None else 1 + Fraction(shock), scale)


def assert_nearest(
    account: Account, marks: dict[str, Fraction], moving: tuple[str, ...], root: Fraction | None, scale: Fraction
) -> None:
    def margin(factor: Fraction) -> Fraction:
        cover, requirement = margin_by_hand(account, dict.fromkeys(moving, factor), marks)
        return cover - requirement

    noise = scale / 10**18
    if root is None:
        assert all(margin(factor) >= -noise for factor in scan(None))
        return
    assert root > 0
    assert abs(margin(root)) <= noise
    assert all(margin(factor) >= -noise for factor in scan(root))
    assert all(margin(factor) >= -noise for factor in scan(2 - root) if factor > 0)
    beyond = root + (root - 1) / 1000
    assert beyond <= 0 or margin(beyond) < noise


@settings(deadline=None, max_examples=100)
@given(loans())
def test_at_the_named_price_health_is_one_and_nearer_to_now_it_is_above(
    case: tuple[Account, dict[str, AssetPrice]],
) -> None:
    account, prices = case
    assessment = trigger_side(account, prices, NOW)
    assert assessment.health_factor is not None
    if assessment.health_factor < 1:
        return
    solvency = solvency_of(account)
    known, _ = trigger_prices(account, prices)
    for asset, point in assessment.liquidation.items():
        if point.price is None or point.distance is None:
            continue
        at = solvency.health_factor({**known, asset: point.price})
        assert at is not None
        assert abs(at - 1) < TINY
        assert point.direction is (Direction.UP if point.price > known[asset] else Direction.DOWN) or not point.distance
        assert abs(point.distance - abs(point.price / known[asset] - 1)) <= TINY * max(1, point.distance)
        nearer = solvency.health_factor({**known, asset: (point.price + known[asset]) / 2})
        assert nearer is not None
        assert nearer >= 1 - TINY


@settings(deadline=None, max_examples=100)
@given(loans())
def test_health_is_one_after_the_uniform_shock(case: tuple[Account, dict[str, AssetPrice]]) -> None:
    account, prices = case
    assessment = trigger_side(account, prices, NOW)
    shock = assessment.uniform_shock
    if shock is None or assessment.health_factor is None or assessment.health_factor < 1:
        return
    known, _ = trigger_prices(account, prices)
    moved = {asset: mark if prices[asset].stable else mark * (1 + shock) for asset, mark in known.items()}
    at = solvency_of(account).health_factor(moved)
    assert at is not None
    assert abs(at - 1) < TINY


PRICES = {"ETH": price("2500"), "wstETH": price("3000"), "USDC": price("1", stable=True)}


def points_of(account: Account, prices: dict[str, AssetPrice] = PRICES) -> dict[str, LiquidationPoint]:
    return dict(trigger_side(account, prices, NOW).liquidation)


def test_an_asset_on_both_sides_liquidates_on_the_side_that_outweighs() -> None:
    mostly_owed = loan({"ETH": ("1", "0.8"), "USDC": ("10000", "0.8")}, {"ETH": "2"})
    point = points_of(mostly_owed)["ETH"]
    assert point.direction is Direction.UP
    assert point.price == near(d(8000) / d("1.2"))


def test_an_asset_that_cancels_out_never_liquidates() -> None:
    even = loan({"ETH": ("10", "0.5"), "USDC": ("10000", "0.8")}, {"ETH": "5"})
    assert points_of(even)["ETH"] == LiquidationPoint()


def test_a_disabled_collateral_has_an_entry_without_a_price() -> None:
    account = loan({"ETH": ("10", "0.83"), "wstETH": ("4", "0")}, {"USDC": "15000"})
    assert points_of(account)["wstETH"] == LiquidationPoint()


def test_a_loop_in_one_family_has_no_uniform_shock() -> None:
    loop = loan({"wstETH": ("10", "0.93")}, {"ETH": "9"})
    assert trigger_side(loop, PRICES, NOW).uniform_shock is None


def test_an_account_without_debt_liquidates_nowhere() -> None:
    account = loan({"ETH": ("10", "0.83")}, {})
    assessment = trigger_side(account, PRICES, NOW)
    assert dict(assessment.liquidation) == {"ETH": LiquidationPoint()}
    assert (assessment.uniform_shock, assessment.health_factor, assessment.has_debt) == (None, None, False)


def test_an_account_that_is_liquidatable_already_has_distance_zero_and_the_price_that_frees_it() -> None:
    account = loan({"ETH": ("10", "0.83")}, {"USDC": "21000"})
    assessment = trigger_side(account, PRICES, NOW)
    point = assessment.liquidation["ETH"]
    assert (point.distance, point.direction) == (0, Direction.DOWN)
    assert point.price == near(d(21000) / d("8.3"))
    assert assessment.uniform_shock == 0


def test_health_of_exactly_one_is_on_the_line_and_not_over_it() -> None:
    account = loan({"ETH": ("10", "0.8")}, {"USDC": "20000"})
    assessment = trigger_side(account, PRICES, NOW)
    assert assessment.health_factor == 1
    assert assessment.severity == "danger"
    assert assessment.liquidation["ETH"] == LiquidationPoint(d(2500), d(0), Direction.DOWN)
    assert assessment.liquidation["USDC"] == LiquidationPoint(d(1), d(0), Direction.UP)


def test_the_tier_is_the_one_at_the_liquidation_price_not_the_present_one() -> None:
    steps = ladder_of_tiers([(0, 100), (100_000, 500)])
    short = perp("12000", Position("BTC", d(-2), steps, d(40_000), d(40_000)))
    point = trigger_side(short, {}, NOW).liquidation["BTC"]
    # 12000 - 2(p - 40000) = 0.05 x 2p - 4000 above the bound at p = 50000, 0.01 x 2p below it
    assert point.price == near(d(92_000) / d("2.02"))
    deeper = perp("40000", Position("BTC", d(-2), steps, d(40_000), d(40_000)))
    assert trigger_side(deeper, {}, NOW).liquidation["BTC"].price == near(d(124_000) / d("2.1"))


def test_a_hedged_account_is_solved_as_a_whole() -> None:
    hedged = perp(
        "1000",
        Position("BTC", d(1), flat("0.01"), d(50_000), d(50_000)),
        Position("ETH", d(-20), flat("0.01"), d(2_500), d(2_500)),
    )
    assessment = trigger_side(hedged, {}, NOW)
    assert assessment.health_factor == 1
    safer = perp(
        "3000",
        Position("BTC", d(1), flat("0.01"), d(50_000), d(50_000)),
        Position("ETH", d(-20), flat("0.01"), d(2_500), d(2_500)),
    )
    points = trigger_side(safer, {}, NOW).liquidation
    # BTC falls by x: 3000 - x = 0.01 (50000 - x) + 500
    assert points["BTC"].price == near(d(50_000) - d(2_000) / d("0.99"))
    assert points["ETH"].direction is Direction.UP
    assert trigger_side(safer, {}, NOW).uniform_shock == near(d(2))


def test_a_long_backed_in_full_never_liquidates() -> None:
    covered = perp("60000", Position("BTC", d(1), flat("0.01"), d(50_000), d(50_000)))
    assert trigger_side(covered, {}, NOW).liquidation["BTC"] == LiquidationPoint()


def test_tiers_that_do_not_join_liquidate_at_the_step() -> None:
    steps = (Tier(d(0), d("0.01")), Tier(d(100_000), d("0.5")))
    short = perp("35000", Position("BTC", d(-2), steps, d(40_000), d(40_000)))
    assert trigger_side(short, {}, NOW).liquidation["BTC"].price == d(50_000)


def test_long_and_short_of_one_asset_are_one_exposure() -> None:
    both = perp(
        "1000",
        Position("BTC", d(2), flat("0.01"), d(50_000), d(50_000)),
        Position("BTC", d(-2), flat("0.01"), d(50_000), d(50_000)),
    )
    assessment = trigger_side(both, {}, NOW)
    assert assessment.maintenance_requirement == 2000
    assert assessment.health_factor == d("0.5")


def test_a_broker_short_liquidates_on_a_rise() -> None:
    account = Account(
        "ib", Kind.BROKER, balance=d(20_000), positions=(Position("SPY", d(-20), flat("0.3"), mark_price=d(500)),)
    )
    point = trigger_side(account, {}, NOW).liquidation["SPY"]
    assert point.direction is Direction.UP
    assert point.price == near(d(20_000) / d(26))
