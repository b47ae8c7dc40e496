"""Brokers: what they tell of margin, what we make of it, and what is unknown because nobody tells."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import Account
from engine.assess import assess
from engine.assessment import Severity
from providers import alpaca, ibkr
from providers.broker_margin import SCALED, SPREAD, shares
from providers.errors import ConfigError, Malformed
from providers.ports import AccountOptions

DOCUMENTED = (Path(__file__).parents[1] / "fixtures" / "alpaca" / "account.json").read_bytes()
SPY = {"symbol": "SPY", "qty": "200", "side": "long", "current_price": "634.8038", "avg_entry_price": "500"}
NOW_NS = 1_764_000_000_000_000_000


def raw(value: object) -> bytes:
    return json.dumps(value).encode()


def at_alpaca(*positions: dict[str, Any], summary: bytes = DOCUMENTED, **rates: str) -> Account:
    told = {symbol: Decimal(rate) for symbol, rate in rates.items()}
    return alpaca.account_of("al", alpaca.parse_account(summary), alpaca.parse_positions(raw(positions)), told, None)


def test_the_documented_alpaca_account_adds_up() -> None:
    account = at_alpaca(SPY, SPY=("0.30"))
    assessed = assess(account, {}, NOW_NS)
    assert assessed.equity == Decimal("103820.56")
    assert assessed.maintenance_requirement == Decimal("38088.228")
    assert assessed.health_factor is not None
    assert abs(assessed.health_factor - Decimal("103820.56") / Decimal("38088.228")) < Decimal("1e-20")
    assert account.estimated == ""
    assert account.initial_requirement == Decimal("63480.38")
    assert account.degraded == ()
    assert account.margin_call is None
    # 126,960.76 x 0.3 is the documented requirement: the rate is the one of the position, not a guess.
    point = assessed.liquidation["SPY"]
    assert point.price is not None
    assert abs(point.price - Decimal("23140.2") / (Decimal(200) * Decimal("0.7"))) < Decimal("1e-9")


def test_without_rates_the_requirement_is_spread_by_value_and_said_to_be_an_estimate() -> None:
    account = at_alpaca({**SPY, "qty": "100"}, {**SPY, "symbol": "QQQ", "qty": "100"})
    assert account.estimated == SPREAD
    rates = {position.asset: position.tiers[0].maintenance_rate for position in account.positions}
    assert rates["SPY"] == rates["QQQ"]
    assert assess(account, {}, NOW_NS).maintenance_requirement == pytest.approx(Decimal("38088.228"))


def test_rates_that_do_not_add_up_leave_a_constant_rest() -> None:
    account = at_alpaca(SPY, SPY="0.25")
    assert account.estimated == SCALED
    assert account.extra_requirement == Decimal("38088.228") - Decimal("126960.76") * Decimal("0.25")


def test_equity_under_maintenance_is_a_call_for_the_difference() -> None:
    poor = raw(json.loads(DOCUMENTED) | {"equity": "30000", "cash": "-96960.76"})
    account = at_alpaca(SPY, summary=poor, SPY="0.3")
    assert account.margin_call is not None
    assert account.margin_call.amount == Decimal("8088.228")
    assert account.margin_call.due_ns is None
    assert assess(account, {}, NOW_NS).severity is Severity.LIQUIDATABLE


def test_a_short_is_negative_and_crypto_supports_nothing_but_itself() -> None:
    coin = {"symbol": "BTCUSD", "qty": "0.1", "asset_class": "crypto", "current_price": "60000"}
    short = {"symbol": "TSLA", "qty": "-10", "side": "short", "current_price": "300"}
    account = at_alpaca(coin, short)
    assert [position.quantity for position in account.positions] == [Decimal("0.1"), Decimal(-10)]
    assert account.positions[0].tiers[0].maintenance_rate == 1


def test_what_alpaca_leaves_out_is_unknown() -> None:
    account = at_alpaca(SPY, summary=b'{"status": "ACCOUNT_CLOSED", "trading_blocked": true}')
    assert "cash not reported: equity unknown" in account.degraded
    assert account.reported is not None
    assert account.reported.status == "trading blocked, status ACCOUNT CLOSED"
    assert assess(account, {}, NOW_NS).severity is Severity.UNKNOWN
    (unpriced,) = at_alpaca({**SPY, "current_price": None}).positions
    assert (unpriced.mark_price, unpriced.tiers) == (None, ())


def test_hours_are_told_in_utc_nanoseconds() -> None:
    session = alpaca.parse_clock(
        raw({"is_open": False, "next_open": "2026-11-27T09:30:00-05:00", "next_close": "2026-11-27T13:00:00-05:00"})
    )
    assert (session.is_open, session.opens_ns) == (False, 1_795_789_800_000_000_000)
    for bad in ("noon", "2026-11-27T09:30:00"):
        with pytest.raises(Malformed):
            alpaca.parse_clock(raw({"is_open": True, "next_close": bad}))


def test_alpaca_rates_come_in_percent_by_side() -> None:
    asset = raw({"margin_requirement_long": "30", "margin_requirement_short": "40"})
    assert alpaca.parse_rate(asset, is_long=True) == Decimal("0.3")
    assert alpaca.parse_rate(asset, is_long=False) == Decimal("0.4")
    assert alpaca.parse_rate(raw({"maintenance_margin_requirement": 25}), is_long=True) == Decimal("0.25")
    assert alpaca.parse_rate(b"{}", is_long=True) is None
    with pytest.raises(Malformed):
        alpaca.parse_rate(raw({"margin_requirement_long": "-3"}), is_long=True)


@pytest.mark.parametrize("reply", [b"[", b"{}", raw([{"symbol": "A"}]), raw([{"symbol": "A", "qty": "NaN"}])])
def test_alpaca_positions_that_nobody_should_believe_are_malformed(reply: bytes) -> None:
    with pytest.raises(Malformed):
        alpaca.parse_positions(reply)


def test_alpaca_without_key_is_a_config_error() -> None:
    with pytest.raises(ConfigError, match="key and secret"):
        alpaca.source(AccountOptions("al", "alpaca"))


def amount(value: float | str, **fields: Any) -> dict[str, Any]:
    return {"amount": value, "currency": "USD", "isNull": False, "timestamp": 1, "value": None, "severity": 0} | fields


SUMMARY = {
    "equitywithloanvalue": amount(50000),
    "maintmarginreq": amount(20000),
    "initmarginreq": amount(25000),
    "excessliquidity": amount(30000),
    "totalcashvalue": amount(-30000),
    "cushion": amount(0.6),
    "lookaheadexcessliquidity": amount(28000),
    "lookaheadnextchange": amount(1764000000),
}
LEDGER = {"USD": {"exchangerate": 1}, "EUR": {"exchangerate": 1.1}, "BASE": {"exchangerate": 1}}


def at_ibkr(*positions: dict[str, Any], **changed: Any) -> Account:
    summary = ibkr.parse_summary(raw(SUMMARY | changed))
    return ibkr.account_of("ib", summary, ibkr.parse_positions(raw(positions)), ibkr.parse_rates(raw(LEDGER)))


def row(name: str, quantity: float, value: float, currency: str = "USD", **fields: Any) -> dict[str, Any]:
    return {
        "contractDesc": name,
        "position": quantity,
        "mktValue": value,
        "mktPrice": 1,
        "currency": currency,
        "assetClass": "STK",
    } | fields


def test_ibkr_counts_in_the_base_currency_and_settles_futures_daily() -> None:
    account = at_ibkr(
        row("SPY", 100, 58000),
        row("ASML", 20, 20000, "EUR", ticker="ASML"),
        row("ES DEC26", 1, 300000, assetClass="FUT"),
    )
    assessed = assess(account, {}, NOW_NS)
    assert assessed.equity == -30000 + 58000 + 22000
    assert assessed.maintenance_requirement == 20000
    assert assessed.health_factor == Decimal("2.5")
    assert [position.asset for position in account.positions] == ["SPY", "ASML", "ES DEC26"]
    assert account.estimated == SPREAD
    assert "28000.00 USD" in account.note
    assert account.margin_call is None


def test_ibkr_says_what_is_due_after_the_next_margin_change() -> None:
    account = at_ibkr(row("SPY", 100, 80000), lookaheadexcessliquidity=amount(-1500))
    assert account.margin_call is not None
    assert (account.margin_call.amount, account.margin_call.due_ns) == (1500, 1_764_000_000_000_000_000)
    due = at_ibkr(row("SPY", 100, 80000), excessliquidity=amount(-10))
    assert due.margin_call is not None
    assert due.margin_call.amount == 10


def test_ibkr_positions_in_a_currency_without_a_rate_are_unknown() -> None:
    account = at_ibkr(row("7203", 100, 200000, "JPY"))
    assert account.degraded == ("no exchange rate of JPY: 7203 unknown",)
    assert assess(account, {}, NOW_NS).equity is None


def test_two_lines_of_one_name_stay_apart_and_empty_ones_go() -> None:
    account = at_ibkr(row("SPY", 100, 58000), row("SPY", -1, -500, assetClass="OPT"), row("QQQ", 0, 0))
    assert [position.asset for position in account.positions] == ["SPY", "SPY#2"]
    assert account.positions[1].mark_price == 500


def test_ibkr_names_what_it_cannot_tell_apart() -> None:
    account = at_ibkr(row("SPY", 100, 58000, ""), row("ES DEC26", 1, 300000, assetClass=""))
    assert any("currency of SPY not told" in reason for reason in account.degraded)
    assert any("kind of ES DEC26 not told" in reason for reason in account.degraded)
    nameless = {key: {**value, "currency": None} for key, value in SUMMARY.items()}
    assert any("base currency not reported" in reason for reason in at_ibkr(**nameless).degraded)


def test_ibkr_without_an_excess_is_called_by_equity_and_maintenance() -> None:
    account = at_ibkr(row("SPY", 100, 40000), excessliquidity=amount(0, isNull=True), equitywithloanvalue=amount(19000))
    assert account.margin_call is not None
    assert account.margin_call.amount == 1000


def test_ibkr_deadlines_may_come_in_milliseconds() -> None:
    changed = {"lookaheadexcessliquidity": amount(-1), "lookaheadnextchange": amount(1764000000000)}
    account = at_ibkr(row("SPY", 100, 80000), **changed)
    assert account.margin_call is not None
    assert account.margin_call.due_ns == 1_764_000_000_000_000_000


def test_ibkr_null_amounts_are_not_zero() -> None:
    account = at_ibkr(
        row("SPY", 100, 58000), totalcashvalue=amount(0, isNull=True), maintmarginreq=amount(0, isNull=True)
    )
    assert "cash not reported: equity or health unknown" in account.degraded
    assert account.reported is not None
    assert account.reported.maintenance_requirement is None
    assert assess(account, {}, NOW_NS).severity is Severity.UNKNOWN


@pytest.mark.parametrize("reply", [b"[]", raw({"cushion": 3}), raw({"totalcashvalue": amount("NaN")})])
def test_ibkr_summaries_that_nobody_should_believe_are_malformed(reply: bytes) -> None:
    with pytest.raises(Malformed):
        ibkr.parse_summary(reply)


@given(
    st.dictionaries(st.sampled_from("ABCDE"), st.decimals(-1000, 1000, places=2).filter(bool), min_size=1),
    st.decimals(0, 5000, places=2),
    st.sets(st.sampled_from("ABCDE")),
)
def test_shares_always_add_up_to_the_brokers_own_requirement(
    values: dict[str, Decimal], requirement: Decimal, known: set[str]
) -> None:
    split = shares(values, dict.fromkeys(sorted(known), Decimal("0.25")), requirement)
    assert split.rates.keys() == values.keys()
    total = sum((abs(value) * split.rates[name] for name, value in values.items()), split.extra)
    assert abs(total - requirement) < Decimal("1e-15")
