"""Option chains as files: what is written reads back the same, and what is wrong is named with its place."""

import json
from decimal import Decimal
from typing import Any

import pytest

from engine.option_file import living, parse_options, render_options
from engine.options import OptionQuote, Right
from engine.reading import DocumentError

D = Decimal
ROW: dict[str, Any] = {
    "venue": "deribit",
    "name": "ETH-25DEC26-2500-P",
    "underlying": "ETH",
    "right": "put",
    "strike": "2500",
    "expires": "2026-12-25T08:00:00Z",
    "lot": "1",
    "underlying_price": "3000.5",
    "observed_at": "2026-11-22T10:00:00Z",
    "inverse": True,
    "ask": "44.1",
    "mark_volatility": "0.65",
}


def read(**changed: Any) -> tuple[OptionQuote, ...]:
    row = {key: value for key, value in (ROW | changed).items() if value is not ...}
    return parse_options(json.dumps([row]))


def test_a_chain_reads_back_as_it_was_written() -> None:
    options = read(bid="40", mark="42.123456789", delta="-0.2", quote="USDC")
    assert parse_options(json.dumps(render_options(options))) == options
    (one,) = options
    assert (one.right, one.strike, one.mark, one.quote) == (Right.PUT, D(2500), D("42.123456789"), "USDC")


def test_optional_prices_are_left_out_and_not_zero() -> None:
    (one,) = read()
    assert (one.bid, one.mark, one.delta, one.quote, one.is_inverse) == (None, None, None, "USD", True)


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"strike": ...}, r"\[0\].strike: is required"),
        ({"strike": "NaN"}, r"\[0\].strike: 'NaN' is not a number"),
        ({"strike": "-1"}, r"\[0\].strike: -1 must be above 0"),
        ({"lot": 0}, r"\[0\].lot: 0 must be above 0"),
        ({"right": "PUT"}, r"\[0\].right: 'PUT' is not one of call, put"),
        ({"expires": "soon"}, r"\[0\].expires: 'soon' is not an RFC 3339 time"),
        ({"mark_volatility": "65"}, r"\[0\].mark_volatility: 65 is outside .* write 65 % as 0.65"),
        ({"bid": "50"}, r"\[0\].bid: 50 is above the ask of 44.1"),
        ({"stirke": "1"}, r"\[0\].stirke: unknown key; did you mean strike\?"),
        ({"delta": "-2"}, r"\[0\].delta: -2 is outside"),
        ({"inverse": "yes"}, r"\[0\].inverse: must be true or false"),
        ({"name": "a\u001b[2J"}, r"\[0\].name: .* holds control"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(changed: dict[str, Any], says: str) -> None:
    with pytest.raises(DocumentError, match=says):
        read(**changed)


@pytest.mark.parametrize(("text", "says"), [("[]", "is an empty list"), ("{}", "must be a list"), ("[", "not JSON")])
def test_a_file_that_is_no_chain_is_refused(text: str, says: str) -> None:
    with pytest.raises(DocumentError, match=says):
        parse_options(text)


def test_expired_options_are_told_from_living_ones() -> None:
    (one,) = options = read()
    assert living(options, one.expires_ns - 1) == options
    assert living(options, one.expires_ns) == ()
