"""What Binance writes about a futures account, read into our words: recorded, documented, odd and broken payloads."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.binance_futures.hosts import STREAM, hosts_of
from providers.binance_futures.permissions import parse_permissions
from providers.binance_futures.streams import AccountPush, MarkPush, parse_push
from providers.binance_futures.wire import (
    annual,
    base_of,
    parse_account,
    parse_asset_indexes,
    parse_brackets,
    parse_depth,
    parse_funding_hours,
    parse_isolated,
    parse_modes,
    parse_positions,
    parse_premiums,
    quote_of,
)
from providers.errors import ConfigError, Malformed
from providers.ws import Signal, SignalKind

FIXTURES = Path(__file__).parents[1] / "fixtures" / "binance_futures"
ROW: dict[str, Any] = {
    "symbol": "BTCUSDT",
    "positionSide": "BOTH",
    "positionAmt": "0.009",
    "entryPrice": "67445.9",
    "markPrice": "67502.68519858",
    "liquidationPrice": "64846.98753790",
    "isolatedMargin": "0",
    "notional": "607.52416678",
    "marginAsset": "USDT",
    "isolatedWallet": "0",
    "maintMargin": "2.43009666",
    "positionInitialMargin": "7.59405208",
    "adl": 2,
}


def rows(*changes: dict[str, object]) -> bytes:
    return json.dumps([ROW | change for change in changes]).encode()


def test_a_documented_position_is_read_exactly() -> None:
    (held,) = parse_positions(rows({}))
    assert (held.symbol, held.side, held.asset, held.margin_asset) == ("BTCUSDT", "BOTH", "BTC", "USDT")
    assert held.amount == Decimal("0.009")
    assert held.mark_price == Decimal("67502.68519858")
    assert held.liquidation_price == Decimal("64846.98753790")
    assert (held.maintenance, held.margin_used) == (Decimal("2.43009666"), Decimal("7.59405208"))
    assert held.adl == 2


def test_numbers_may_come_as_strings_or_as_numbers() -> None:
    as_numbers = json.dumps([ROW]).replace('"0.009"', "0.009").replace('"67502.68519858"', "67502.68519858")
    assert parse_positions(as_numbers.replace('"adl": 2', '"adl": "2"').encode()) == parse_positions(rows({}))


def test_rows_without_a_position_are_no_positions() -> None:
    assert parse_positions(rows({"positionAmt": "0"}, {"positionAmt": "0.000"})) == ()
    assert parse_positions(b"[]") == ()


def test_unknown_fields_are_ignored_and_missing_ones_are_unknown() -> None:
    (held,) = parse_positions(b'[{"symbol":"ETHUSDC","positionAmt":"-2","new":{"a":[1]}}]')
    assert (held.asset, held.margin_asset, held.amount) == ("ETH", "USDC", Decimal(-2))
    assert held.entry_price is held.mark_price is held.liquidation_price is held.isolated_wallet is held.adl is None


@pytest.mark.parametrize("none", ["0", "", None, "0.00000000", 0])
def test_no_liquidation_price_is_no_price(none: object) -> None:
    (held,) = parse_positions(rows({"liquidationPrice": none}))
    assert held.liquidation_price is None


def test_both_sides_of_hedge_mode_are_two_positions_and_a_short_is_negative_however_it_is_written() -> None:
    held = parse_positions(
        rows(
            {"positionSide": "LONG", "positionAmt": "1"},
            {"positionSide": "SHORT", "positionAmt": "-2"},
            {"symbol": "ETHUSDT", "positionSide": "SHORT", "positionAmt": "3"},
        )
    )
    assert [(each.side, each.amount) for each in held] == [
        ("LONG", Decimal(1)),
        ("SHORT", Decimal(-2)),
        ("SHORT", Decimal(-3)),
    ]


def test_a_mark_that_is_not_told_follows_from_the_notional() -> None:
    (held,) = parse_positions(rows({"markPrice": "", "positionAmt": "-0.5", "notional": "-33000"}))
    assert held.mark_price == 66000


@pytest.mark.parametrize(
    "raw",
    [
        b"[",
        b"{}",
        b"null",
        b'[{"positionAmt":"1"}]',
        b'[{"symbol":"BTCUSDT"}]',
        b'[{"symbol":"BTCUSDT","positionAmt":""}]',
        b'[{"symbol":"BTCUSDT","positionAmt":"NaN"}]',
        b'[{"symbol":"BTCUSDT","positionAmt":"1e99"}]',
        b'[{"symbol":"BTCUSDT","positionAmt":"many"}]',
        b'[{"symbol":"BTCUSDT","positionAmt":{"a":1}}]',
        b'[{"symbol":"BTCUSDT","positionAmt":"1","markPrice":"-5"}]',
        b'[{"symbol":"BTCUSDT","positionAmt":"1","entryPrice":"Infinity"}]',
        b'[{"symbol":"BTCUSDT","positionAmt":"1","positionSide":"SIDEWAYS"}]',
        b"\xff\xfe",
    ],
)
def test_what_cannot_be_read_is_malformed(raw: bytes) -> None:
    with pytest.raises(Malformed):
        parse_positions(raw)


@given(st.binary(max_size=200))
def test_no_bytes_at_all_break_a_parser_otherwise(raw: bytes) -> None:
    for parse in (parse_positions, parse_account, parse_brackets, parse_premiums, parse_push, parse_asset_indexes):
        try:
            parse(raw)
        except Malformed:
            continue


@given(st.decimals(min_value="-1e12", max_value="1e12", allow_nan=False, allow_infinity=False, places=8))
def test_an_amount_is_read_to_its_last_digit(amount: Decimal) -> None:
    found = parse_positions(rows({"positionAmt": f"{amount:f}"}))
    assert [each.amount for each in found] == ([amount] if amount else [])


def test_the_recorded_account_is_read_by_coin_with_the_marks_that_it_is_at() -> None:
    case = json.loads((FIXTURES / "positions.json").read_text())["cases"][2]
    state = parse_account(json.dumps(case["httpResponse"]).encode())
    usdt = state.purses["USDT"]
    assert (usdt.cross_wallet, usdt.cross_profit) == (Decimal("3.72964781"), Decimal("0.54238506"))
    assert state.total.cross_wallet == Decimal("25.72610060")
    assert state.marks["BTCUSDT", "BOTH"] == Decimal("607.55548506") / Decimal("0.009")


def test_leverage_brackets_join_exactly_as_the_venue_says() -> None:
    raw = (FIXTURES / "brackets.json").read_bytes()
    tiers = parse_brackets(raw)
    for symbol in json.loads(raw):
        stated = [Decimal(str(each["cum"])) for each in symbol["brackets"]]
        assert [tier.deduction for tier in tiers[symbol["symbol"]]] == stated
    one = json.dumps(json.loads(raw)[0]).encode()
    assert parse_brackets(one)["BTCUSDT"] == tiers["BTCUSDT"]


@pytest.mark.parametrize(
    "brackets",
    [
        [],
        [{"notionalFloor": 5, "maintMarginRatio": 0.01}],
        [{"notionalFloor": 0, "maintMarginRatio": 1.5}],
        [{"notionalFloor": 0, "maintMarginRatio": 0.02}, {"notionalFloor": 9, "maintMarginRatio": 0.01}],
    ],
)
def test_brackets_that_make_no_sense_are_malformed(brackets: list[dict[str, object]]) -> None:
    with pytest.raises(Malformed):
        parse_brackets(json.dumps([{"symbol": "BTCUSDT", "brackets": brackets}]).encode())


def test_modes_and_margin_types_are_read() -> None:
    modes = parse_modes(b'{"multiAssetsMargin":true,"dualSidePosition":false,"feeTier":0}')
    assert (modes.is_multi_asset, modes.is_hedged) == (True, False)
    raw = b'[{"symbol":"BTCUSDT","marginType":"CROSSED"},{"symbol":"ETHUSDT","marginType":"ISOLATED"}]'
    assert parse_isolated(raw) == {"BTCUSDT": False, "ETHUSDT": True}


def test_funding_is_annual_by_the_interval_of_its_symbol() -> None:
    hours = parse_funding_hours(b'[{"symbol":"LPTUSDT","fundingIntervalHours":4,"disclaimer":false}]')
    raw = b'{"symbol":"LPTUSDT","markPrice":"7.5","lastFundingRate":"-0.0002","nextFundingTime":1700000000000}'
    funding = parse_premiums(raw)["LPTUSDT"]
    assert annual(funding.rate, hours["LPTUSDT"]) == Decimal("-0.0002") * 6 * 365
    assert annual(Decimal("0.0001"), None) == Decimal("0.0001") * 3 * 365
    assert funding.next_ns == 1_700_000_000_000_000_000


def test_what_coins_count_for_is_read_by_coin() -> None:
    raw = b'[{"symbol":"BTCUSD","index":"60000","bidBuffer":"0.05","askBuffer":"0.05"}]'
    assert parse_asset_indexes(raw)["BTC"].bid_buffer == Decimal("0.05")
    with pytest.raises(Malformed):
        parse_asset_indexes(raw.replace(b'"bidBuffer":"0.05"', b'"bidBuffer":"1.05"'))


def test_a_book_is_read_with_its_base_and_quote() -> None:
    raw = b'{"lastUpdateId":1,"bids":[["64990.0","0.5"]],"asks":[["65010.0","0.4"],["65020.0","3"]]}'
    book = parse_depth(raw, "BTCUSDT", 7)
    assert (book.asset, book.quote, book.observed_at_ns) == ("BTC", "USDT", 7)
    assert (book.bids[0].price, book.asks[1].quantity) == (Decimal("64990.0"), Decimal(3))
    for broken in (b'{"bids":[["-1","1"]]}', b'{"bids":[["1"]]}', b'{"asks":[["1","NaN"]]}'):
        with pytest.raises(Malformed):
            parse_depth(broken, "BTCUSDT", 7)


@pytest.mark.parametrize(
    ("symbol", "base", "quote"),
    [
        ("BTCUSDT", "BTC", "USDT"),
        ("BTCUSDT_270326", "BTC", "USDT"),
        ("1000PEPEUSDC", "1000PEPE", "USDC"),
        ("ETHBTC", "ETH", "BTC"),
        ("NEWTHING", "NEWTHING", "USD"),
    ],
)
def test_a_symbol_tells_base_and_quote(symbol: str, base: str, quote: str) -> None:
    assert (base_of(symbol), quote_of(symbol)) == (base, quote)


def test_pushed_marks_and_events_are_told_apart() -> None:
    mark = b'{"e":"markPriceUpdate","E":5,"s":"BTCUSDT","p":"65000.1","i":"1","r":"0.0001","T":9,"st":1}'
    assert parse_push(mark) == MarkPush("BTCUSDT", Decimal("65000.1"), 5_000_000, Decimal("0.0001"), 9_000_000)
    assert parse_push(b'{"stream":"x","data":' + mark + b"}") == parse_push(mark)
    delivery = parse_push(b'{"e":"markPriceUpdate","E":5,"s":"BTCUSDT_270326","p":"66000","r":"","T":0}')
    assert isinstance(delivery, MarkPush)
    assert (delivery.rate, delivery.next_ns) == (None, None)
    update = b'{"e":"ACCOUNT_UPDATE","T":4,"E":5,"a":{"m":"ORDER","B":[],"P":[]}}'
    assert parse_push(update) == AccountPush("ACCOUNT_UPDATE", 5_000_000)
    called = b'{"e":"MARGIN_CALL","E":6,"cw":"3.1","p":[{"s":"ETHUSDT","ps":"LONG","pa":"1","mt":"CROSSED"}]}'
    assert parse_push(called) == AccountPush("MARGIN_CALL", 6_000_000, frozenset({("ETHUSDT", "LONG")}))
    expired = parse_push(b'{"e":"listenKeyExpired","E":7,"listenKey":"abc"}')
    assert isinstance(expired, Signal)
    assert expired.kind is SignalKind.RESTART
    assert parse_push(b'{"result":null,"id":1}') is None


@pytest.mark.parametrize("price", ['"NaN"', '"-1"', '"0"', '"x"', "[]", "null"])
def test_a_pushed_mark_that_is_no_price_is_malformed(price: str) -> None:
    with pytest.raises(Malformed):
        parse_push(b'{"e":"markPriceUpdate","E":5,"s":"BTCUSDT","p":' + price.encode() + b"}")


def test_a_key_that_may_withdraw_is_warned_of() -> None:
    free = parse_permissions(b'{"ipRestrict":false,"enableWithdrawals":true,"enableFutures":true}')
    assert "may withdraw, from any address" in free.warnings[0]
    assert parse_permissions(b'{"ipRestrict":false,"enableWithdrawals":false}').warnings == ()
    assert parse_permissions(b"{}").may_transfer is None


def test_hosts_follow_one_rule() -> None:
    public = hosts_of("v", None, None)
    assert (public.futures, public.wallet) == ("https://fapi.binance.com", "https://api.binance.com")
    proxied = hosts_of("v", "http://127.0.0.1:9/", None)
    assert (proxied.futures, proxied.wallet, proxied.portfolio) == ("http://127.0.0.1:9",) * 3
    assert proxied.stream is None
    assert hosts_of("v", "http://127.0.0.1:9", "ws://127.0.0.1:8/").stream == "ws://127.0.0.1:8"
    testnet = hosts_of("v", "https://testnet.binancefuture.com", None)
    assert (testnet.wallet, testnet.stream) == (None, "wss://fstream.binancefuture.com")
    demo = hosts_of("v", "https://demo-fapi.binance.com", None)
    assert (demo.wallet, demo.stream) == (None, None)
    named = hosts_of("v", "https://fapi.binance.com", None)
    assert (named.wallet, named.stream) == ("https://api.binance.com", STREAM)
    with pytest.raises(ConfigError):
        hosts_of("v", "ftp://x", None)
