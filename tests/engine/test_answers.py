import json
from dataclasses import replace
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import Kind
from engine.answers import account_answer, assess_portfolio, envelope, portfolio_answer, risk_answer, status_answer
from engine.assessment import Severity
from engine.document import parse_portfolio
from engine.rendering import plain, rounded, timestamp
from engine.severity import Ladder
from engine.totals import totals
from tests.engine.portfolios import NOW, d, example


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("1.3833333333333333333333", "1.383333333333333333"),
        ("0.0000000000000000005", "0"),
        ("0.0000000000000000015", "0.000000000000000002"),
        ("0.0000000000000000025", "0.000000000000000002"),
        ("25000.00", "25000"),
        ("1E+30", "1000000000000000000000000000000"),
        ("-0.00", "0"),
        ("-87.20000", "-87.2"),
        ("100", "100"),
    ],
)
def test_numbers_are_plain_with_at_most_18_decimals_rounded_half_to_even(value: str, text: str) -> None:
    assert rounded(Decimal(value)) == text


def test_a_missing_number_stays_null() -> None:
    assert rounded(None) is None


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**30), max_value=10**30))
def test_plain_text_reads_back_exactly(value: Decimal) -> None:
    text = plain(value)
    assert Decimal(text) == value
    assert "E" not in text
    assert text == "0" or not (("." in text and text.endswith("0")) or text.endswith("."))


@pytest.mark.parametrize(
    ("moment_ns", "text"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (NOW, "2026-11-22T10:00:00Z"),
        (NOW + 400_000_000, "2026-11-22T10:00:00.4Z"),
        (NOW + 1, "2026-11-22T10:00:00.000000001Z"),
    ],
)
def test_times_are_rfc_3339_in_utc(moment_ns: int, text: str) -> None:
    assert timestamp(moment_ns) == text
    assert parse_portfolio(example(as_of=text)).as_of_ns == moment_ns


def test_the_envelope_comes_first() -> None:
    assert envelope("s/1", NOW, ("late",), data=1) == {
        "schema": "s/1",
        "as_of": "2026-11-22T10:00:00Z",
        "degraded": ["late"],
        "data": 1,
    }


def test_an_accounts_degradations_join_the_envelopes_behind_its_name() -> None:
    portfolio = parse_portfolio(example())
    late = replace(portfolio.accounts[0], degraded=("ETH oracle is late",))
    assessed = assess_portfolio(replace(portfolio, accounts=(late,)))
    answer = risk_answer(NOW, assessed, totals(assessed, portfolio.prices), ("okx is down",))
    assert answer["degraded"] == ["okx is down", "main: ETH oracle is late"]


def test_the_contracts_integer_is_written_as_a_string() -> None:
    assessment = assess_portfolio(parse_portfolio(example()))[0][1]
    answer = account_answer(replace(assessment, health_factor_wad=2**70, last_known=Severity.WARN))
    assert answer["health_factor_wad"] == str(2**70)
    assert answer["last_known"] == "warn"


def test_status_carries_a_portfolio_that_assesses_to_the_same_answer() -> None:
    portfolio = parse_portfolio(example())
    assessed = assess_portfolio(portfolio)
    sources = [{"name": "binance", "state": "live"}]
    status = json.loads(json.dumps(status_answer(portfolio, assessed, totals(assessed, portfolio.prices), sources)))
    assert list(status) == ["schema", "as_of", "degraded", "sources", "portfolio", "assessment"]
    assert status["schema"] == "marginline.status/1"
    assert status["sources"] == sources
    again = portfolio_answer(parse_portfolio(json.dumps(status["portfolio"])))
    assert json.loads(json.dumps(again)) == status["assessment"]


def test_ladders_of_a_kind_can_be_given() -> None:
    portfolio = parse_portfolio(example())
    strict = {Kind.LOAN: Ladder(health=(d(9), d(8), d(7)))}
    assert [each.severity for _, each in assess_portfolio(portfolio, strict)] == ["danger", "watch", "safe"]
