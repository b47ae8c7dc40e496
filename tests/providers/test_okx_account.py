"""OKX trading accounts: recorded and documented rows, levels, sides, inverse contracts, contract sizes, discounts."""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import MarginMode
from engine.assess import assess
from engine.assessment import Direction, Severity
from providers.credentials import Credentials
from providers.errors import ConfigError, Malformed, RateLimited, Refused, Unauthorised, Unreachable
from providers.http import HttpTransport
from providers.okx_account import markets as rules
from providers.okx_account.accounts import Picture, accounts
from providers.okx_account.markets import Contract, Price
from providers.okx_account.signing import ask_time, judge_for, login, signer
from providers.okx_account.source import is_demo, signed_reads, transport
from providers.okx_account.watch import Changed, parse_private, parse_public
from providers.okx_account.wire import Config, Level, parse_balance, parse_config, parse_positions
from providers.ports import AccountOptions
from providers.ws import Signal, SignalKind
from tests.okx_server import coin, row, settle

FIXTURES = Path(__file__).parents[1] / "fixtures" / "okx"
SIGNATURES = json.loads((FIXTURES / "signatures.json").read_text())
NOW_MS = 1_700_000_000_000
TICK = Decimal("0.1")
SWAP = Contract("BTC-USDT-SWAP", "SWAP", "BTC-USDT", "BTC", "USDT", Decimal("0.01"), TICK, TICK)
INVERSE = Contract("BTC-USD-SWAP", "SWAP", "BTC-USD", "BTC", "BTC", Decimal(100), TICK, TICK, None, is_inverse=True)
RATES = [(Decimal(1000), Decimal("0.004")), (Decimal(5000), Decimal("0.01"))]


def ok(*rows: object) -> bytes:
    return json.dumps({"code": "0", "msg": "", "data": list(rows)}).encode()


def picture(level: Level, rows: list[dict[str, Any]], coins: list[dict[str, Any]], **more: Any) -> Picture:
    totals = more.pop("totals", {})
    balance = parse_balance(ok({"details": coins} | totals))
    known: dict[str, Any] = {
        "contracts": {SWAP.name: SWAP, INVERSE.name: INVERSE},
        "rates": {f"{name} {mode}": RATES for name in (SWAP.name, INVERSE.name) for mode in ("cross", "isolated")},
        "fees": {SWAP.name: Decimal("0.0005"), INVERSE.name: Decimal("0.0005")},
    }
    return Picture(Config(level), balance, parse_positions(ok(*rows)), **(known | more))


def credentials() -> Credentials:
    return Credentials("ok", lambda: "test_api_key", lambda: "test_secret", lambda: "test_pass")


# signing


@pytest.mark.parametrize("rows", [(), ({"ts": ""},), ({"ts": "0"},)])
def test_a_venue_that_tells_no_time_is_not_taken_at_the_year_1970(rows: tuple[dict[str, str], ...]) -> None:
    answer = httpx.MockTransport(lambda _: httpx.Response(200, content=ok(*rows)))
    with pytest.raises(Malformed, match="no time"):
        asyncio.run(ask_time(HttpTransport("okx", "http://127.0.0.1:9", transport=answer)))


def test_the_signature_is_the_documented_one() -> None:
    known = SIGNATURES["documented"]
    keys = Credentials("ok", lambda: "k", lambda: known["secret"], lambda: "p")
    call = signer(is_demo=False)(keys, 1_607_418_537_715, "GET", "/api/v5/account/balance", "", None)
    assert call.headers["OK-ACCESS-TIMESTAMP"] == "2020-12-08T09:08:57.715Z"
    assert call.headers["OK-ACCESS-SIGN"] == known["sign_b64"]


@pytest.mark.parametrize("name", SIGNATURES["requests"])
def test_requests_are_those_that_were_recorded(name: str) -> None:
    wanted = SIGNATURES["requests"][name]
    method, path = name.split()
    query = wanted["url"].partition("?")[2]
    body = None if wanted["body"] is None else wanted["body"].encode()
    call = signer(is_demo=False)(credentials(), NOW_MS, method, path, query, body)
    assert dict(call.headers) == {"Content-Type": "application/json"} | wanted["headers"]


def test_demo_trading_is_a_header_and_any_other_wallet_an_error() -> None:
    call = signer(is_demo=True)(credentials(), NOW_MS, "GET", "/api/v5/account/config", "", None)
    assert call.headers["x-simulated-trading"] == "1"
    assert is_demo(AccountOptions("ok", "okx", wallet="demo"))
    assert not is_demo(AccountOptions("ok", "okx"))
    with pytest.raises(ConfigError, match="demo"):
        is_demo(AccountOptions("ok", "okx", wallet="spot"))


def test_the_websocket_log_in_is_in_seconds() -> None:
    (args,) = json.loads(login(credentials(), NOW_MS))["args"]
    assert args["timestamp"] == "1700000000"
    assert set(args) == {"apiKey", "passphrase", "timestamp", "sign"}


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("50011", RateLimited),
        ("50061", RateLimited),
        ("58102", RateLimited),
        ("50001", Unreachable),
        ("50004", Unreachable),
        ("50013", Unreachable),
        ("50026", Unreachable),
        ("50101", Unauthorised),
        ("50105", Unauthorised),
        ("50110", Unauthorised),
        ("50111", Unauthorised),
        ("50113", Unauthorised),
        ("50120", Unauthorised),
        ("51000", Refused),
        ("59301", Refused),
        ("nonsense", Refused),
    ],
)
def test_codes_of_the_venue_mean_what_the_documentation_says(code: str, kind: type[Exception]) -> None:
    body = json.dumps({"code": code, "msg": "some words", "data": []}).encode()
    assert type(judge_for(credentials())("GET /api/v5/account/config", 200, body)) is kind


def test_a_row_that_failed_speaks_for_the_whole_reply() -> None:
    body = json.dumps({"code": "1", "msg": "All operations failed", "data": [{"sCode": "51008", "sMsg": "too little"}]})
    found = judge_for(credentials())("POST /api/v5/trade/order", 200, body.encode())
    assert isinstance(found, Refused)
    assert "51008 too little" in found.detail


def test_a_missing_passphrase_is_named() -> None:
    options = AccountOptions("ok", "okx", credentials=Credentials("ok", lambda: "k", lambda: "s"))
    with pytest.raises(ConfigError, match="ok: okx needs passphrase"):
        signed_reads(options, transport(AccountOptions("ok", "okx")))


# rows


def test_the_recorded_isolated_inverse_long_is_liquidated_where_the_venue_says() -> None:
    rows = json.loads((FIXTURES / "isolated_inverse.json").read_text())["data"]
    _, account = accounts("ok", picture(Level.FUTURES, rows, [], rates={"BTC-USD-SWAP isolated": RATES}))
    assessed = assess(account, {}, 0)
    point = assessed.liquidation["BTC"].price
    assert (account.name, account.mode, account.quote) == ("ok:BTC-USD-SWAP-LONG", MarginMode.ISOLATED, "USD")
    assert point is not None
    # value x contracts x (1 + rate + fee) / (margin + value x contracts / entry), by hand
    assert abs(point - Decimal("69536.5125")) < Decimal("0.001")
    # The venue's own is one tick of 0.1 further.
    assert abs(point - Decimal("69536.6125")) <= Decimal("0.1001")
    assert assessed.health_factor is not None
    assert abs(assessed.health_factor / Decimal("74.32029212310307") - 1) < Decimal("1e-6")
    assert assessed.degraded == ()


def test_sizes_are_contracts_and_a_tier_is_found_by_contracts_not_by_value() -> None:
    rows = [row("BTC-USDT-SWAP", "1500", "60000", "60000"), row("BTC-USD-SWAP", "-300", "60000", "60000", ccy="BTC")]
    found = accounts("ok", picture(Level.FUTURES, rows, [coin("USDT", "90000"), coin("BTC", "1", "60000")]))
    in_coin, in_dollars = found
    assert (in_coin.name, in_dollars.name) == ("ok:BTC", "ok:USDT")
    # 1,500 contracts are above the first 1,000, though 1,500 x 0.01 BTC are 900,000 USDT; 300 contracts are not.
    assert in_dollars.positions[0].quantity == 15
    assert in_dollars.positions[0].tiers[0].maintenance_rate == Decimal("0.01")
    assert in_coin.positions[0].quantity == -Decimal(30000) / 60000
    assert in_coin.positions[0].tiers[0].maintenance_rate == Decimal("0.004")


def test_the_rate_that_a_row_tells_wins_over_a_tier_that_does_not_fit() -> None:
    told = row("BTC-USDT-SWAP", "100", "60000", "60000", mmr="600")
    (account,) = accounts("ok", picture(Level.FUTURES, [told], [coin("USDT", "5000")]))
    assert account.positions[0].tiers[0].maintenance_rate == Decimal("0.01")


def test_two_sides_are_signed_and_named() -> None:
    sides = [
        row("BTC-USDT-SWAP", "100", "60000", "60000", posSide="long", mgnMode="isolated", margin="900"),
        row("BTC-USDT-SWAP", "40", "60000", "60000", posSide="short", mgnMode="isolated", margin="700"),
    ]
    found = accounts("ok", picture(Level.FUTURES, sides, [coin("USDT", "5000")]))
    assert [each.name for each in found] == ["ok", "ok:BTC-USDT-SWAP-LONG", "ok:BTC-USDT-SWAP-SHORT"]
    assert [each.positions[0].quantity for each in found[1:]] == [1, Decimal("-0.4")]
    assert assess(found[2], {}, 0).liquidation["BTC"].direction is Direction.UP


def test_numbers_may_be_bare_unknown_fields_pass_and_missing_ones_are_none() -> None:
    bare = {"instId": "BTC-USDT-SWAP", "mgnMode": "cross", "pos": -12.5, "avgPx": 60000.5, "novelty": [{}]}
    (held,) = parse_positions(ok(bare))
    assert (held.contracts, held.entry_price, held.mark_price) == (Decimal("-12.5"), Decimal("60000.5"), None)


def test_empty_rows_are_no_positions() -> None:
    assert parse_positions(ok(row("BTC-USDT-SWAP", "0", "", ""), row("BTC-USDT-SWAP", "", "", ""))) == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("pos", "NaN"),
        ("pos", "ten"),
        ("avgPx", "-1"),
        ("markPx", "Infinity"),
        ("liqPx", "-3"),
        ("mmr", "-1"),
        ("posSide", "both"),
        ("mgnMode", "shared"),
    ],
)
def test_what_cannot_be_meant_is_malformed(field: str, value: str) -> None:
    with pytest.raises(Malformed):
        parse_positions(ok(row("BTC-USDT-SWAP", "1", "60000", "60000") | {field: value}))


@pytest.mark.parametrize("raw", [b"", b'{"code":"0","data":[{"instId"', b"[]", b"null", b"\xff\xfe", b'{"code":"0"}'])
def test_truncated_and_foreign_replies_are_malformed(raw: bytes) -> None:
    for parse in (parse_positions, parse_balance, parse_config):
        with pytest.raises(Malformed):
            parse(raw)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_break_the_parsers(raw: bytes) -> None:
    for parse in (parse_positions, parse_balance, parse_config, rules.parse_rates, parse_private, parse_public):
        try:
            parse(raw)
        except Malformed:
            continue


def test_a_level_of_a_new_kind_is_malformed_not_guessed() -> None:
    with pytest.raises(Malformed, match="'9'"):
        parse_config(ok({"acctLv": "9"}))


def test_permissions_and_sides_are_read_from_the_configuration() -> None:
    found = parse_config(ok({"acctLv": "2", "posMode": "long_short_mode", "perm": "read_only,trade,withdraw"}))
    assert found == Config(Level.FUTURES, True, frozenset({"read_only", "trade", "withdraw"}))


# markets


def test_a_fee_is_told_as_negative_and_by_settlement() -> None:
    raw = ok({"taker": "-0.0006", "takerU": "-0.0005", "takerUSDC": ""})
    assert rules.parse_fee(raw, SWAP) == Decimal("0.0005")
    assert rules.parse_fee(raw, INVERSE) == Decimal("0.0006")
    assert rules.parse_fee(ok(), SWAP) is None
    assert rules.parse_fee(ok({"taker": "0.0001"}), INVERSE) == 0


def test_funding_is_annual_by_its_own_period() -> None:
    told = {"instId": SWAP.name, "fundingRate": "0.0001", "fundingTime": "14400000", "nextFundingTime": "28800000"}
    price = rules.parse_price(ok(told), SWAP.name)
    assert price is not None
    assert price.funding_rate == Decimal("0.0001") * 24 * 365 / 4
    assert price.predicted_rate == price.funding_rate
    assert price.next_funding_ns == 14_400_000_000_000


def test_a_mark_leaves_the_funding_that_is_known() -> None:
    funding = Price(SWAP.name, None, Decimal("0.1"), Decimal("0.2"), 7)
    mark = Price(SWAP.name, Decimal(60000))
    assert mark.over(funding) == Price(SWAP.name, Decimal(60000), Decimal("0.1"), Decimal("0.2"), 7)


@given(st.decimals("0.1", "20000", places=1))
def test_a_larger_size_never_has_a_lower_rate(contracts: Decimal) -> None:
    here, more = rules.rate_at(RATES, contracts), rules.rate_at(RATES, contracts + 1)
    assert here is not None
    assert more is not None
    assert here <= more


def test_a_contract_that_is_neither_linear_nor_inverse_is_malformed() -> None:
    told = {"instId": "X", "ctVal": "1", "tickSz": "1", "lotSz": "1", "ctType": "quanto"}
    with pytest.raises(Malformed):
        rules.parse_contract(ok(told), "X")
    with pytest.raises(Malformed, match="no contract"):
        rules.parse_contract(ok(), "X")


def test_a_book_in_contracts_is_told_in_coins() -> None:
    raw = ok({"bids": [["50000", "150", "0", "1"]], "asks": [["60000", "300", "0", "1"], ["0", "1"]]})
    assert rules.parse_book(raw, SWAP)[0][0].quantity == Decimal("1.5")
    bids, asks = rules.parse_book(raw, INVERSE)
    assert (bids[0].quantity, asks[0].quantity) == (Decimal("0.3"), Decimal("0.5"))


# accounts


def test_in_futures_mode_each_currency_stands_alone_and_isolated_margin_backs_nothing_else() -> None:
    alone = row("BTC-USDT-SWAP", "100", "60000", "60000", mgnMode="isolated", margin="1000")
    settle(alone)
    rows = [row("BTC-USDT-SWAP", "50", "58000", "60000", mmr="120", upl="1000"), alone]
    told = {"upl": "1000", "isoEq": "1000", "mmr": "120", "mgnRatio": f"{Decimal(6000) / 135:f}"}
    cross, isolated = accounts(
        "ok", picture(Level.FUTURES, rows, [coin("USDT", "7000", **told), coin("ETH", "3", "7500")])
    )
    assert (cross.name, cross.balance) == ("ok:USDT", 5000)
    assert isolated.name == "ok:BTC-USDT-SWAP"
    for account in (cross, isolated):
        assert assess(account, {}, 0).degraded == ()


def test_an_isolated_linear_position_agrees_with_the_venues_ratio_and_price() -> None:
    for pos in ("100", "-100"):
        told = row("BTC-USDT-SWAP", pos, "59000", "60000", mgnMode="isolated", margin="3000")
        settle(told)
        _, account = accounts("ok", picture(Level.FUTURES, [told], [coin("USDT", "3000", isoEq="3000")]))
        assessed = assess(account, {}, 0)
        point = assessed.liquidation["BTC"].price
        assert point is not None
        assert abs(point - Decimal(told["liqPx"])) < Decimal("1e-4")
        assert assessed.health_factor == Decimal(told["mgnRatio"])
        assert assessed.degraded == ()


@given(
    contracts=st.decimals("0.1", "900", places=1),
    entry=st.decimals("55000", "65000", places=1),
    share=st.decimals("0.02", "0.5", places=3),
    is_long=st.booleans(),
)
def test_any_isolated_linear_position_is_liquidated_by_the_documented_formula(
    contracts: Decimal, entry: Decimal, share: Decimal, is_long: bool
) -> None:
    size, cost = contracts * SWAP.value, Decimal("0.0045")
    margin = size * entry * share
    signed = contracts if is_long else -contracts
    told = row(SWAP.name, f"{signed:f}", f"{entry:f}", f"{entry:f}", mgnMode="isolated", margin=f"{margin:f}")
    _, account = accounts("ok", picture(Level.FUTURES, [told], []))
    side = 1 if is_long else -1
    limit = (margin - side * size * entry) / (size * (cost - side))
    point = assess(account, {}, 0).liquidation["BTC"].price
    assert point is not None
    assert abs(point - limit) < Decimal("1e-6")


def test_an_inverse_short_is_backed_by_its_coin() -> None:
    rows = [row("BTC-USD-SWAP", "-300", "60000", "60000", ccy="BTC", mmr="0.002")]
    (account,) = accounts("ok", picture(Level.FUTURES, rows, [coin("BTC", "1", "60000", mmr="0.002")]))
    assessed = assess(account, {}, 0)
    assert (account.quote, account.collateral[0].liquidation_threshold) == ("USD", 1)
    assert assessed.maintenance_requirement == 30000 * Decimal("0.0045")
    # One coin against a short of half a coin: 0.5 p + 30,000 covers 135 at any price.
    assert assessed.liquidation["BTC"].price is None


def test_multi_currency_counts_coins_at_their_discount_and_what_is_owed() -> None:
    coins = [coin("USDT", "1000"), coin("BTC", "1", "60000", disEq="57000"), coin("USDC", "-500", "-500")]
    totals = {"totalEq": "60500", "adjEq": "57500", "mmr": "240", "mgnRatio": f"{Decimal(57500) / 270:f}", "isoEq": "0"}
    rows = [row("BTC-USDT-SWAP", "100", "60000", "60000", mmr="240")]
    (account,) = accounts(
        "ok", picture(Level.MULTI_CURRENCY, rows, coins, totals=totals, interest={"USDC": Decimal("0.0876")})
    )
    assessed = assess(account, {}, 0)
    assert (account.name, account.quote, account.balance) == ("ok", "USDT", 1000)
    assert [(leg.asset, leg.liquidation_threshold) for leg in account.collateral] == [("BTC", Decimal("0.95"))]
    assert [(leg.asset, leg.amount, leg.borrow_rate) for leg in account.debt] == [("USDC", 500, Decimal("0.0876"))]
    assert assessed.equity == 60500
    assert assessed.health_factor == Decimal(57500) / 270
    assert assessed.degraded == ()


def test_a_discount_that_is_not_told_makes_health_the_venues_word() -> None:
    coins = [coin("USDT", "1000"), coin("SOL", "10", "1500", disEq="")]
    totals = {"totalEq": "2500", "mmr": "240", "mgnRatio": "7.5"}
    rows = [row("BTC-USDT-SWAP", "100", "60000", "60000", mmr="240")]
    (account,) = accounts("ok", picture(Level.MULTI_CURRENCY, rows, coins, totals=totals))
    assert assess(account, {}, 0).health_factor == Decimal("7.5")
    assert "discount of SOL not told: health as the venue tells it" in account.degraded


def test_portfolio_margin_has_directions_and_the_venues_requirement() -> None:
    totals = {"totalEq": "5000", "adjEq": "5000", "mmr": "2400", "mgnRatio": "2"}
    rows = [row("BTC-USDT-SWAP", "100", "60000", "60000", liqPx="12345")]
    (account,) = accounts("ok", picture(Level.PORTFOLIO, rows, [coin("USDT", "5000")], totals=totals, rates={}))
    assessed = assess(account, {}, 0)
    assert account.mode is MarginMode.PORTFOLIO
    assert assessed.health_factor == 2
    assert abs(assessed.directions["BTC alone"] + Decimal(2500) / 60000) < Decimal("1e-20")
    assert account.positions[0].venue_liquidation_price is None
    assert "constant" in account.estimated


def test_spot_mode_and_an_empty_account_owe_nothing() -> None:
    (account,) = accounts("ok", picture(Level.SPOT, [], [coin("USDT", "100")]))
    assert (account.name, account.balance) == ("ok", 100)
    assert assess(account, {}, 0).severity is Severity.SAFE
    (empty,) = accounts("ok", picture(Level.MULTI_CURRENCY, [], []))
    assert assess(empty, {}, 0).severity is Severity.SAFE


def test_figures_of_the_venue_are_carried_to_marks_that_came_after_them() -> None:
    rows = [row("BTC-USDT-SWAP", "100", "60000", "60000", mmr="240")]
    told = {"mmr": "240", "mgnRatio": f"{Decimal(5000) / 270:f}"}
    pushed = {SWAP.name: Price(SWAP.name, Decimal(58000))}
    (account,) = accounts("ok", picture(Level.FUTURES, rows, [coin("USDT", "5000", **told)], prices=pushed))
    assessed = assess(account, {}, 0)
    assert assessed.equity == 3000
    assert account.reported is not None
    assert account.reported.equity == 3000
    assert assessed.degraded == ()


def test_an_isolated_position_of_a_kind_not_computed_is_the_venues_word_and_never_safe_by_itself() -> None:
    loan = row("ETH-USDT", "3", "2500", "2500", instType="MARGIN", mgnMode="isolated", margin="1", mgnRatio="1.5")
    _, account = accounts("ok", picture(Level.FUTURES, [loan], [coin("USDT", "1")]))
    assessed = assess(account, {}, 0)
    assert assessed.health_factor == Decimal("1.5")
    assert any("not computed here" in why for why in account.degraded)
    assert assessed.severity is not Severity.SAFE


def test_unread_tiers_without_any_maintenance_told_are_unknown() -> None:
    rows = [row("BTC-USDT-SWAP", "100", "60000", "60000")]
    (account,) = accounts("ok", picture(Level.FUTURES, rows, [coin("USDT", "5000")], rates={}))
    assert assess(account, {}, 0).severity is Severity.UNKNOWN


# frames


def test_private_frames_log_in_subscribe_and_tell_changes() -> None:
    alive, answer = parse_private(b'{"event":"login","code":"0","msg":"","connId":"c"}')
    assert isinstance(answer, Signal)
    assert (alive, answer.kind) == (Signal(SignalKind.ALIVE), SignalKind.ANSWER)
    assert [arg["channel"] for arg in json.loads(answer.texts[0])["args"]] == ["account", "positions"]
    (refused,) = parse_private(b'{"event":"error","code":"60009","msg":"Login failed."}')
    assert isinstance(refused, Signal)
    assert refused.kind is SignalKind.REJECTED
    assert parse_private(b"pong") == (Signal(SignalKind.ALIVE),)
    assert parse_private(b'{"arg":{"channel":"positions"},"data":[{}]}') == (Changed("positions"),)
    assert parse_private(b'{"event":"subscribe","arg":{"channel":"account"}}') == ()


def test_a_notice_of_a_restart_asks_for_a_new_connection() -> None:
    (signal,) = parse_public(b'{"event":"notice","code":"64008","msg":"soon"}')
    assert isinstance(signal, Signal)
    assert signal.kind is SignalKind.RESTART
