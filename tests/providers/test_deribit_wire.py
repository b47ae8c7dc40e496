"""Deribit's wire and figures: documented payloads, exact numbers, liquidation prices, frames nobody should trust."""

import json
import math
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import Account, MarginMode
from engine.assess import assess
from engine.assessment import Direction, Severity
from engine.options import Right
from providers.credentials import Credentials
from providers.deribit.book import accounts
from providers.deribit.legs import Picture
from providers.deribit.market import parse_depth, parse_instruments, parse_quotes
from providers.deribit.signing import allows, judge, log_in, parse_token, private_call, problem_of
from providers.deribit.wire import (
    MarginModel,
    parse_positions,
    parse_summaries,
    parse_summary,
    parse_ticker,
)
from providers.errors import Malformed, ProviderError, RateLimited, Refused, Unauthorised, Unreachable
from tests.deribit_server import dumps

FIXTURES = Path(__file__).parents[1] / "fixtures" / "deribit"
NOW_NS = 1_764_000_000_000_000_000
D = Decimal


def documented(method: str) -> bytes:
    """Return a documented reply with its digits as they are printed."""
    examples = json.loads((FIXTURES / "documented.json").read_text(), parse_float=Decimal)["examples"]
    return dumps(examples[method]["response"]).encode()


def raw(result: object) -> bytes:
    return dumps({"jsonrpc": "2.0", "id": 1, "result": result}).encode()


def future(name: str = "BTC-PERPETUAL", size: object = D(10000), **fields: Any) -> dict[str, Any]:
    is_short = D(str(size)) < 0
    return {
        "instrument_name": name,
        "kind": "future",
        "direction": "sell" if is_short else "buy",
        "size": size,
        "average_price": D(50000),
        "mark_price": D(60000),
        "index_price": D(60010),
        "maintenance_margin": D("0.001"),
        "initial_margin": D("0.002"),
    } | fields


def option(name: str = "BTC-25DEC26-50000-P", size: object = D(-1), delta: str = "0.3") -> dict[str, Any]:
    side = "sell" if D(str(size)) < 0 else "buy"
    return {
        "instrument_name": name,
        "kind": "option",
        "direction": side,
        "size": size,
        "delta": D(delta),
        "mark_price": D("0.05"),
        "index_price": D(60000),
        "maintenance_margin": D("0.1"),
    }


def summary(currency: str = "BTC", model: str = "segregated_sm", **fields: Any) -> dict[str, Any]:
    return {
        "currency": currency,
        "margin_model": model,
        "equity": D("0.5"),
        "margin_balance": D("0.5"),
        "maintenance_margin": D("0.001"),
        "initial_margin": D("0.002"),
    } | fields


def read(positions: list[dict[str, Any]], *summaries: dict[str, Any], **picture: Any) -> tuple[Account, ...]:
    login = parse_summaries(raw({"summaries": list(summaries)}))
    by_currency = {each.currency: each for each in login.summaries}
    return accounts("d", Picture(by_currency, parse_positions(raw(positions)), **picture))


# Numbers.


def test_numbers_are_read_digit_by_digit_whether_number_or_text() -> None:
    reply = b'{"result":[{"instrument_name":"BTC-PERPETUAL","direction":"buy","size":50,"kind":"future",'
    reply += b'"average_price":7440.1800000000000000001,"mark_price":"7476.65","maintenance_margin":1.43783e-4}]}'
    (held,) = parse_positions(reply)
    assert held.entry_price == D("7440.1800000000000000001")
    assert (held.mark_price, held.maintenance_margin) == (D("7476.65"), D("0.000143783"))


def test_the_documented_position_and_summary_are_read_whole() -> None:
    (held,) = parse_positions(documented("/private/get_positions"))
    assert (held.size, held.entry_price, held.liquidation_price) == (50, D("7440.18"), D("1.74"))
    assert held.order_margin == D("0.000197288")
    login = parse_summary(documented("/private/get_account_summary"))
    (found,) = login.summaries
    assert login.user_id == 10
    assert (found.model, found.margin_balance, found.maintenance_margin) == (
        MarginModel.SEGREGATED_SM,
        D("302.62729214"),
        D("0.8857841"),
    )
    assert found.ratios == {"btc_usd": D("0.1009872222854525")}


def test_the_documented_ratio_times_the_mark_is_the_venues_liquidation_price() -> None:
    row = future(size=D(50), average_price=D("7440.18"), mark_price=D("7476.65"))
    (found,) = parse_summary(documented("/private/get_account_summary")).summaries
    (account,) = accounts("d", Picture({"BTC": found}, parse_positions(raw([row]))))
    (position,) = account.positions
    assert position.venue_liquidation_price == D("0.1009872222854525") * D("7476.65")
    assert account.reported is not None
    assert account.reported.directions == {"BTC": D("0.1009872222854525") - 1}


def test_the_summarys_own_words_add_up_in_the_documented_example() -> None:
    (found,) = parse_summary(documented("/private/get_account_summary")).summaries
    assert found.equity is not None
    assert found.options_value is not None
    assert found.margin_balance == found.equity - found.options_value


def test_a_portfolio_margin_example_of_all_currencies_is_cross() -> None:
    (found,) = parse_summary(documented("/private/simulate_portfolio")).summaries
    assert found.model is MarginModel.CROSS_PM
    assert found.total_margin_balance == D("12798550648250.61")
    assert found.total_maintenance == D("2511559381417.215")
    (account,) = accounts("d", Picture({"BTC": found}, indexes={"BTC": D(83359)}))
    assert (account.name, account.mode, account.quote) == ("d", MarginMode.PORTFOLIO, "USD")
    assessed = assess(account, {}, NOW_NS)
    assert assessed.health_factor is not None
    assert math.isclose(assessed.health_factor, D("12798550648250.61") / D("2511559381417.215"), rel_tol=1e-9)


# Accounts.


def test_an_inverse_long_is_liquidated_where_its_coins_no_longer_cover_it() -> None:
    # 0.5 BTC of margin balance, a long of $30,000 at 50,000 with the mark at 60,000, 1 % maintenance.
    row = future(size=D(30000), maintenance_margin=D("0.005"))
    (account,) = read([row], summary(maintenance_margin=D("0.005")))
    assert (account.name, account.quote, account.mode) == ("d:BTC", "USD", MarginMode.CROSS)
    # In coin: 0.5 + 30000 (1/60000 - 1/p) = 300 / p, so p = 30300 / (0.5 + 0.5).
    point = assess(account, {}, NOW_NS).liquidation["BTC"]
    assert point.direction is Direction.DOWN
    assert point.price is not None
    assert math.isclose(point.price, D(30300), rel_tol=1e-12)


def test_an_inverse_short_gains_coins_in_a_fall_and_is_liquidated_by_a_rise() -> None:
    row = future(size=D(-60000), maintenance_margin=D("0.01"))
    (account,) = read([row], summary(margin_balance=D("0.2"), maintenance_margin=D("0.01")))
    # In coin: 0.2 - 60000 (1/60000 - 1/p) = 600 / p, so p = 59400 / 0.8.
    point = assess(account, {}, NOW_NS).liquidation["BTC"]
    assert point.direction is Direction.UP
    assert point.price is not None
    assert math.isclose(point.price, D(74250), rel_tol=1e-12)


def test_health_is_margin_balance_over_maintenance_margin_as_the_venue_means_it() -> None:
    row = future(size=D(30000), maintenance_margin=D("0.005"))
    (account,) = read([row], summary(maintenance_margin=D("0.005")))
    assessed = assess(account, {}, NOW_NS)
    assert assessed.health_factor is not None
    assert math.isclose(assessed.health_factor, 100, rel_tol=1e-12)
    assert account.reported is not None
    assert account.reported.equity == D("0.5") * 60000


@given(
    size=st.decimals(min_value=-500000, max_value=500000, places=0).filter(lambda size: abs(size) >= 10),
    balance=st.decimals(min_value="0.5", max_value=40, places=6),
    entry=st.decimals(min_value=20000, max_value=120000, places=1),
    rate=st.decimals(min_value="0.005", max_value="0.05", places=4),
)
def test_at_the_liquidation_price_coins_equal_the_requirement(
    size: Decimal, balance: Decimal, entry: Decimal, rate: Decimal
) -> None:
    mark = D(60000)
    asked = abs(size) * rate / mark
    row = future(size=size, average_price=entry, maintenance_margin=asked)
    (account,) = read([row], summary(margin_balance=balance, maintenance_margin=asked))
    point = assess(account, {}, NOW_NS).liquidation["BTC"]
    if point.price is None or point.distance == 0:
        return
    left = balance + size / mark - size / point.price
    assert math.isclose(left, abs(size) * rate / point.price, rel_tol=1e-9, abs_tol=1e-12)


def test_a_linear_perpetual_is_an_account_of_its_stablecoin() -> None:
    row = future("BTC_USDC-PERPETUAL", D("-0.5"), size_currency=D("-0.5"), maintenance_margin=D(600))
    (account,) = read([row], summary("USDC", margin_balance=D(10000), maintenance_margin=D(600)))
    (position,) = account.positions
    assert (account.name, account.quote, account.collateral) == ("d:USDC", "USDC", ())
    assert (position.asset, position.quantity, position.inverse) == ("BTC", D("-0.5"), False)
    # 10000 - 0.5 (p - 60000) = 0.5 p 2 %
    point = assess(account, {}, NOW_NS).liquidation["BTC"]
    assert point.price is not None
    assert math.isclose(point.price, D(40000) / D("0.51"), rel_tol=1e-12)


def test_two_contracts_on_one_coin_keep_their_own_marks() -> None:
    rows = [future(size=D(30000)), future("BTC-26JUN26", D(-20000), mark_price=D(61500))]
    (account,) = read(rows, summary(maintenance_margin=D("0.002")))
    assert [(each.contract, each.mark_price) for each in account.positions] == [
        ("BTC-PERPETUAL", 60000),
        ("BTC-26JUN26", 61500),
    ]
    assessed = assess(account, {}, NOW_NS)
    assert assessed.health_factor is not None
    assert math.isclose(assessed.health_factor, 250, rel_tol=1e-12)


def test_what_open_orders_ask_beyond_positions_stays_as_it_is() -> None:
    row = future(size=D(30000), maintenance_margin=D("0.005"), open_orders_margin=D("0.01"))
    (account,) = read([row], summary(maintenance_margin=D("0.007")))
    assert account.extra_requirement == D("0.002") * 60000
    assert account.order_margin == D("0.01") * 60000


def test_options_count_as_their_net_delta_and_say_so() -> None:
    rows = [option(size=D(-2), delta="0.6"), option("BTC-25DEC26-80000-C", D(1), "0.4")]
    (account,) = read(rows, summary(model="segregated_pm", options_value=D("-0.1"), maintenance_margin=D("0.2")))
    (position,) = account.positions
    assert (position.asset, position.quantity, position.contract) == ("BTC", 1, "BTC options")
    assert account.mode is MarginMode.PORTFOLIO
    assert "net delta" in account.estimated
    assert "scan" in account.estimated
    assert account.extra_requirement == D("0.2") * 60000
    # The coins are what is left without the options' value, and that value is counted in dollars beside them.
    assert (account.collateral[0].amount, account.balance) == (D("0.6"), D("-0.1") * 60000)
    assessed = assess(account, {}, NOW_NS)
    assert assessed.health_factor is not None
    assert math.isclose(assessed.health_factor, 2.5, rel_tol=1e-12)


def test_a_bought_option_is_no_margin_in_the_standard_model() -> None:
    rows = [option(size=D(-2), delta="0.6"), option("BTC-25DEC26-80000-C", D(1), "0.4")]
    (account,) = read(rows, summary(maintenance_margin=D("0.2")))
    assert [position.quantity for position in account.positions] == [D("0.6")]
    assert account.balance == 0


def test_an_option_without_a_delta_makes_the_account_unknown() -> None:
    row = option()
    del row["delta"]
    (account,) = read([row], summary(maintenance_margin=D("0.2")))
    assert "no delta of BTC-25DEC26-50000-P: liquidation unknown" in account.degraded
    assert assess(account, {}, NOW_NS).severity is Severity.UNKNOWN


@pytest.mark.parametrize("lost", ["margin_balance", "maintenance_margin"])
def test_a_summary_without_a_figure_makes_the_account_unknown(lost: str) -> None:
    short = summary()
    del short[lost]
    (account,) = read([future()], short)
    assert any("liquidation unknown" in reason for reason in account.degraded)
    assert assess(account, {}, NOW_NS).severity is Severity.UNKNOWN


def test_positions_in_a_currency_without_a_summary_are_shown_as_unknown() -> None:
    (account,) = read([future("ETH-PERPETUAL")])
    assert account.name == "d:ETH"
    assert assess(account, {}, NOW_NS).severity is Severity.UNKNOWN


def test_currencies_back_each_other_when_they_are_cross() -> None:
    rows = [future(size=D(30000), maintenance_margin=D("0.005"))]
    totals = {"total_margin_balance_usd": D(45000), "total_maintenance_margin_usd": D(300)}
    (account,) = read(
        rows,
        summary(model="cross_sm", **totals),
        summary("USDC", "cross_sm", equity=D(20000), **totals),
        summary("ETH", "cross_sm", equity=D(0), margin_balance=None, maintenance_margin=None, initial_margin=None),
        indexes={"USDC": D("0.999"), "BTC": D(60010)},
    )
    assert (account.name, account.quote) == ("d", "USD")
    assert {leg.asset for leg in account.collateral} == {"BTC", "USDC"}
    assessed = assess(account, {}, NOW_NS)
    assert assessed.health_factor is not None
    assert math.isclose(assessed.health_factor, 150, rel_tol=1e-9)
    assert "haircuts" in account.estimated


def test_nothing_held_is_one_empty_account() -> None:
    (account,) = read([], summary(equity=D(0), margin_balance=D(0), maintenance_margin=D(0), initial_margin=D(0)))
    assert (account.name, account.positions) == ("d", ())


def test_a_margin_model_of_a_new_kind_is_named() -> None:
    (account,) = read([future()], summary(model="hyper_sm"))
    assert "margin model of a new kind: taken as segregated" in account.degraded


def test_no_liquidation_price_is_none_and_not_zero() -> None:
    row = future(estimated_liquidation_price=0)
    (account,) = read([row], summary(model="segregated_pm"))
    assert account.positions[0].venue_liquidation_price is None


# What nobody should believe.


@pytest.mark.parametrize(
    "fields",
    [
        {"mark_price": "NaN"},
        {"mark_price": -1},
        {"average_price": "Infinity"},
        {"maintenance_margin": -1},
        {"direction": "sideways"},
        {"size": "1e60"},
        {"size": None},
        {"instrument_name": 5},
    ],
)
def test_a_position_that_cannot_be_is_malformed(fields: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_positions(raw([future() | fields]))


@pytest.mark.parametrize("method", ["/private/get_positions", "/private/get_account_summary", "/public/ticker"])
def test_a_truncated_reply_is_malformed(method: str) -> None:
    parse = {"positions": parse_positions, "account_summary": parse_summary, "ticker": parse_ticker}[
        method.rpartition("/")[2].removeprefix("get_")
    ]
    whole = documented(method)
    parse(whole)
    for length in range(0, len(whole) - 1, 7):
        with pytest.raises(Malformed):
            parse(whole[:length])


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_malformed(noise: bytes) -> None:
    for parse in (parse_positions, parse_summaries, parse_summary, parse_ticker, parse_token):
        with pytest.raises(Malformed):
            parse(noise)
    assert problem_of(noise) is None


def test_empty_and_combo_rows_hold_nothing() -> None:
    rows = [
        future(size=0),
        future() | {"direction": "zero"},
        future() | {"kind": "future_combo", "instrument_name": "BTC-FS-27SEP24_PERP"},
        {"instrument_name": "BTC_USDC", "kind": "spot", "size": 1, "direction": "buy"},
    ]
    assert parse_positions(raw(rows)) == ()


# Signatures, scopes and refusals.

KEY = Credentials("account d", lambda: "test_api_key", lambda: "test_secret")


def test_a_request_is_signed_exactly_as_ccxt_signed_it() -> None:
    call = private_call("private/get_positions", {"currency": "BTC"}, KEY, 1700000000000, "1700000000000")
    assert (call.method, call.path, call.query) == ("GET", "/api/v2/private/get_positions", "currency=BTC")
    assert call.headers["Authorization"] == (
        "deri-hmac-sha256 id=test_api_key,ts=1700000000000,"
        "sig=ee5682626a027222f058ef4f7ed2b109c696421870b94f7ab2573dbdcb7fc55b,nonce=1700000000000"
    )


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("get_positions", {"currency": "any"}),
        ("get_account_summaries", {"extended": "true"}),
        (
            "submit_transfer_between_subaccounts",
            {"currency": "BTC", "amount": "0.1", "destination": "10", "source": "7"},
        ),
        ("buy", {"instrument_name": "BTC_USDC-PERPETUAL", "amount": "0.5", "label": "a b&c", "reduce_only": "true"}),
    ],
)
def test_ccxt_agrees_in_every_field(method: str, params: dict[str, str]) -> None:
    import ccxt

    class Fixed(ccxt.deribit):
        def nonce(self) -> int:
            return 1700000000001

        def milliseconds(self) -> int:
            return 1700000000002

    theirs = Fixed({"apiKey": "test_api_key", "secret": "test_secret"}).sign(method, ["private"], "GET", params)
    ours = private_call(f"private/{method}", params, KEY, 1700000000002, "1700000000001")
    assert theirs["url"].endswith(f"{ours.path}?{ours.query}")
    assert (theirs["method"], theirs["body"], theirs["headers"]) == (ours.method, ours.content, dict(ours.headers))


def test_a_log_in_signs_time_nonce_and_data_and_shows_no_secret() -> None:
    import hashlib
    import hmac

    asked = log_in(KEY, 1700000000000, "abc")
    wanted = hmac.new(b"test_secret", b"1700000000000\nabc\n", hashlib.sha256).hexdigest()
    assert asked["signature"] == wanted
    assert "test_secret" not in str(asked)


def test_scopes_that_write_also_read_and_wallets_are_spelled_twice() -> None:
    scopes = frozenset(["account:read", "trade:read_write", "wallets:read_write"])
    assert allows(scopes, "account:read")
    assert allows(scopes, "trade:read")
    assert allows(scopes, "wallet:read_write")
    assert not allows(scopes, "account:read_write")
    assert not allows(frozenset(), "trade:read")


@pytest.mark.parametrize(
    ("code", "words", "status", "kind"),
    [
        (10028, "too_many_requests", 429, RateLimited),
        (13009, "unauthorized", 400, Unauthorised),
        (13004, "invalid_credentials", 400, Unauthorised),
        (13021, "forbidden", 403, Unauthorised),
        (10001, "invalid_credentials", 400, Unauthorised),
        (13028, "temporarily_unavailable", 400, Unreachable),
        (13888, "timed_out", 400, Unreachable),
        (10009, "not_enough_funds", 400, Refused),
        (-32602, "Invalid params", 400, Refused),
    ],
)
def test_the_venues_codes_become_errors_that_callers_act_on(
    code: int, words: str, status: int, kind: type[ProviderError]
) -> None:
    body = dumps({"error": {"code": code, "message": words, "data": {"reason": "why"}}}).encode()
    error = judge(KEY)("GET /api/v2/private/get_positions", status, body)
    assert type(error) is kind
    assert words in error.detail
    if kind is Unauthorised:
        assert "_key" in error.detail
        assert "trade:read" in error.detail


def test_a_tokens_repr_holds_no_secret() -> None:
    token = parse_token(documented("/public/auth"))
    assert token.refresh_token
    assert token.refresh_token not in repr(token)


# Options and order books.


def listed(name: str, **fields: Any) -> dict[str, Any]:
    return {
        "instrument_name": name,
        "kind": "option",
        "option_type": "put" if name.endswith("P") else "call",
        "strike": D(50000),
        "expiration_timestamp": NOW_NS // 1_000_000 + 86_400_000,
        "min_trade_amount": D("0.1"),
        "base_currency": "BTC",
        "quote_currency": "BTC",
        "settlement_currency": "BTC",
        "instrument_type": "reversed",
        "is_active": True,
        "state": "open",
    } | fields


def test_an_inverse_option_is_priced_in_dollars_at_its_underlying() -> None:
    (one,) = parse_instruments(raw([listed("BTC-25DEC26-50000-P")]), NOW_NS)
    row = {
        "instrument_name": "BTC-25DEC26-50000-P",
        "bid_price": D("0.03"),
        "ask_price": None,
        "mark_price": D("0.0312"),
        "mark_iv": D("55.5"),
        "underlying_price": D("60100.5"),
    }
    (quote,) = parse_quotes(raw([row]), [one], NOW_NS)
    assert (quote.right, quote.strike, quote.quote, quote.is_inverse) == (Right.PUT, 50000, "USD", True)
    assert quote.bid == D("0.03") * D("60100.5")
    assert quote.mark == D("0.0312") * D("60100.5")
    assert quote.ask is None
    assert (quote.mark_volatility, quote.lot) == (D("0.555"), D("0.1"))


def test_a_linear_option_is_priced_as_it_is_quoted() -> None:
    name = "BTC_USDC-25DEC26-50000-C"
    fields = {"settlement_currency": "USDC", "quote_currency": "USDC", "instrument_type": "linear"}
    (one,) = parse_instruments(raw([listed(name, **fields)]), NOW_NS)
    row = {"instrument_name": name, "bid_price": D(9000), "ask_price": D(9100), "underlying_price": D(60000)}
    (quote,) = parse_quotes(raw([row]), [one], NOW_NS)
    assert (quote.underlying, quote.quote, quote.bid, quote.ask) == ("BTC", "USDC", 9000, 9100)
    assert quote.mark_volatility is None


def test_what_does_not_trade_or_has_no_underlying_is_left_out() -> None:
    rows = [
        listed("BTC-1-50000-P", expiration_timestamp=NOW_NS // 1_000_000 - 1),
        listed("BTC-2-50000-P", state="closed"),
        listed("BTC-3-50000-P", is_active=False),
        listed("BTC-4-50000-P", strike=None),
        listed("BTC-5-50000-P"),
    ]
    (one,) = parse_instruments(raw(rows), NOW_NS)
    assert one.name == "BTC-5-50000-P"
    assert parse_quotes(raw([]), [one], NOW_NS) == ()
    assert parse_instruments(documented("/public/get_instruments"), NOW_NS) == ()


def test_the_documented_book_summary_is_priced_at_its_underlying() -> None:
    (one,) = parse_instruments(raw([listed("ETH-22FEB19-140-P", base_currency="ETH", strike=D(140))]), NOW_NS)
    (quote,) = parse_quotes(documented("/public/get_book_summary_by_currency"), [one], NOW_NS)
    assert (quote.bid, quote.ask) == (D("0.1488") * D("121.38"), D("0.34") * D("121.38"))


def test_an_inverse_book_is_in_coins_and_sorted_from_the_best() -> None:
    reply = {"bids": [[D(59000), D(59000)], [D(60000), D(30000)]], "asks": [[D(60100), D(60100)]]}
    book = parse_depth(raw(reply), "BTC-PERPETUAL", NOW_NS)
    assert [(level.price, level.quantity) for level in book.bids] == [(60000, D("0.5")), (59000, 1)]
    assert (book.asset, book.quote, book.asks[0].quantity) == ("BTC", "USD", 1)


def test_books_of_options_and_linear_contracts_are_in_their_own_units() -> None:
    reply = {"bids": [[D("0.03"), D(2)]], "asks": [], "underlying_price": D(60000)}
    assert parse_depth(raw(reply), "BTC-25DEC26-50000-P", NOW_NS).bids[0].price == D("0.03") * 60000
    linear = parse_depth(raw({"bids": [], "asks": [[D(3000), D(4)]]}), "ETH_USDC-PERPETUAL", NOW_NS)
    assert (linear.asks[0].quantity, linear.quote) == (4, "USDC")
    with pytest.raises(Malformed):
        parse_depth(raw({"bids": [[D(-1), D(4)]], "asks": []}), "ETH_USDC-PERPETUAL", NOW_NS)
