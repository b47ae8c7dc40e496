"""Plans of venue and broker accounts: coins to their leg, contracts to their coin, hedge legs, multiples, by hand."""

import json
from collections.abc import Mapping
from dataclasses import replace
from decimal import ROUND_FLOOR, Context, Decimal, localcontext
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from engine.accounts import Account, Collateral, Debt, Kind, MarginCall, MarginMode, Position, Session
from engine.answers import plan_answer
from engine.assess import trigger_side
from engine.liquidation import liquidation_points
from engine.plan_answers import parse_plan
from engine.plan_effect import health_now, with_means
from engine.plans import plan, readiness, standing_plan
from engine.prices import OraclePrice
from engine.rescue import Facility, Funds, Means, Option, Plan, Standing, Target
from engine.severity import DEFAULT_LADDERS
from engine.solvency import solvency_of, trigger_prices
from tests.engine.portfolios import NOW, SECOND, d, flat, perp, venue_accounts

LONG = Position("BTC", d(1), flat("0.01"), d(60_000), d(60_000), fee_rate=d("0.0005"), contract="BTCUSDT")
SHORT = replace(LONG, quantity=d("-0.4"))
INVERSE = Position(
    "BTC",
    d(6_000) / d(60_000),
    flat("0.01"),
    d(60_000),
    d(66_000),
    fee_rate=d("0.0005"),
    inverse=True,
    contract="XBTUSD",
)
COIN = Collateral("BTC", d("0.005"), d("0.9"))


def made(account: Account, health: str = "", distance: str = "", standing: Standing | None = None, **more: Any) -> Plan:
    target = Target(health=d(health)) if health else Target(distance=d(distance))
    return plan(account, {}, {}, target, standing, NOW, **more)


def only(found: Plan, means: Means, asset: str) -> Option:
    (option,) = [each for each in found.options if (each.means, each.asset) == (means, asset)]
    return option


def test_a_coin_paid_in_goes_to_its_leg_at_its_weight() -> None:
    account = perp("1000", LONG, collateral=(COIN,), oracles={"BTC": OraclePrice(d(59_000))}, quote="USDT")
    option = only(made(account, "3"), Means.ADD_MARGIN, "BTC")
    # 1000 + (0.005 + x) x 0.9 x 59,000 = 3 x 630
    assert option.amount == pytest.approx((d(1_890) - 1_000) / (d("0.9") * 59_000) - d("0.005"), abs=d("1e-8"))
    assert option.value_usd == option.amount * 59_000
    cash = only(made(account, "3"), Means.ADD_MARGIN, "USDT")
    assert cash.amount == d("624.5")


def test_a_coin_that_the_account_has_nothing_of_yet_counts_at_the_weight_the_venue_tells() -> None:
    account = perp("1000", LONG, quote="USDT")
    sol = Facility("SOL", frozenset({Means.ADD_MARGIN}), decimals=6, liquidation_threshold=d("0.8"), price=d(100))
    standing = Standing("perp", NOW, (sol,), (Funds("SOL", d(100), "spot"),), signer="key")
    option = only(made(account, "3", standing=standing), Means.ADD_MARGIN, "SOL")
    assert option.amount == d(890) / 80
    assert option.ready


def test_a_coin_that_is_owed_and_backs_nothing_is_paid_back_first() -> None:
    account = perp("6000", LONG, debt=(Debt("SOL", d(40)),), oracles={"SOL": OraclePrice(d(100))}, quote="USDT")
    sol = Facility("SOL", frozenset({Means.ADD_MARGIN}), decimals=6)
    standing = Standing("perp", NOW, (sol,), (Funds("SOL", d(100), "spot"),), signer="key")
    option = only(made(account, "8", standing=standing), Means.ADD_MARGIN, "SOL")
    assert option.amount == (d(8) * 630 - 2_000) / 100


def test_reducing_an_inverse_position_realises_coins() -> None:
    account = perp("0", INVERSE, collateral=(COIN,), quote="USD")
    option = only(made(account, "18"), Means.REDUCE, "BTC")
    closed, face = option.amount, option.amount * 60_000
    coins = d("0.005") + (closed * 6_000 - face * d("0.0005")) / 66_000
    left = (INVERSE.quantity - closed) * 6_000
    assert coins * d("0.9") * 66_000 + left == pytest.approx(18 * (6_000 - face) * d("0.0105"), rel=d("1e-3"))
    assert option.health.after is not None
    assert option.health.after >= 18
    assert option.steps == (f"close {option.amount} BTC of XBTUSD ({_short(face)} of face value), reduce-only",)
    assert option.value_usd == face
    assert option.cost_usd == face * d("0.0005")


def _short(value: Decimal) -> str:
    text = format(value.quantize(d("0.01"), context=Context(rounding=ROUND_FLOOR)), "f")
    return text.rstrip("0").rstrip(".")


def test_a_reduction_keeps_to_the_lot_of_the_venue() -> None:
    lot = Facility("BTC", frozenset({Means.REDUCE}), decimals=3, contract="BTCUSDT")
    standing = Standing("perp", NOW, (lot,), signer="key")
    option = only(made(perp("1000", LONG), "2", standing=standing), Means.REDUCE, "BTC")
    # 1000 - 30 q = 2 x 630 (1 - q)
    assert option.amount == d("0.212")
    assert option.ready
    assert option.steps == ("close 0.212 BTC of BTCUSDT, reduce-only",)


def test_the_legs_of_a_hedge_are_reduced_one_by_one() -> None:
    account = perp("1000", LONG, SHORT)
    long, short = (
        Facility("BTC", frozenset({Means.REDUCE}), "", 3, contract="BTCUSDT", side=side) for side in ("long", "short")
    )
    standing = Standing("perp", NOW, (long, short), signer="key")
    found = made(account, distance="0.02", standing=standing)
    options = {each.facility.side: each for each in found.options if each.means is Means.REDUCE and each.facility}
    # Only closing some of the long widens the distance: closing the short leaves the account less hedged.
    assert set(options) == {"long"}
    assert options["long"].ready
    assert options["long"].steps[0].endswith("BTC of BTCUSDT long, reduce-only")
    parsed = parse_plan(json.dumps(plan_answer(found, NOW)))
    assert [each.facility for each in parsed.options] == [each.facility for each in found.options]
    by_health = made(account, "1.3", standing=standing)
    sides = {each.facility.side for each in by_health.options if each.means is Means.REDUCE and each.facility}
    assert sides == {"long", "short"}


def test_lots_of_one_contract_and_side_are_closed_by_one_order() -> None:
    lots = (replace(LONG, quantity=d("0.6")), replace(LONG, quantity=d("0.4"), entry_price=d(59_000)))
    whole = only(made(perp("1000", LONG), "20"), Means.REDUCE, "BTC")
    option = only(made(perp("600", *lots), "20"), Means.REDUCE, "BTC")
    assert option.amount == whole.amount > d("0.6")
    assert option.facility is not None
    assert option.facility.side == ""


def test_closing_all_of_a_hedge_leg_may_be_too_much() -> None:
    """1 long beside 0.96 short: closing a little of the long evens it out, closing all of it leaves the short alone."""
    account = perp("1300", LONG, replace(LONG, quantity=d("-0.96")))
    found = made(account, distance="0.15", means=Means.REDUCE)
    (option,) = found.options
    assert option.facility is not None
    assert option.facility.side == "long"
    assert option.amount < d("0.1")
    assert option.distance_after is not None
    assert option.distance_after >= d("0.15")


def test_a_venue_that_cannot_tell_legs_apart_leaves_them_to_the_trader() -> None:
    standing = Standing("perp", NOW, (Facility("BTC", frozenset({Means.REDUCE}), decimals=3),), signer="key")
    found = made(perp("1000", LONG, SHORT), "1.3", standing=standing, means=Means.REDUCE)
    assert found.options
    for option in found.options:
        assert "BTC: several positions in BTC: close this one at the venue" in option.blockers
        assert option.facility is not None
        assert option.facility.side in ("long", "short")


def test_the_multiple_of_the_venue_is_in_what_is_planned() -> None:
    account = replace(perp("1000", LONG, quote="USDT"), liquidation_multiple=d("1.05"), extra_requirement=d(100))
    option = only(made(account, "2"), Means.ADD_MARGIN, "USDT")
    assert option.amount == 2 * d("1.05") * 730 - 1_000


def test_a_portfolio_account_is_planned_by_health_and_says_why_not_by_distance() -> None:
    account = replace(perp("700", LONG, quote="USDT"), mode=MarginMode.PORTFOLIO)
    refused = made(account, distance="0.1")
    assert refused.options == ()
    assert refused.possible == (
        "a portfolio-margin account has no single liquidation price to keep a distance from: plan to a health"
    )
    option = only(made(account, "1.5"), Means.ADD_MARGIN, "USDT")
    assert option.amount == d("1.5") * 630 - 700
    assert option.distance_after is None
    ladder = DEFAULT_LADDERS[Kind.PERP]
    standing = standing_plan(account, trigger_side(account, {}, NOW), ladder, {}, {}, None, NOW)
    assert standing.target == Target(health=d("1.275"))


def test_borrowed_coins_grow_until_the_rescue_lands() -> None:
    account = perp(
        "3000", LONG, debt=(Debt("USDT", d(2_000), d("0.5")),), quote="USD", oracles={"USDT": OraclePrice(d(1))}
    )
    plain = only(made(replace(account, debt=(Debt("USDT", d(2_000)),)), "3"), Means.ADD_MARGIN, "USD")
    grown = only(made(account, "3"), Means.ADD_MARGIN, "USD")
    assert 0 < grown.amount - plain.amount < d("0.01")


BROKER = Account(
    "ib",
    Kind.BROKER,
    provider="ibkr",
    balance=d(-38_000),
    positions=(Position("SPY", d(100), flat("0.25"), mark_price=d(500)),),
    margin_call=MarginCall(d(500), NOW + 86_400 * SECOND),
    session=Session(False, NOW + 3_600 * SECOND),
)


def test_a_called_broker_account_says_how_much_to_deposit_and_until_when() -> None:
    option = only(made(BROKER, "1.25"), Means.DEPOSIT, "USD")
    assert option.amount == d("3625")
    assert option.steps == (
        "deposit 3625 USD",
        "the margin call for 500 USD is due at 2026-11-23T10:00:00Z",
        "the market is closed until 2026-11-22T11:00:00Z: nothing can be sold before",
    )
    assert option.blockers[-1] == (
        "a deposit is not sent from here; transfer it to the broker before 2026-11-23T10:00:00Z"
    )
    silent = replace(BROKER, margin_call=MarginCall(d(500)), session=Session(True, closes_ns=NOW + 3_600 * SECOND))
    assert only(made(silent, "1.25"), Means.DEPOSIT, "USD").steps[1:] == (
        "the margin call for 500 USD names no deadline",
        "the market closes at 2026-11-22T11:00:00Z",
    )
    assert readiness(made(BROKER, "1.25")) == "by hand"


@pytest.mark.parametrize("means", [None, Means.DEPOSIT, Means.ADD_MARGIN])
def test_an_account_that_takes_no_margin_from_here_says_what_to_pay_in_by_hand(means: Means | None) -> None:
    account = replace(perp("1000", LONG, quote="USDC"), provider="dydx")
    found = made(account, "2", means=means)
    option = only(found, Means.DEPOSIT, "USDC")
    assert option.amount == 260
    assert option.steps == ("deposit 260 USDC",)
    assert "money is not moved to this venue from here; pay it in by hand" in option.blockers
    assert not option.ready
    nothing = made(replace(account, provider="kraken-futures"), "2", standing=Standing("perp", NOW), means=means)
    assert only(nothing, Means.DEPOSIT, "USDC").amount == 260


def test_the_effect_of_a_request_is_that_of_its_leg_and_weight() -> None:
    account = perp("1000", LONG, SHORT)
    closed = with_means(account, Means.REDUCE, "BTC", d("0.1"), d(60_000), contract="BTCUSDT", side="short")
    assert [each.quantity for each in closed.positions] == [1, d("-0.3")]
    with pytest.raises(ValueError, match="no BTCUSD long position in BTC any more"):
        with_means(account, Means.REDUCE, "BTC", d("0.1"), d(60_000), contract="BTCUSD", side="long")
    held = with_means(perp("1000", LONG), Means.ADD_MARGIN, "SOL", d(10), d(100), weight=d("0.8"))
    assert held.collateral == (Collateral("SOL", d(10), d("0.8")),)
    coin = perp("0", INVERSE, collateral=(COIN,), oracles={"BTC": OraclePrice(d(65_000))})
    topped = with_means(coin, Means.ADD_MARGIN, "BTC", d("0.001"), d(65_000))
    assert topped.collateral[0].amount == d("0.006")
    assert health_now(topped) == pytest.approx((d("0.0054") * 65_000 + 600) / 63, rel=d("1e-20"))


def pulled(account: Account, option: Option, amount: Decimal, known: Mapping[str, Decimal]) -> Account:
    """Return the account after the option, written out apart from the planner."""
    if option.means is not Means.REDUCE:
        assert option.means is Means.ADD_MARGIN
        if option.asset == account.quote:
            return replace(account, balance=account.balance + amount)
        (leg,) = [leg for leg in account.collateral if leg.asset == option.asset]
        others = tuple(each for each in account.collateral if each is not leg)
        return replace(account, collateral=(*others, replace(leg, amount=leg.amount + amount)))
    facility = option.facility
    assert facility is not None
    candidates = [each for each in account.positions if each.asset == option.asset]
    if facility.contract:
        candidates = [each for each in candidates if each.contract == facility.contract]
    (held,) = candidates
    signed = amount if held.quantity > 0 else -amount
    mark, entry = held.mark_price, held.entry_price
    assert mark is not None
    assert entry is not None
    fee = amount * (entry if held.inverse else mark) * (held.fee_rate or d("0.001"))
    gained = signed * (mark - entry) - fee
    rest = tuple(replace(each, quantity=each.quantity - signed) if each is held else each for each in account.positions)
    left = replace(account, positions=rest)
    coins = [leg for leg in account.collateral if leg.asset == held.asset]
    if not (held.inverse and coins):
        return replace(left, balance=left.balance + gained)
    leg = coins[0]
    now = leg.amount + gained / mark
    assume(now >= 0)
    return replace(
        left, collateral=tuple(replace(each, amount=now) if each is leg else each for each in left.collateral)
    )


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
@given(venue_accounts(most=4), st.integers(95, 400), st.integers(102, 300), st.booleans())
def test_pulling_what_is_planned_reaches_the_target_and_a_unit_less_does_not(
    drawn: Account, health_percent: int, percent: int, by_distance: bool
) -> None:
    account = at_health(drawn, d(health_percent) / 100)
    known, _ = trigger_prices(account, {})
    solvency = solvency_of(account)
    before = solvency.health_factor(known)
    assert before is not None
    health = (before * percent / 100).quantize(d("0.001"))
    target = Target(distance=d(percent) / 1_000) if by_distance else Target(health=health)
    options = plan(account, {}, {}, target, None, NOW).options
    with localcontext(prec=60):
        for option in options:
            assert option.facility is not None
            step = d(1).scaleb(-option.facility.decimals)
            assert misses(account, option, option.amount, known, target) <= d("1e-15")
            if option.amount > step:
                assert misses(account, option, option.amount - step, known, target) > 0


def at_health(account: Account, wanted: Decimal) -> Account:
    """Return the account with a balance that gives it that health."""
    known, _ = trigger_prices(account, {})
    solvency = solvency_of(account)
    more = wanted * solvency.requirement(known) - solvency.cover(known)
    return replace(account, balance=(account.balance + more).quantize(d("0.0001")))


def misses(account: Account, option: Option, amount: Decimal, known: Mapping[str, Decimal], target: Target) -> Decimal:
    """Return by how much the target is missed, at most 0 when it is reached; relative for a health."""
    state = solvency_of(pulled(account, option, amount, known), known)
    if target.health is not None:
        requirement = state.requirement(known)
        return d(0) if requirement == 0 else target.health - state.cover(known) / requirement
    assert target.distance is not None
    if state.cover(known) < state.requirement(known):
        return d(1)
    points = liquidation_points(state, known)
    distances = [each.distance for each in points.values() if each.distance is not None]
    return target.distance - min(distances) if distances else d(-1)
