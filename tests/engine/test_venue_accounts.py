"""What venue and broker accounts tell beyond a loan or a plain perp: coins, funding ahead, scans, calls, sessions."""

from dataclasses import replace
from decimal import Decimal

import pytest

from engine.accounts import Account, Collateral, Debt, Kind, MarginCall, MarginMode, Position, Session, VenueReport
from engine.answers import account_answer
from engine.assess import assess, trigger_side
from engine.assessment import Method, Severity
from engine.directions import AT_DISCRETION, BY_SCAN
from engine.prices import OraclePrice
from engine.severity import Ladder
from engine.totals import totals
from tests.engine.portfolios import NOW, SECOND, agreed, d, flat, perp, price

LONG = Position("BTC", d(1), flat("0.01"), d(60_000), d(60_000), funding_rate=d("0.1"), margin_used=d(3_000))
COIN = Collateral("SOL", d(100), d("0.8"), supply_rate=d("0.02"))
OWED = Debt("USDT", d(4_000), d("0.05"))
MULTI = perp(
    "6000",
    LONG,
    collateral=(COIN,),
    debt=(OWED,),
    oracles={"SOL": OraclePrice(d(100)), "USDT": OraclePrice(d(1))},
    order_margin=d(600),
)
BOOK = replace(
    perp("6000", LONG, replace(LONG, asset="ETH", quantity=d(-20), entry_price=d(2_500), mark_price=d(2_500))),
    mode=MarginMode.PORTFOLIO,
)
BROKER = Account(
    "ib", Kind.BROKER, balance=d(-20_000), positions=(Position("SPY", d(100), flat("0.25"), mark_price=d(500)),)
)
AWAY = Ladder(distance=(d("0.0003"), d("0.0002"), d("0.0001")))


def test_equity_counts_coins_in_full_and_health_at_their_weight() -> None:
    assessment = trigger_side(MULTI, {}, NOW)
    assert assessment.equity == 6_000 + 10_000 - 4_000
    assert assessment.debt_value == 4_000
    assert assessment.health_factor == d(6_000 + 8_000 - 4_000) / 600
    assert assessment.leverage == 5
    assert assessment.capital_efficiency == d(3_600) / 12_000
    assert assessment.liquidation["SOL"].price is None
    thinner = trigger_side(replace(MULTI, balance=d(0)), {}, NOW)
    assert thinner.liquidation["SOL"].price == d(4_600) / 80


def test_interest_on_borrowed_coins_joins_the_funding() -> None:
    cost = trigger_side(MULTI, {}, NOW).cost_of_debt
    assert cost is not None
    assert cost.per_day == d(6_000 + 200) / 365
    assert cost.annual_rate == d(6_200) / 64_000
    assert cost.net_carry == d(200 - 6_200) / 12_000
    silent = trigger_side(replace(MULTI, debt=(replace(OWED, borrow_rate=None),)), {}, NOW)
    assert silent.cost_of_debt is None
    assert silent.missing["cost_of_debt"] == "borrow rate of USDT unknown"


def test_days_of_interest_end_where_the_buffer_does() -> None:
    paid = trigger_side(replace(MULTI, debt=()), {}, NOW)
    assert paid.interest_only_days == int(d(14_000 - 600) / 6_000 * 365)
    both = trigger_side(MULTI, {}, NOW).interest_only_days
    assert both is not None
    assert int(d(9_400) / 6_300 * 365) < both < int(d(9_400) / 6_200 * 365) + 1


def test_funding_ahead_and_paid_stand_beside_the_present_rate() -> None:
    ahead = replace(
        LONG, predicted_funding_rate=d("0.2"), next_funding_ns=NOW + 3_600 * SECOND, funding_paid=d("-12.5")
    )
    later = replace(ahead, asset="ETH", next_funding_ns=NOW + 7_200 * SECOND, predicted_funding_rate=None)
    account = perp("60000", ahead, later)
    answer = account_answer(trigger_side(account, {}, NOW))
    told = answer["cost_of_debt"]
    assert isinstance(told, dict)
    assert told["per_day"] == str(round(d(12_000) / 365, 18))
    assert told["predicted_per_day"] == str(round(d(18_000) / 365, 18))
    assert told["next_funding"] == "2026-11-22T11:00:00Z"
    assert told["funding_paid"] == "-25"
    half = perp("60000", ahead, replace(later, funding_paid=None))
    assessment = trigger_side(half, {}, NOW)
    assert assessment.cost_of_debt is not None
    assert assessment.cost_of_debt.funding_paid is None
    assert assessment.missing["funding_paid"] == "funding paid by ETH unknown"


def test_funding_of_an_inverse_contract_is_paid_on_its_face_value() -> None:
    held = replace(LONG, inverse=True, mark_price=d(90_000))
    cost = trigger_side(perp("6000", held), {}, NOW).cost_of_debt
    assert cost is not None
    assert cost.per_day == d(6_000) / 365


def test_a_portfolio_account_names_moves_instead_of_one_price() -> None:
    scanned = replace(BOOK, reported=VenueReport(directions={"venue scan: down": d("-0.031")}, status="MARGIN_CALL"))
    assessment = trigger_side(scanned, {}, NOW)
    assert assessment.directions == {
        "BTC alone": pytest.approx(-d(4_900) / 59_400),
        "ETH alone": pytest.approx(d(4_900) / 50_500),
        "all assets": pytest.approx(-d(4_900) / 8_900),
        "venue scan: down": d("-0.031"),
    }
    assert assessment.liquidation_note == BY_SCAN
    assert assessment.status == "MARGIN_CALL"
    assert assessment.severity is Severity.DANGER
    assert assessment.severity_because == "distance 0.0310 < 0.05 (venue scan: down)"
    answer = account_answer(assessment)
    assert answer["liquidation_note"] == BY_SCAN
    assert answer["status"] == "MARGIN_CALL"
    told = answer["directions"]
    assert isinstance(told, dict)
    assert told["venue scan: down"] == "-0.031"


def test_a_hedged_portfolio_account_is_judged_by_its_health_too() -> None:
    thin = replace(BOOK, balance=d(1_150))
    assessment = trigger_side(thin, {}, NOW, ladder=AWAY)
    assert assessment.health_factor == d("1.045454545454545454545454545")
    assert assessment.severity is Severity.DANGER
    assert assessment.severity_because.startswith("health_factor 1.0454")
    assert trigger_side(replace(thin, mode=MarginMode.CROSS), {}, NOW, ladder=AWAY).severity is Severity.SAFE


def test_stable_coins_of_a_portfolio_account_are_no_direction() -> None:
    held = replace(BOOK, collateral=(Collateral("USDC", d(7_000), d("0.99")),), balance=d(0))
    assessment = trigger_side(held, {"USDC": price("1", stable=True)}, NOW)
    assert assessment.liquidation["USDC"].price is not None
    assert "USDC alone" not in assessment.directions


def test_only_a_portfolio_account_has_directions() -> None:
    assert trigger_side(replace(BOOK, mode=MarginMode.CROSS), {}, NOW).directions == {}
    assert "directions" not in account_answer(trigger_side(MULTI, {}, NOW))


def test_what_is_estimated_says_so_and_why() -> None:
    guessed = replace(BOOK, estimated="maintenance taken as constant", trigger="index")
    assessment = trigger_side(guessed, {}, NOW)
    assert (assessment.method, assessment.estimated) == (Method.ESTIMATED, "maintenance taken as constant")
    assert assessment.trigger == "index"
    answer = account_answer(assessment)
    assert (answer["method"], answer["estimated"]) == ("estimated", "maintenance taken as constant")


def test_a_venues_figure_stays_the_venues_where_ours_lacks_an_input() -> None:
    blind = replace(LONG, tiers=(), venue_liquidation_price=d(54_000))
    dated = replace(blind, mark_price=d(66_000), quantity=d("0.1"), venue_liquidation_price=d(64_000))
    said = VenueReport(equity=d(6_300), maintenance_requirement=d(600))
    account = replace(perp("6000", blind, dated), reported=said, liquidation_multiple=d("1.05"), estimated="by us")
    assessment = trigger_side(account, {}, NOW)
    assert assessment.method is Method.VENUE
    assert assessment.health_factor == 10
    assert (assessment.maintenance_requirement, assessment.buffer) == (630, 5_670)
    assert not {"maintenance_requirement", "buffer", "health_factor"} & assessment.missing.keys()
    point = assessment.liquidation["BTC"]
    assert point.distance == d(2_000) / 66_000
    assert point.price == d(64_000) * 60_000 / 66_000


def test_a_broker_speaks_of_requirement_excess_call_and_session() -> None:
    called = replace(
        BROKER,
        initial_requirement=d(25_000),
        margin_call=MarginCall(d(1_500), NOW + 86_400 * SECOND, "house call"),
        session=Session(False, NOW + 3_600 * SECOND, None),
    )
    answer = account_answer(assess(called, {}, NOW))
    assert answer["health_factor"] == "2.4"
    assert answer["initial_requirement"] == "25000"
    assert answer["excess"] == answer["buffer"] == "17500"
    assert answer["margin_call"] == {"amount": "1500", "due": "2026-11-23T10:00:00Z", "text": "house call"}
    assert answer["session"] == {"is_open": False, "opens": "2026-11-22T11:00:00Z", "closes": None}
    assert answer["liquidation_note"] == AT_DISCRETION


def test_a_broker_of_which_nothing_more_is_told_answers_as_before() -> None:
    assessment = assess(BROKER, {}, NOW)
    assert assessment.liquidation_note == AT_DISCRETION
    new = {"directions", "estimated", "status", "initial_requirement", "excess", "margin_call", "session"}
    assert not (new | {"liquidation_note"}) & account_answer(assessment).keys()


def test_at_market_the_coins_move_too() -> None:
    found = assess(MULTI, {}, NOW, consensus_of=agreed({"BTC": "60000", "SOL": "90", "USDT": "1"})).at_market
    assert found is not None
    assert found.health_factor == d(6_000 + 7_200 - 4_000) / 600
    assert found.divergence_bps["SOL"] == -1_000


def test_totals_count_coins_contracts_and_what_is_borrowed() -> None:
    inverse = replace(LONG, quantity=d(-1), inverse=True, mark_price=d(61_000))
    account = replace(
        MULTI,
        positions=(LONG, inverse),
        collateral=(Collateral("BTC", d("0.5"), d(1)),),
        oracles={"BTC": OraclePrice(d(60_500)), "USDT": OraclePrice(d(1))},
    )
    assessment = trigger_side(account, {}, NOW)
    summed = totals([(account, assessment)], {})
    assert summed.debt == 4_000
    assert summed.equity == assessment.equity
    assert summed.net_exposure == {"BTC": d(60_000) - 61_000 + 30_250, "USDT": d(-4_000)}
    assert isinstance(summed.netting_saves, Decimal)
