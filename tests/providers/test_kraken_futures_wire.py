"""Kraken Futures' wire and figures: documented payloads, margins at entry prices, isolated wallets, inverse ones."""

import base64
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
from providers.credentials import Credentials
from providers.errors import Malformed, ProviderError, RateLimited, Refused, Unauthorised, Unreachable
from providers.kraken_futures.book import Picture, accounts
from providers.kraken_futures.frames import parse_held, parse_tick, parse_wallets
from providers.kraken_futures.markets import parse_book, parse_instruments, parse_tickers
from providers.kraken_futures.signing import Nonces, judge, nonces_of, private_call, problem_of, signed_challenge
from providers.kraken_futures.wire import Wallets, parse_accounts, parse_positions
from tests.kraken_futures_server import SECRET, dumps, flex, instrument, ticker

FIXTURES = Path(__file__).parents[1] / "fixtures" / "kraken_futures"
NOW_NS = 1_764_000_000_000_000_000
D = Decimal
LEVELS = (("0", "0.01"), ("250000", "0.02"))


def documented(name: str) -> bytes:
    return dumps(json.loads((FIXTURES / "documented.json").read_text(), parse_float=Decimal)[name]).encode()


def row(symbol: str = "PF_XBTUSD", size: str = "0.5", price: str = "60000", **fields: Any) -> dict[str, Any]:
    side = "short" if size.startswith("-") else "long"
    return {"symbol": symbol, "side": side, "size": abs(D(size)), "price": D(price)} | fields


def single(pv: str, pnl: str, mm: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "marginAccount",
        "currency": "xbt",
        "balances": {"xbt": D(pv)},
        "auxiliary": {"usd": 0, "pv": D(pv), "pnl": D(pnl), "af": 0, "funding": 0},
        "marginRequirements": {"im": D(mm) * 2, "mm": D(mm), "lt": D(mm), "tt": D(mm) / 2},
        "triggerEstimates": {"im": 0, "mm": 0, "lt": 0, "tt": 0},
    } | fields


def read(
    rows: list[dict[str, Any]], wallets: dict[str, Any], marks: dict[str, str], **picture: Any
) -> tuple[Account, ...]:
    held = parse_positions(dumps({"openPositions": rows}).encode())
    told = parse_accounts(dumps({"accounts": wallets}).encode())
    rules = parse_instruments(dumps({"instruments": [instrument(name, *LEVELS) for name in marks]}).encode())
    prices = parse_tickers(dumps({"tickers": [ticker(name, mark) for name, mark in marks.items()]}).encode())
    from dataclasses import replace

    markets = {name: replace(rules[name], mark_price=prices[name].mark_price) for name in rules}
    return accounts("k", Picture(held, told, markets, **picture))


# Documented figures.


def test_the_documented_positions_are_read_with_their_isolated_one() -> None:
    short, dated, alone = parse_positions(documented("openpositions"))
    assert (short.contract, short.size, short.entry_price, short.leverage) == (
        "PF_XBTUSD",
        -10000,
        D("9392.749993345933"),
        None,
    )
    assert (dated.contract, dated.is_inverse, dated.coin, dated.pair) == ("FI_XBTUSD_201225", True, "BTC", "XBTUSD")
    assert (alone.contract, alone.leverage) == ("PF_DEFIUSD", 5)


def test_the_documented_feed_is_reproduced_figure_by_figure() -> None:
    push = parse_held(documented("ws_open_positions"))
    (held,) = push.held
    assert push.at_ms == 1698608414910
    assert held.liquidation_price is None
    rules = parse_instruments(dumps({"instruments": [instrument("PF_LTCUSD", ("0", "0.01"))]}).encode())
    wallet = flex(D(100), pnl=D("-0.8628305877699987"), maintenanceMargin=D("0.35265"))
    wallets = parse_accounts(dumps({"accounts": {"flex": wallet}}).encode())
    (account,) = accounts("k", Picture((held,), wallets, dict(rules)))
    (position,) = account.positions
    assert position.margin_at_entry
    assessed = assess(account, {}, NOW_NS)
    assert assessed.maintenance_requirement is not None
    assert math.isclose(assessed.maintenance_requirement, D("0.35265"), rel_tol=1e-12)
    assert position.mark_price is not None
    profit = position.quantity * (position.mark_price - (position.entry_price or 0))
    assert math.isclose(profit, D("-0.8628305877699987"), rel_tol=1e-9)
    assert account.extra_requirement == 0


# Accounts.


def test_a_long_is_liquidated_where_equity_meets_the_margin_of_its_entry() -> None:
    wallets = {"flex": flex(D(1500), pnl=D(500), maintenanceMargin=D(300))}
    (account,) = read([row(size="0.5", price="60000")], wallets, {"PF_XBTUSD": "61000"})
    assert (account.name, account.quote, account.balance, account.mode) == ("k", "USD", 1000, MarginMode.CROSS)
    # 1000 + 0.5 (p - 60000) = 300
    point = assess(account, {}, NOW_NS).liquidation["BTC"]
    assert (point.price, point.direction) == (58600, Direction.DOWN)


def test_a_venue_that_asks_margins_of_the_mark_is_followed_too() -> None:
    wallets = {"flex": flex(D(1500), pnl=D(5000), maintenanceMargin=D(350))}
    (account,) = read([row(size="0.5", price="60000")], wallets, {"PF_XBTUSD": "70000"})
    assert not account.positions[0].margin_at_entry
    requirement = assess(account, {}, NOW_NS).maintenance_requirement
    assert requirement == 350


def test_margin_levels_of_both_kinds_have_floors_in_dollars_and_join() -> None:
    rows = [instrument("pf_xbtusd", *LEVELS), instrument("pi_xbtusd", *LEVELS, contractSize=D(10))]
    rows.append({"symbol": "in_xbtusd", "type": "spot index", "tradeable": False})
    found = parse_instruments(dumps({"instruments": rows}).encode())
    assert set(found) == {"PF_XBTUSD", "PI_XBTUSD"}
    assert [tier.notional_floor for tier in found["PF_XBTUSD"].tiers] == [0, 250000]
    assert [tier.notional_floor for tier in found["PI_XBTUSD"].tiers] == [0, 2500000]
    assert found["PF_XBTUSD"].tiers[1].deduction == 2500
    assert (found["PF_XBTUSD"].step, found["PI_XBTUSD"].step) == (D("0.0001"), 1)


def test_coins_count_at_the_weight_and_price_of_the_venue() -> None:
    coins = {
        "usd": {"quantity": D(1000), "value": D(1000), "collateral": D(1000)},
        "xbt": {"quantity": D("0.1"), "value": D(6100), "collateral": D(5795)},
    }
    wallets = {"flex": flex(D(6795), currencies=coins, maintenanceMargin=D(305), pnl=D(0))}
    (account,) = read([row(size="0.5", price="61000")], wallets, {"PF_XBTUSD": "61000"})
    (leg,) = account.collateral
    assert (leg.asset, leg.amount, leg.liquidation_threshold) == ("BTC", D("0.1"), D("0.95"))
    assert (account.oracles["BTC"].price, account.balance) == (61000, 1000)
    assessed = assess(account, {}, NOW_NS)
    assert assessed.equity == 7100
    assert assessed.health_factor == D(6795) / 305


def test_an_isolated_position_is_an_account_whose_wallet_the_feed_tells() -> None:
    rows = [row(size="0.5"), row("PF_ETHUSD", "-2", "3000", maxFixedLeverage=D(5))]
    wallets = {"flex": flex(D(3000), pnl=D(0), maintenanceMargin=D(360))}
    marks = {"PF_XBTUSD": "60000", "PF_ETHUSD": "3000"}
    cross, alone = read(rows, wallets, marks, share=D(1300), shares={"PF_ETHUSD": D(1300)})
    assert (alone.name, alone.mode, alone.balance) == ("k:PF_ETHUSD", MarginMode.ISOLATED, 1300)
    assert (cross.balance, cross.extra_requirement) == (1700, 0)
    assert alone.degraded == cross.degraded == ()
    # 1300 - 2 (p - 3000) = 60
    price = assess(alone, {}, NOW_NS).liquidation["ETH"].price
    assert price is not None
    assert math.isclose(price, 3620, rel_tol=1e-12)


def test_an_isolated_wallet_that_nobody_told_counts_at_its_leverage_and_says_so() -> None:
    rows = [row(size="0.5"), row("PF_ETHUSD", "-2", "3000", maxFixedLeverage=D(5))]
    wallets = {"flex": flex(D(3000), pnl=D(0), maintenanceMargin=D(360))}
    cross, alone = read(rows, wallets, {"PF_XBTUSD": "60000", "PF_ETHUSD": "3000"})
    assert alone.balance == 1200
    assert cross.balance == 1800
    assert any("counted at its leverage of 5" in reason for reason in alone.degraded)
    assert any("isolated margin is not told" in reason for reason in cross.degraded)


def test_a_single_collateral_long_is_liquidated_where_its_coins_no_longer_cover_it() -> None:
    # $30,000 long from 60,000 with 0.05 XBT: 0.05 + 30000 (1/60000 - 1/p) = 300 / p.
    wallets = {"flex": flex(), "fi_xbtusd": single("0.05", "0", "0.005")}
    _, account = read([row("pi_xbtusd", "30000")], wallets, {"PI_XBTUSD": "60000"})
    assert account.name == "k:FI_XBTUSD"
    (position,) = account.positions
    assert (position.inverse, position.contract, position.quantity) == (True, "PI_XBTUSD", D("0.5"))
    point = assess(account, {}, NOW_NS).liquidation["BTC"]
    assert point.price is not None
    assert math.isclose(point.price, D(30300) / D("0.55"), rel_tol=1e-12)


def test_a_liquidation_threshold_below_the_maintenance_margin_is_a_multiple() -> None:
    account = single("0.05", "0", "0.005")
    account["marginRequirements"]["lt"] = D("0.004")
    account["triggerEstimates"] = {"im": 0, "mm": D(55100), "lt": D(54900), "tt": 0}
    _, found = read([row("pi_xbtusd", "30000")], {"flex": flex(), "fi_xbtusd": account}, {"PI_XBTUSD": "60000"})
    assert found.liquidation_multiple == D("0.8")
    assert found.positions[0].venue_liquidation_price == 54900
    point = assess(found, {}, NOW_NS).liquidation["BTC"]
    assert point.price is not None
    assert math.isclose(point.price, D(30240) / D("0.55"), rel_tol=1e-12)


def test_equity_below_the_maintenance_margin_is_a_margin_call() -> None:
    wallets = {"flex": flex(), "fi_xbtusd": single("0.004", "0", "0.005")}
    _, account = read([row("pi_xbtusd", "30000")], wallets, {"PI_XBTUSD": "60000"})
    assert account.margin_call is not None
    assert account.margin_call.amount == D("0.001") * 60000


def test_a_position_without_its_wallet_is_shown_as_unknown() -> None:
    _, account = read([row("pi_ethusd", "3000", "3000")], {"flex": flex()}, {"PI_ETHUSD": "3000"})
    assert account.name == "k:PI_ETHUSD"
    assert assess(account, {}, NOW_NS).severity is Severity.UNKNOWN


@pytest.mark.parametrize("lost", ["marginEquity", "pnl", "maintenanceMargin"])
def test_a_wallet_without_a_figure_makes_the_account_unknown(lost: str) -> None:
    wallet = flex(D(1500), pnl=D(0), maintenanceMargin=D(300))
    del wallet[lost]
    (account,) = read([row()], {"flex": wallet}, {"PF_XBTUSD": "60000"})
    assert any("liquidation unknown" in reason for reason in account.degraded)
    assert assess(account, {}, NOW_NS).severity is Severity.UNKNOWN


def test_no_position_is_an_empty_flex_account_and_old_wallets_stay_out() -> None:
    (account,) = read([row(size="0")], {"flex": flex(), "fi_xbtusd": single("0", "0", "0")}, {"PF_XBTUSD": "60000"})
    assert (account.name, account.positions) == ("k", ())


# Prices and frames.


def test_absolute_funding_becomes_a_rate_over_the_index() -> None:
    row_ = ticker(
        "pf_xbtusd", "60000", indexPrice=D(60010), fundingRate=D("0.6001"), fundingRatePrediction=D("-0.6001")
    )
    found = parse_tickers(dumps({"tickers": [row_, {"symbol": "in_xbtusd", "last": 1}]}).encode())
    assert found["PF_XBTUSD"].funding_rate == D("0.00001") * 24 * 365
    assert found["PF_XBTUSD"].predicted_funding_rate == D("-0.00001") * 24 * 365
    inverse = parse_tickers(dumps({"tickers": [ticker("PI_XBTUSD", "60000", fundingRate=D("1e-9"))]}).encode())
    assert inverse["PI_XBTUSD"].funding_rate is None


def test_the_feed_tells_relative_funding_and_when_it_is_due() -> None:
    frame = {
        "feed": "ticker",
        "product_id": "PI_XBTUSD",
        "markPrice": D(60000),
        "index": D(60001),
        "relative_funding_rate": D("0.00002"),
        "next_funding_rate_time": 1764003600000,
        "time": 7,
    }
    push = parse_tick(dumps(frame).encode())
    assert (push.contract, push.at_ms) == ("PI_XBTUSD", 7)
    assert push.market.funding_rate == D("0.00002") * 24 * 365
    assert push.market.next_funding_ns == 1764003600000 * 1_000_000


def test_wallet_frames_tell_cash_flex_its_parts_and_single_accounts() -> None:
    frame = {
        "feed": "balances",
        "holding": {"USDT": D("4997.5"), "XBT": D("0.12")},
        "futures": {"F-XBT:USD": {"pair": "XBT/USD", "unit": "XBT", "portfolio_value": D("0.1"), "pnl": 0}},
        "flex_futures": {
            "currencies": {"USD": {"quantity": 100, "value": 100, "collateral_value": 100}},
            "margin_equity": D(130),
            "pnl": D(10),
            "maintenance_margin": 3,
            "isolated": {"PF_ETHUSD": {"margin_equity": D(25), "pnl": D(5)}},
            "cross": {"margin_equity": D(105), "pnl": D(5)},
        },
        "timestamp": 5,
    }
    push = parse_wallets(dumps(frame).encode())
    wallets = push.wallets
    assert wallets.cash == {"USDT": D("4997.5"), "BTC": D("0.12")}
    assert wallets.singles[0].name == "FI_XBTUSD"
    assert wallets.flex is not None
    assert (wallets.flex.equity, wallets.coins["USD"].counted) == (130, 100)
    assert wallets.cross is not None
    assert wallets.isolated["PF_ETHUSD"].equity == 25


def test_an_order_book_is_in_base_quantities() -> None:
    book = {"bids": [[D(59000), D(59000)], [D(60000), D(30000)]], "asks": [[D(60100), D(60100)]]}
    inverse = parse_book(dumps({"orderBook": book}).encode(), "PI_XBTUSD", NOW_NS)
    assert [(level.price, level.quantity) for level in inverse.bids] == [(60000, D("0.5")), (59000, 1)]
    linear = parse_book(dumps({"orderBook": book}).encode(), "PF_XBTUSD", NOW_NS)
    assert linear.asks[0].quantity == 60100
    with pytest.raises(Malformed):
        parse_book(dumps({"orderBook": {"bids": [[D(-1), D(4)]], "asks": []}}).encode(), "PF_XBTUSD", NOW_NS)


@pytest.mark.parametrize(
    "fields", [{"side": "both"}, {"size": "NaN"}, {"price": -1}, {"price": "Infinity"}, {"size": None}, {"symbol": 5}]
)
def test_a_position_that_cannot_be_is_malformed(fields: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        parse_positions(dumps({"openPositions": [row() | fields]}).encode())


@pytest.mark.parametrize(
    "levels",
    [
        [{"maintenanceMargin": 0.01}],
        [{"contracts": 0, "maintenanceMargin": 2}],
        [{"contracts": 5, "maintenanceMargin": 0.01}],
        [{"contracts": 0, "maintenanceMargin": 0.02}, {"contracts": 10, "maintenanceMargin": 0.01}],
        [{"contracts": 0, "maintenanceMargin": "NaN"}],
    ],
)
def test_margin_levels_that_cannot_be_are_malformed(levels: list[dict[str, Any]]) -> None:
    with pytest.raises(Malformed):
        parse_instruments(dumps({"instruments": [{"symbol": "PI_XBTUSD", "marginLevels": levels}]}).encode())


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_raise_malformed(noise: bytes) -> None:
    for parse in (parse_positions, parse_accounts, parse_instruments, parse_tickers, parse_held, parse_tick):
        with pytest.raises(Malformed):
            parse(noise)
    assert problem_of(noise) == ""


# Signatures, nonces and refusals.

KEY = Credentials("account k", lambda: "test_api_key", lambda: SECRET)


@pytest.mark.parametrize(
    ("endpoint", "authent"),
    [
        (
            "openpositions",
            "Jd12q/AmL9sbt87ysqtiqWxV06x2SJv801VwAoJPcDe4lAjjS/8zrLm3vyjlppc+aeHyOmP8VyXwKhY2zKny4g==",
        ),
        ("accounts", "nJH9pTKkNbq08nxmP9E1eRLJOXsXZEQWSB4zXBICD91l16ZzyGddRkBKrB55ZwPEwFQy+iSRX9DQMNlD5OmKEA=="),
    ],
)
def test_a_request_is_signed_exactly_as_ccxt_signed_it(endpoint: str, authent: str) -> None:
    call = private_call("GET", endpoint, {}, KEY, "")
    assert call.path == f"/derivatives/api/v3/{endpoint}"
    assert call.headers == {"APIKey": "test_api_key", "Authent": authent}


@pytest.mark.parametrize(
    ("method", "endpoint", "fields"),
    [
        ("GET", "openpositions", {}),
        ("GET", "fills", {"lastFillTime": "2026-11-22T10:00:00.000Z"}),
        ("POST", "transfer", {"fromAccount": "cash", "toAccount": "flex", "unit": "usdt", "amount": "10"}),
        (
            "POST",
            "sendorder",
            {"orderType": "ioc", "symbol": "PF_XBTUSD", "side": "sell", "size": "0.1", "cliOrdId": "a b"},
        ),
    ],
)
def test_ccxt_agrees_in_every_field(method: str, endpoint: str, fields: dict[str, str]) -> None:
    import ccxt

    theirs = ccxt.krakenfutures({"apiKey": "test_api_key", "secret": SECRET}).sign(
        endpoint, ["private"], method, fields
    )
    ours = private_call(method, endpoint, fields, KEY, "")
    arguments = ours.query if method == "GET" else (ours.content or b"").decode()
    assert theirs["url"] == f"https://futures.kraken.com{ours.path}" + (f"?{arguments}" if arguments else "")
    assert theirs["method"] == ours.method
    for name in ("APIKey", "Authent"):
        assert theirs["headers"][name] == ours.headers[name]


def test_a_nonce_is_part_of_the_signature_and_goes_along() -> None:
    import hashlib
    import hmac

    call = private_call("POST", "transfer", {"unit": "usd"}, KEY, "17")
    digest = hashlib.sha256(b"unit=usd17/api/v3/transfer").digest()
    wanted = base64.b64encode(hmac.new(base64.b64decode(SECRET), digest, hashlib.sha512).digest()).decode()
    assert (call.headers["Authent"], call.headers["Nonce"], call.content) == (wanted, "17", b"unit=usd")


def test_a_challenge_is_signed_by_its_hash() -> None:
    import hashlib
    import hmac

    digest = hashlib.sha256(b"c094497e-9b5f-40da-a122-3751c39b107f").digest()
    wanted = base64.b64encode(hmac.new(base64.b64decode(SECRET), digest, hashlib.sha512).digest()).decode()
    assert signed_challenge(KEY, "c094497e-9b5f-40da-a122-3751c39b107f") == wanted


def test_nonces_rise_even_when_the_clock_stands_or_falls() -> None:
    times = iter([5_000_000, 5_000_000, 1_000_000, 9_000_000])
    nonces = Nonces(clock=lambda: next(times))
    assert [nonces.next() for _ in range(4)] == [5, 6, 7, 9]


def test_all_of_a_process_share_one_counter_per_key() -> None:
    again = Credentials("another account", lambda: "test_api_key", lambda: SECRET)
    other = Credentials("another account", lambda: "other_key", lambda: SECRET)
    assert nonces_of(KEY) is nonces_of(again)
    assert nonces_of(KEY) is not nonces_of(other)


@pytest.mark.parametrize(
    ("place", "word", "kind"),
    [
        ("GET /accounts", "apiLimitExceeded", RateLimited),
        ("GET /accounts", "authenticationError", Unauthorised),
        ("GET /accounts", "nonceBelowThreshold", Unreachable),
        ("POST /transfer", "nonceBelowThreshold", Refused),
        ("POST /transfer", "Unavailable", Unreachable),
        ("POST /transfer", "insufficientAvailableFunds", Refused),
    ],
)
def test_the_venues_words_become_errors_that_callers_act_on(place: str, word: str, kind: type[ProviderError]) -> None:
    error = judge(KEY)(place, 200, dumps({"result": "error", "error": word}).encode())
    assert type(error) is kind
    assert word in error.detail
    if kind is Unauthorised:
        assert "key .._key" in error.detail
        assert "General API: read only" in error.detail


def test_a_refused_nonce_makes_the_next_one_leap() -> None:
    before = nonces_of(KEY).next()
    judge(KEY)("GET /accounts", 200, b'{"result":"error","error":"nonceBelowThreshold"}')
    assert nonces_of(KEY).next() > before + 5000


def test_a_picture_without_anything_is_an_account_without_anything() -> None:
    (account,) = accounts("k", Picture(wallets=Wallets()))
    assert (account.name, account.positions, account.balance) == ("k", (), 0)
