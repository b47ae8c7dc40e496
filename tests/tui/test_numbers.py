"""The number grammar, value by value: what a trader reads must never look better than it is."""

from decimal import ROUND_CEILING, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui import numbers

S = 1_000_000_000


def d(text: str) -> Decimal:
    return Decimal(text)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (d("1.083999"), "1.083"),
        (d("0.9996"), "0.999"),
        (d("0.99999999999999999999"), "0.999"),
        (d("1"), "1.000"),
        (d("99"), "99.000"),
        (d("99.1"), ">99"),
        (d("1e40"), ">99"),
        (d("-0.0001"), "-0.001"),
        (d("-1234"), "<-99"),
        (d("-25.571"), "-25.58"),
        (None, "?"),
    ],
)
def test_health_is_floored(value: Decimal | None, shown: str) -> None:
    assert numbers.health(value) == shown


@pytest.mark.parametrize(
    ("reference", "value", "shown"),
    [
        ("2481.0", "2309.44", "2,309.4"),
        ("61130", "51207.4", "51,207"),
        ("138.21", "118.624", "118.62"),
        ("1", "0.99984", "0.9998"),
        ("2.119", "0.712", "0.7120"),
        ("0.0123", "0.01234567", "0.012346"),
        ("0.00001234", "0.000012345", "1.2345e-5"),
        ("15000000", "15000000", "15.0M"),
        ("1e20", "1e20", "1.0000e20"),
    ],
)
def test_prices_have_five_significant_digits_of_their_asset(reference: str, value: str, shown: str) -> None:
    assert numbers.price(d(value), numbers.price_places(d(reference))) == shown


def test_a_liquidation_price_is_rounded_toward_the_market() -> None:
    assert numbers.liquidation_price(d("2309.41"), 1, falls=True) == "2,309.5"
    assert numbers.liquidation_price(d("2309.49"), 1, falls=False) == "2,309.4"


@pytest.mark.parametrize(
    ("fraction", "falls", "shown"),
    [
        ("0.0699", True, "-6.9"),
        ("0.0781", False, "+7.8"),
        ("0.00049", True, "-0.04"),
        ("0", True, "0.0"),
        ("3.836", False, "+383"),
        ("1e9", False, "+>9999"),
    ],
)
def test_distances_are_signed_by_direction_and_floored(fraction: str, falls: bool, shown: str) -> None:
    assert numbers.distance(d(fraction), falls=falls) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [("4612.9", "4,612"), ("-4612.1", "-4,613"), ("0.9", "0"), ("-0.0", "0"), ("123456789012", "123.4B")],
)
def test_money_is_floored_to_whole_units(value: str, shown: str) -> None:
    assert numbers.money(d(value)) == shown


def test_what_is_owed_is_rounded_up() -> None:
    assert numbers.debt(d("41729.01")) == "41,730"
    assert numbers.cents(d("5.931")) == "5.94"
    assert numbers.multiple(d("3.281")) == "3.29"
    assert numbers.cents(d("123456.1"), ROUND_CEILING) == "123,457"


@pytest.mark.parametrize(
    ("nanoseconds", "short", "long"),
    [
        (0, "0.0s", "0s"),
        (-5 * S, "0.0s", "0s"),
        (449_999_999, "0.4s", "0s"),
        (9_999_999_999, "9.9s", "9s"),
        (12 * S, "12s", "12s"),
        (59_900_000_000, "59s", "59s"),
        (252 * S, "4m", "4m12s"),
        (7_500 * S, "2h", "2h05m"),
        (4 * 86_400 * S + 3 * 3_600 * S, "4d", "4d03h"),
        (None, "?", "?"),
    ],
)
def test_ages_have_one_unit_in_cells_and_two_in_sentences(nanoseconds: int | None, short: str, long: str) -> None:
    assert numbers.age(nanoseconds) == short
    assert numbers.long_age(nanoseconds) == long


def test_spans_are_told_as_feeds_state_them() -> None:
    shown = [numbers.span(d(text)) for text in ("1200", "3600", "86400", "30", "10800")]
    assert shown == ["20m", "60m", "24h", "30s", "3h"]
    assert numbers.span(None) == "none"


def test_sigma_days_lose_their_decimal_from_ten_on() -> None:
    assert [numbers.sigma_days(d(text)) for text in ("1.99", "9.99", "10.9", "41.2", "1000")] == [
        "1.9",
        "9.9",
        "10",
        "41",
        ">999",
    ]


def test_amounts_take_their_decimals_from_what_the_asset_is_worth() -> None:
    assert numbers.amount(d("24.15"), d("2481")) == "24.1500"
    assert numbers.amount(d("-38400"), d("1")) == "-38,400.00"
    assert numbers.amount(d("5000000"), d("0.00001")) == "5,000,000"
    assert numbers.amount(d("1e30"), None) == "1.0000e30"


def test_marks_go_on_numbers_only() -> None:
    assert [numbers.unvouched(text) for text in ("1.310", "?", "", "no debt")] == ["1.310?", "?", "", "no debt"]
    assert [numbers.estimated(text) for text in ("1.310", "?", "")] == ["~1.310", "?", ""]


def test_the_clock_is_utc() -> None:
    assert numbers.clock(1_790_000_014 * S) == "14:13:34"


@given(st.decimals(min_value=-98, max_value=98, allow_nan=False, places=12))
def test_no_health_is_shown_higher_than_it_is(value: Decimal) -> None:
    shown = Decimal(numbers.health(value))
    assert shown <= value
    assert value - shown < (d("0.001") if value > -10 else d("0.01"))


@given(st.decimals(min_value=0, max_value=50, allow_nan=False, places=9))
def test_no_distance_is_shown_larger_than_it_is(fraction: Decimal) -> None:
    assert abs(Decimal(numbers.distance(fraction, falls=True))) / 100 <= fraction


@given(st.decimals(allow_nan=False, allow_infinity=False, min_value=d("-1e35"), max_value=d("1e35")))
def test_every_number_is_ascii_and_fits_its_column(value: Decimal) -> None:
    places = numbers.price_places(abs(value))
    shown = [numbers.money(value), numbers.price(abs(value), places), numbers.multiple(value)]
    assert all(text.isascii() and len(text) <= 11 for text in shown), shown
