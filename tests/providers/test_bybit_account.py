"""Bybit unified accounts: documented rows, tiers in percent or in fractions, hedge mode, inverse contracts, weights."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import Account, MarginMode
from engine.assess import assess
from engine.assessment import Direction, Severity
from providers.bybit_account import markets as rules
from providers.bybit_account.accounts import Picture, accounts
from providers.bybit_account.markets import Contract, Price
from providers.bybit_account.signing import judge_for, login, sign
from providers.bybit_account.source import signed_reads, transport
from providers.bybit_account.watch import Changed, parse_private
from providers.bybit_account.wire import (
    AccountMode,
    Held,
    parse_key,
    parse_mode,
    parse_positions,
    parse_wallet,
)
from providers.credentials import Credentials
from providers.errors import ConfigError, Malformed, RateLimited, Refused, Unauthorised, Unreachable
from providers.http import Call
from providers.ports import AccountOptions
from providers.ws import Signal, SignalKind
from tests.bybit_server import coin, row

SIGNATURES = json.loads((Path(__file__).parents[1] / "fixtures" / "bybit" / "signatures.json").read_text())
NOW_MS = 1_700_000_000_000
BTC = Contract("BTCUSDT", "linear", "BTC", "USDT", "USDT", Decimal("0.1"), Decimal("0.001"), None, Decimal(8))
INVERSE = Contract("BTCUSD", "inverse", "BTC", "USD", "BTC", Decimal("0.1"), Decimal(1), None, Decimal(8))
LIMITS = [
    {"symbol": "BTCUSDT", "riskLimitValue": "2000000", "maintenanceMargin": "0.005", "mmDeduction": ""},
    {"symbol": "BTCUSDT", "riskLimitValue": "10000000", "maintenanceMargin": "0.01", "mmDeduction": "10000"},
]


def ok(result: object) -> bytes:
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": result, "retExtInfo": {}, "time": NOW_MS}).encode()


def positions(*rows: dict[str, Any], category: str = "linear") -> tuple[Held, ...]:
    return parse_positions(ok({"category": category, "nextPageCursor": "", "list": list(rows)}), category)[0]


def wallet(*coins: dict[str, Any], **totals: str) -> Any:
    return parse_wallet(ok({"list": [{"accountType": "UNIFIED", "coin": list(coins)} | totals]}))


def picture(mode: AccountMode, held: tuple[Held, ...], purse: Any, **more: Any) -> Picture:
    known = {
        "contracts": {"BTCUSDT": BTC, "BTCUSD": INVERSE},
        "tiers": {
            "BTCUSDT": rules.parse_tiers(ok({"list": LIMITS}), "BTCUSDT"),
            "BTCUSD": rules.parse_tiers(
                ok({"list": [LIMITS[0] | {"symbol": "BTCUSD", "riskLimitValue": "150"}]}), "BTCUSD"
            ),
        },
        "fees": {"BTCUSDT": Decimal(0), "BTCUSD": Decimal(0)},
        "weights": {"BTC": [(Decimal(0), Decimal("0.95"))], "USDC": [(Decimal(0), Decimal(1))]},
    }
    return Picture(mode, purse, held, **(known | more))


def credentials() -> Credentials:
    return Credentials("bb", lambda: "test_api_key", lambda: "test_secret")


# signing


def test_signatures_are_the_documented_ones() -> None:
    known = SIGNATURES["documented"]
    get = sign(credentials(), NOW_MS, "GET", "/v5/position/list", known["get_query"], None)
    post = sign(credentials(), NOW_MS, "POST", "/v5/order/create", "", known["post_body"].encode())
    assert get.headers["X-BAPI-SIGN"] == known["get_sign"]
    assert post.headers["X-BAPI-SIGN"] == known["post_sign"]


def test_an_error_that_repeats_what_was_signed_does_not_tell_the_key() -> None:
    said = "error sign! origin_string[1675411117882test_api_key5000accountType=UNIFIED]"
    body = json.dumps({"retCode": 10004, "retMsg": said, "result": {}}).encode()
    found = str(judge_for(credentials())("GET /v5/account/info", 200, body))
    assert "10004 error sign!" in found
    assert "test_api_key" not in found


def test_the_websocket_log_in_signs_its_own_expiry() -> None:
    said = json.loads(login(credentials(), int(SIGNATURES["documented"]["ws_expires"]) - 10_000))
    assert said["args"] == ["test_api_key", NOW_MS, SIGNATURES["documented"]["ws_sign"]]


@pytest.mark.parametrize("name", SIGNATURES["requests"])
def test_requests_are_those_that_were_recorded(name: str) -> None:
    wanted = SIGNATURES["requests"][name]
    method, path = name.split()
    query = wanted["url"].partition("?")[2]
    body = None if wanted["body"] is None else wanted["body"].encode()
    call = sign(credentials(), NOW_MS, method, path, query, body)
    assert {key: value for key, value in wanted["headers"].items() if key != "Referer"} == dict(call.headers)


def test_a_secret_shows_in_no_repr_of_a_signed_request() -> None:
    call = sign(credentials(), NOW_MS, "GET", "/v5/account/info", "a=1", None)
    assert isinstance(call, Call)
    assert "test_secret" not in repr(call)
    assert "test_api_key" not in repr(call)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (10002, Refused),
        (10003, Unauthorised),
        (10004, Unauthorised),
        (10005, Unauthorised),
        (10010, Unauthorised),
        (33004, Unauthorised),
        (10006, RateLimited),
        (10018, RateLimited),
        (10429, RateLimited),
        (20003, RateLimited),
        (10000, Unreachable),
        (10016, Unreachable),
        (110012, Refused),
        (110015, Refused),
        (999999, Refused),
    ],
)
def test_codes_of_the_venue_mean_what_the_documentation_says(code: int, kind: type[Exception]) -> None:
    body = json.dumps({"retCode": code, "retMsg": "some words", "result": {}}).encode()
    found = judge_for(credentials())("GET /v5/position/list", 200, body)
    assert type(found) is kind or (code == 10002 and isinstance(found, Refused))


def test_a_key_error_says_which_key_and_what_to_do_and_shows_no_secret() -> None:
    body = json.dumps({"retCode": 10005, "retMsg": "Permission denied", "result": {}}).encode()
    said = str(judge_for(credentials())("POST /v5/position/add-margin", 200, body))
    assert "_key lacks a permission" in said
    assert "test_api_key" not in said


def test_403_stops_for_ten_minutes() -> None:
    found = judge_for(credentials())("GET /v5/account/info", 403, b"<html>access too frequent</html>")
    assert isinstance(found, RateLimited)
    assert found.retry_after_s == 600


def test_a_missing_secret_is_named() -> None:
    options = AccountOptions("bb", "bybit", credentials=Credentials("bb", lambda: "k"))
    with pytest.raises(ConfigError, match="bb: bybit needs secret"):
        signed_reads(options, transport(AccountOptions("bb", "bybit")))


# rows


def test_the_documented_row_is_read() -> None:
    documented = {
        "positionIdx": 0,
        "riskId": 1,
        "riskLimitValue": "150",
        "symbol": "BTCUSD",
        "side": "Sell",
        "size": "300",
        "avgPrice": "27464.50441675",
        "positionValue": "0.01092319",
        "positionStatus": "Normal",
        "autoAddMargin": 1,
        "adlRankIndicator": 2,
        "leverage": "10",
        "markPrice": "28224.50",
        "liqPrice": "",
        "positionMM": "0.0000015",
        "positionIM": "0.00010923",
        "seq": 5723621632,
    }
    (held,) = positions(documented, category="inverse")
    assert held.size == -300
    assert held.entry_price == Decimal("27464.50441675")
    assert held.liquidation_price is None
    assert held.maintenance == Decimal("0.0000015")
    assert held.adl_rank == 2
    assert held.category == "inverse"


def test_numbers_may_be_bare_unknown_fields_pass_and_missing_ones_are_none() -> None:
    bare = {
        "symbol": "BTCUSDT",
        "side": "Buy",
        "size": 0.5,
        "avgPrice": 60000.1,
        "positionIdx": "1",
        "novelty": {"a": [1]},
    }
    (held,) = positions(bare)
    assert (held.size, held.entry_price, held.side_index) == (Decimal("0.5"), Decimal("60000.1"), 1)
    assert held.mark_price is None
    assert held.maintenance is None


def test_the_websocket_spelling_of_the_entry_price_is_understood() -> None:
    pushed = row("BTCUSDT", "Buy", "1", "", "60000") | {"entryPrice": "59000", "liqPrice": "0"}
    (held,) = positions(pushed)
    assert held.entry_price == 59000
    assert held.liquidation_price is None


def test_empty_rows_are_no_positions() -> None:
    empty = row("BTCUSDT", "", "0", "0", "28184.5", positionIdx=2)
    assert positions(empty, row("ETHUSDT", "None", "0", "0", "0")) == ()


@pytest.mark.parametrize("size", ["NaN", "Infinity", "-1", "1e400", "one", "0x10"])
def test_a_size_that_is_no_amount_is_malformed(size: str) -> None:
    with pytest.raises(Malformed):
        positions(row("BTCUSDT", "Buy", size, "60000", "60000"))


@pytest.mark.parametrize("field", ["avgPrice", "markPrice", "liqPrice", "positionIM", "positionMM"])
def test_a_negative_price_or_margin_is_malformed(field: str) -> None:
    with pytest.raises(Malformed):
        positions(row("BTCUSDT", "Buy", "1", "60000", "60000") | {field: "-5"})


@pytest.mark.parametrize(
    "raw", [b"", b'{"retCode":0,"result":{"list":[{"symbol"', b"[]", b"null", b"\xff\xfe", b'{"retCode":0}']
)
def test_truncated_and_foreign_replies_are_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_positions(raw, "linear")
    with pytest.raises(Malformed):
        parse_wallet(raw)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_break_the_parsers(raw: bytes) -> None:
    for parse in (parse_wallet, parse_mode, parse_key, rules.parse_weights, rules.parse_book, parse_private):
        try:
            parse(raw)
        except Malformed:
            continue


def test_a_margin_mode_of_a_new_kind_is_malformed_not_guessed() -> None:
    with pytest.raises(Malformed, match="BASKET"):
        parse_mode(ok({"marginMode": "BASKET_MARGIN"}))


# tiers and weights


def test_a_risk_limit_in_percent_is_the_same_as_in_fractions() -> None:
    share = [
        {
            "symbol": "B",
            "riskLimitValue": "150",
            "maintenanceMargin": "0.005",
            "initialMargin": "0.01",
            "maxLeverage": "100",
        },
        {
            "symbol": "B",
            "riskLimitValue": "300",
            "maintenanceMargin": "0.01",
            "initialMargin": "0.02",
            "maxLeverage": "50",
        },
    ]
    percent = [
        one | {"maintenanceMargin": rate, "initialMargin": i}
        for one, rate, i in zip(share, ("0.5", "1"), ("1", "2"), strict=True)
    ]
    bare = [{key: value for key, value in one.items() if key[:3] in ("sym", "ris", "mai")} for one in percent]
    expected = rules.parse_tiers(ok({"list": share}), "B")
    assert rules.parse_tiers(ok({"list": percent}), "B") == expected
    assert rules.parse_tiers(ok({"list": bare}), "B") == expected
    assert [tier.maintenance_rate for tier in expected] == [Decimal("0.005"), Decimal("0.01")]


def test_a_high_rate_of_a_risky_contract_is_no_percentage() -> None:
    risky = [
        {"symbol": "B", "riskLimitValue": "10", "maintenanceMargin": "0.25", "initialMargin": "0.5", "maxLeverage": "2"}
    ]
    assert rules.parse_tiers(ok({"list": risky}), "B")[0].maintenance_rate == Decimal("0.25")


def test_deductions_are_the_venues_and_computed_where_it_leaves_them_out() -> None:
    told = rules.parse_tiers(ok({"list": LIMITS}), "BTCUSDT")
    silent = rules.parse_tiers(ok({"list": [one | {"mmDeduction": ""} for one in LIMITS]}), "BTCUSDT")
    assert told == silent
    assert told[1].deduction == 10_000


@given(st.decimals("0.001", "1000000", places=3))
def test_a_tiered_weight_lies_between_its_tiers_and_counts_each_part(amount: Decimal) -> None:
    tiers = [(Decimal(0), Decimal("0.95")), (Decimal(10), Decimal("0.9")), (Decimal(100), Decimal(0))]
    weight = rules.weight_of(tiers, amount)
    by_hand = min(amount, Decimal(10)) * Decimal("0.95") + max(min(amount, Decimal(100)) - 10, Decimal(0)) * Decimal(
        "0.9"
    )
    assert 0 <= weight <= Decimal("0.95")
    assert abs(weight * amount - by_hand) < Decimal("1e-15")


def test_a_delta_leaves_what_it_does_not_tell() -> None:
    first = Price("BTCUSDT", Decimal(60000), Decimal(60010), Decimal("0.1"), 5)
    frame = {"topic": "tickers.BTCUSDT", "type": "delta", "data": {"symbol": "BTCUSDT", "markPrice": "60001"}}
    delta = rules.parse_pushed_price(json.dumps(frame).encode(), {"BTCUSDT": Decimal(8)})
    assert delta is not None
    assert delta.over(first) == replace(first, mark_price=Decimal(60001))


# accounts


def only(found: tuple[Account, ...]) -> Account:
    (account,) = found
    return account


def test_an_isolated_long_is_liquidated_where_the_venue_says() -> None:
    held = positions(row("BTCUSDT", "Buy", "1", "20000", "20000", positionIM="400", liqPrice="19700", leverage="50"))
    _, account = accounts("bb", picture(AccountMode.ISOLATED, held, wallet(coin("USDT", "5000"))))
    point = assess(account, {}, 0).liquidation["BTC"]
    assert account.name == "bb:BTCUSDT"
    assert account.mode is MarginMode.ISOLATED
    assert point.direction is Direction.DOWN
    assert point.price is not None
    assert abs(point.price - 19700) < Decimal("1e-6")
    # The help centre's example: maintenance 0.5 % of 20,000 there, of 19,700 at the mark's own price here.
    assert account.balance == Decimal("398.5")


def test_maintenance_holds_the_fee_of_closing_at_the_bankruptcy_price() -> None:
    held = positions(
        row("BTCUSDT", "Sell", "1", "60000", "60000", leverage="10"),
        row("BTCUSDT", "Buy", "1", "60000", "60000", leverage="10", positionIdx=1),
    )
    taker = {"BTCUSDT": Decimal("0.00055")}
    account = only(accounts("bb", picture(AccountMode.CROSS, held, wallet(coin("USDT", "9000")), fees=taker)))
    assert [each.fee_rate for each in account.positions] == [Decimal("0.000605"), Decimal("0.000495")]
    assert assess(account, {}, 0).maintenance_requirement == 60000 * (Decimal("0.01") + Decimal("0.0011"))


def test_an_isolated_inverse_position_has_its_margin_in_the_coin_and_the_venues_price() -> None:
    held = positions(
        row("BTCUSD", "Sell", "30000", "60000", "60000", positionIM="0.05", liqPrice="65000"), category="inverse"
    )
    _, account = accounts("bb", picture(AccountMode.ISOLATED, held, wallet(coin("BTC", "1", "60000"))))
    point = assess(account, {}, 0).liquidation["BTC"]
    assert (account.quote, account.positions[0].inverse, account.collateral[0].asset) == ("USD", True, "BTC")
    assert account.positions[0].quantity == Decimal("-0.5")
    assert point.price is not None
    assert abs(point.price - 65000) < Decimal("1e-6")
    assert point.direction is Direction.UP


@given(
    size=st.decimals("0.001", "40", places=3),
    entry=st.decimals("20000", "90000", places=1),
    gap=st.decimals("0.005", "0.5", places=4),
    is_long=st.booleans(),
    is_inverse=st.booleans(),
)
def test_any_isolated_position_is_liquidated_where_the_venue_says(
    size: Decimal, entry: Decimal, gap: Decimal, is_long: bool, is_inverse: bool
) -> None:
    mark = Decimal(60000)
    limit = mark * (1 - gap if is_long else 1 + gap)
    told = {"liqPrice": f"{limit:f}", "leverage": "25"}
    symbol, quantity = ("BTCUSD", f"{size * 10000:f}") if is_inverse else ("BTCUSDT", f"{size:f}")
    rows = positions(
        row(symbol, "Buy" if is_long else "Sell", quantity, f"{entry:f}", "60000", **told),
        category="inverse" if is_inverse else "linear",
    )
    taker = dict.fromkeys(("BTCUSD", "BTCUSDT"), Decimal("0.00055"))
    _, account = accounts("bb", picture(AccountMode.ISOLATED, rows, wallet(), fees=taker))
    point = assess(account, {}, 0).liquidation["BTC"].price
    assert point is not None
    assert abs(point - limit) < Decimal("1e-6")


def test_an_isolated_position_without_any_margin_told_is_unknown_and_never_safe() -> None:
    held = positions(row("BTCUSDT", "Buy", "1", "20000", "20000"))
    _, account = accounts("bb", picture(AccountMode.ISOLATED, held, wallet()))
    assessed = assess(account, {}, 0)
    assert assessed.severity is Severity.UNKNOWN
    assert any("margin of BTCUSDT not told" in why for why in account.degraded)


def test_both_sides_of_hedge_mode_are_accounts_of_their_own() -> None:
    held = positions(
        row("BTCUSDT", "Buy", "1", "60000", "60000", positionIdx=1, liqPrice="55000"),
        row("BTCUSDT", "Sell", "0.4", "61000", "60000", positionIdx=2, liqPrice="66000"),
    )
    names = [each.name for each in accounts("bb", picture(AccountMode.ISOLATED, held, wallet(coin("USDT", "1"))))]
    assert names == ["bb", "bb:BTCUSDT-LONG", "bb:BTCUSDT-SHORT"]


def test_in_cross_margin_both_sides_net_against_each_other() -> None:
    held = positions(
        row("BTCUSDT", "Buy", "1", "60000", "60000", positionIdx=1),
        row("BTCUSDT", "Sell", "1", "60000", "60000", positionIdx=2),
    )
    account = only(accounts("bb", picture(AccountMode.CROSS, held, wallet(coin("USDT", "1000")))))
    assessed = assess(account, {}, 0)
    assert assessed.maintenance_requirement == 600
    assert assessed.liquidation["BTC"].direction is Direction.UP


def test_coins_back_a_cross_account_at_their_ratio_and_what_is_borrowed_is_owed() -> None:
    purse = wallet(
        coin("USDT", "1000"), coin("BTC", "1", "60000"), coin("USDC", "0", "-500", equity="-500", spotBorrow="500")
    )
    held = positions(row("BTCUSDT", "Buy", "1", "60000", "60000"))
    account = only(accounts("bb", picture(AccountMode.CROSS, held, purse, borrow_rates={"USDC": Decimal("0.0876")})))
    assessed = assess(account, {}, 0)
    assert account.quote == "USDT"
    assert [(leg.asset, leg.liquidation_threshold) for leg in account.collateral] == [("BTC", Decimal("0.95"))]
    assert [(leg.asset, leg.amount, leg.borrow_rate) for leg in account.debt] == [("USDC", 500, Decimal("0.0876"))]
    assert assessed.equity == 60_500
    assert assessed.health_factor == Decimal(1000 + 57000 - 500) / 300


def test_a_coin_that_is_switched_off_backs_nothing() -> None:
    purse = wallet(coin("USDT", "1000"), coin("BTC", "1", "60000", collateralSwitch=False), totalMarginBalance="1000")
    account = only(
        accounts("bb", picture(AccountMode.CROSS, positions(row("BTCUSDT", "Buy", "1", "60000", "60000")), purse))
    )
    assert account.collateral == ()
    assert account.reported is not None
    # Whether the venue's total holds such coins is not documented: it is not compared.
    assert account.reported.equity is None


def test_a_coin_whose_ratio_is_unread_makes_health_the_venues_word() -> None:
    purse = wallet(
        coin("USDT", "1000"),
        coin("SOL", "10", "1500"),
        totalMarginBalance="2500",
        totalMaintenanceMargin="300",
        accountMMRate="0.12",
    )
    account = only(
        accounts("bb", picture(AccountMode.CROSS, positions(row("BTCUSDT", "Buy", "1", "60000", "60000")), purse))
    )
    assessed = assess(account, {}, 0)
    assert any("collateral weight of SOL unread" in why for why in account.degraded)
    assert assessed.health_factor is not None
    assert abs(assessed.health_factor - Decimal(1) / Decimal("0.12")) < Decimal("1e-20")


def test_the_rounded_rate_of_a_safe_account_is_not_believed() -> None:
    purse = wallet(coin("USDT", "90042"), totalMarginBalance="90042", totalMaintenanceMargin="7.388", accountMMRate="0")
    account = only(
        accounts("bb", picture(AccountMode.CROSS, positions(row("BTCUSDT", "Buy", "0.02", "60000", "60000")), purse))
    )
    assert account.reported is not None
    assert account.reported.health_factor is None
    assert account.reported.equity == 90042


def test_figures_of_the_venue_are_carried_to_marks_that_came_after_them() -> None:
    purse = wallet(coin("USDT", "5000"), totalMarginBalance="5000", totalMaintenanceMargin="300", accountMMRate="0.06")
    held = positions(row("BTCUSDT", "Buy", "1", "60000", "60000", positionMM="300"))
    pushed = {"BTCUSDT": Price("BTCUSDT", Decimal(58000))}
    account = only(accounts("bb", picture(AccountMode.CROSS, held, purse, prices=pushed)))
    assert account.reported is not None
    assert account.reported.equity == 3000
    assert account.reported.maintenance_requirement == 290
    assert assess(account, {}, 0).degraded == ()


def test_maintenance_that_no_position_explains_is_kept() -> None:
    purse = wallet(coin("USDT", "5000"), totalMarginBalance="5000", totalMaintenanceMargin="550")
    held = positions(row("BTCUSDT", "Buy", "1", "60000", "60000", positionMM="300"))
    account = only(accounts("bb", picture(AccountMode.CROSS, held, purse)))
    assert account.extra_requirement == 250
    assert assess(account, {}, 0).maintenance_requirement == 550


def test_portfolio_margin_has_directions_and_no_liquidation_price_of_the_venue() -> None:
    purse = wallet(coin("USDT", "5000"), totalMarginBalance="5000", totalMaintenanceMargin="2500", accountMMRate="0.5")
    held = positions(row("BTCUSDT", "Buy", "1", "60000", "60000", liqPrice="", leverage=""))
    account = only(accounts("bb", picture(AccountMode.PORTFOLIO, held, purse, tiers={})))
    assessed = assess(account, {}, 0)
    assert account.mode is MarginMode.PORTFOLIO
    assert assessed.health_factor == 2
    assert abs(assessed.directions["BTC alone"] + Decimal(2500) / 60000) < Decimal("1e-20")
    assert "constant" in account.estimated
    assert assessed.severity is not Severity.SAFE


def test_an_inverse_position_in_cross_margin_owes_its_face() -> None:
    held = positions(row("BTCUSD", "Buy", "60000", "60000", "60000", positionMM="0.005"), category="inverse")
    purse = wallet(coin("BTC", "0.2", "12000"))
    account = only(accounts("bb", picture(AccountMode.CROSS, held, purse)))
    assessed = assess(account, {}, 0)
    assert account.quote == "USD"
    assert assessed.maintenance_requirement == 300
    point = assessed.liquidation["BTC"].price
    assert point is not None
    # 0.19 p + (p - 60,000) = 300
    assert abs(point - Decimal(60300) / Decimal("1.19")) < Decimal("1e-6")


def test_a_liquidation_under_way_is_said() -> None:
    held = positions(row("BTCUSDT", "Buy", "1", "60000", "60000", positionStatus="Liq"))
    account = only(accounts("bb", picture(AccountMode.CROSS, held, wallet(coin("USDT", "310")))))
    assert "BTCUSDT: the venue is liquidating it" in account.degraded
    assert account.reported is not None
    assert account.reported.status == "Liq"


def test_unread_risk_limits_are_unknown_not_zero() -> None:
    held = positions(row("BTCUSDT", "Buy", "1", "60000", "60000"))
    account = only(accounts("bb", picture(AccountMode.CROSS, held, wallet(coin("USDT", "5000")), tiers={})))
    assert assess(account, {}, 0).severity is Severity.UNKNOWN
    assert "risk limits of BTCUSDT unread: maintenance unknown" in account.degraded


# frames


def test_private_frames_log_in_subscribe_and_tell_changes() -> None:
    alive, answer = parse_private(b'{"success":true,"ret_msg":"","op":"auth","conn_id":"c"}')
    assert isinstance(answer, Signal)
    assert (alive, answer.kind) == (Signal(SignalKind.ALIVE), SignalKind.ANSWER)
    assert json.loads(answer.texts[0]) == {"op": "subscribe", "args": ["position", "wallet"]}
    (refused,) = parse_private(b'{"success":false,"ret_msg":"Params Error","op":"auth"}')
    assert isinstance(refused, Signal)
    assert refused.kind is SignalKind.REJECTED
    assert parse_private(b'{"op":"pong","args":["1"]}') == (Signal(SignalKind.ALIVE),)
    assert parse_private(b'{"topic":"position.linear","data":[]}') == (Changed("position.linear"),)
    assert parse_private(b'{"topic":"order","data":[]}') == ()


def test_an_order_book_of_an_inverse_contract_is_told_in_coins() -> None:
    raw = ok({"s": "BTCUSD", "b": [["50000", "25000"]], "a": [["60000", "30000"], ["0", "1"]]})
    bids, asks = rules.parse_book(raw, is_inverse=True)
    assert (bids[0].quantity, asks[0].quantity, len(asks)) == (Decimal("0.5"), Decimal("0.5"), 1)


def test_permissions_tell_withdrawal() -> None:
    may = parse_key(ok({"readOnly": 0, "permissions": {"Wallet": ["AccountTransfer", "Withdraw"], "Options": None}}))
    assert may.may_withdraw
    assert not parse_key(ok({"readOnly": 1, "permissions": {"Wallet": ["Withdraw"]}})).may_withdraw
