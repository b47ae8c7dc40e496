"""dYdX v4: recorded figures, the documented liquidation price, isolated children, and frames nobody should believe."""

import json
from contextlib import suppress
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import Account, MarginMode
from engine.assess import assess
from engine.assessment import Direction
from providers.dydx import accounts, source
from providers.dydx_wire import (
    ChangePush,
    OraclePush,
    frame_parser,
    is_address,
    parse_frame,
    parse_markets,
    parse_subaccounts,
)
from providers.errors import ConfigError, Malformed
from providers.ports import AccountOptions
from providers.ws import Signal, SignalKind
from tests.dydx_server import ADDRESS

FIXTURES = Path(__file__).parents[1] / "fixtures" / "dydx"
WANTED = frozenset({"ETH-USD"})
NOW_NS = 1_764_000_000_000_000_000


def raw(value: object) -> bytes:
    return json.dumps(value).encode()


def parent(*children: dict[str, Any]) -> bytes:
    return raw({"subaccount": {"childSubaccounts": children}})


def market(price: str, maintenance: str = "0.05", **fields: Any) -> dict[str, Any]:
    return {"ticker": "ETH-USD", "oraclePrice": price, "maintenanceMarginFraction": maintenance} | fields


def child(number: int = 0, quote: str = "1000", side: str = "LONG", **positions: Any) -> dict[str, Any]:
    return {
        "subaccountNumber": number,
        "equity": "1000",
        "freeCollateral": "600",
        "openPerpetualPositions": {held["market"]: held for held in positions.values()},
        "assetPositions": {"USDC": {"size": quote, "symbol": "USDC", "side": side, "assetId": "0"}},
    }


def held(size: str, entry: str = "3000", ticker: str = "ETH-USD", **fields: Any) -> dict[str, Any]:
    side = "SHORT" if size.startswith("-") else "LONG"
    return {"market": ticker, "status": "OPEN", "side": side, "size": size, "entryPrice": entry} | fields


def read(children: list[dict[str, Any]], markets: dict[str, Any]) -> tuple[Account, ...]:
    reply = {"subaccount": {"parentSubaccountNumber": 0, "childSubaccounts": children}}
    return accounts("dx", 0, parse_subaccounts(raw(reply)), parse_markets(raw({"markets": markets})), NOW_NS)


def test_the_documented_short_is_liquidated_where_the_docs_say() -> None:
    (account,) = read([child(quote="10000", eth=held("-3"))], {"ETH-USD": market("3000")})
    assessed = assess(account, {}, NOW_NS)
    point = assessed.liquidation["ETH"]
    assert assessed.equity == 1000
    assert point.direction is Direction.UP
    assert point.price is not None
    assert abs(point.price - Decimal("3174.603174603174603")) < Decimal("1e-9")
    assert account.trigger == "oracle"


def test_the_recorded_position_keeps_its_sign_profit_and_funding() -> None:
    recorded = json.loads((FIXTURES / "positions.json").read_text())
    position = recorded["positions"][0]
    (account,) = read([child(quote="60000", btc=position)], recorded["markets"])
    (btc,) = account.positions
    assert btc.quantity == Decimal("-0.407")
    assert btc.mark_price is not None
    assert btc.entry_price is not None
    assert btc.funding_paid == Decimal("-503.13121")
    assert btc.next_funding_ns == (NOW_NS // 3_600_000_000_000 + 1) * 3_600_000_000_000
    assert btc.funding_rate is not None
    assert abs(btc.funding_rate - Decimal("0.00016451111111111111") * 8760) < Decimal("1e-12")
    assert account.initial_requirement == 400


def test_isolated_children_stand_alone_and_empty_ones_are_left_out() -> None:
    children = [child(0), child(128, quote="5000", side="SHORT", eth=held("2")), child(256)]
    cross, isolated = read(children, {"ETH-USD": market("3000")})
    assert (cross.name, cross.mode, cross.positions) == ("dx", MarginMode.CROSS, ())
    assert (isolated.name, isolated.mode) == ("dx:ETH", MarginMode.ISOLATED)
    assessed = assess(isolated, {}, NOW_NS)
    assert assessed.equity == 1000
    assert assessed.liquidation["ETH"].direction is Direction.DOWN


def test_a_market_that_is_not_told_leaves_liquidation_unknown_and_says_so() -> None:
    (account,) = read([child(eth=held("2"))], {})
    assert "ETH-USD" in account.degraded[0]
    assessed = assess(account, {}, NOW_NS)
    assert assessed.health_factor is None
    assert assessed.severity.value == "unknown"


def test_closed_and_empty_rows_hold_nothing_and_strangers_are_left_alone() -> None:
    one = child(eth=held("2", status="CLOSED"), btc=held("0", ticker="BTC-USD")) | {"marginEnabled": True, "new": []}
    (subaccount,) = parse_subaccounts(raw({"subaccount": {"childSubaccounts": [one]}}))
    assert subaccount.held == ()
    assert subaccount.quote == 1000


@pytest.mark.parametrize(
    "reply",
    [
        b"{",
        b'{"subaccount": 3}',
        *(
            raw({"subaccount": {"childSubaccounts": [{k: v for k, v in child(eth=held("2")).items() if k != gone}]}})
            for gone in ("subaccountNumber", "assetPositions", "openPerpetualPositions")
        ),
        parent(child(eth=held("NaN"))),
        parent(child(eth=held("2", entry="0"))),
        parent(child(eth=held("2") | {"entryPrice": None})),
        parent(child(quote="Infinity")),
        parent(child() | {"equity": "NaN"}),
        parent(child() | {"assetPositions": {"X": {"size": "1", "symbol": "WETH", "side": "LONG"}}}),
    ],
)
def test_replies_that_nobody_should_believe_are_malformed(reply: bytes) -> None:
    with pytest.raises(Malformed, match="dydx"):
        parse_subaccounts(reply)


def test_a_row_that_is_missing_is_told_by_the_equity_that_the_indexer_reports() -> None:
    whole = child(quote="10000", eth=held("-3"))
    for gone in ("assetPositions", "openPerpetualPositions"):
        (account,) = read([whole | {gone: {}}], {"ETH-USD": market("3000")})
        assert any("equity" in reason for reason in (*account.degraded, *assess(account, {}, NOW_NS).degraded)), gone
    (account,) = read([whole], {"ETH-USD": market("3000")})
    assert assess(account, {}, NOW_NS).degraded == ()


@pytest.mark.parametrize("fields", [{"oraclePrice": "-1"}, {"oraclePrice": "NaN"}, {"maintenanceMarginFraction": "1"}])
def test_markets_with_impossible_rules_are_malformed(fields: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        parse_markets(raw({"markets": {"ETH-USD": market("3000") | fields}}))


def test_frames_tell_prices_changes_and_refusals() -> None:
    update = {"type": "channel_data", "channel": "v4_markets", "contents": {"trading": {}}}
    prices = {"oraclePrices": {"ETH-USD": {"oraclePrice": "2990.5", "effectiveAt": "x"}}}
    assert parse_frame(raw(update | {"contents": prices}), WANTED) == (OraclePush("ETH-USD", Decimal("2990.5")),)
    batch = update | {"type": "channel_batch_data", "contents": [prices, {"trading": {}}]}
    assert parse_frame(raw(batch), WANTED) == (OraclePush("ETH-USD", Decimal("2990.5")),)
    assert parse_frame(raw(update), WANTED) == (Signal(SignalKind.ALIVE),)
    change = {"type": "channel_data", "channel": "v4_parent_subaccounts", "contents": {"fills": []}}
    assert parse_frame(raw(change), WANTED) == (ChangePush(),)
    refusal = {"type": "error", "message": "Invalid subscription id"}
    assert parse_frame(raw(refusal), WANTED) == (Signal(SignalKind.REJECTED, "Invalid subscription id"),)
    for bad in (b"[]", raw(update | {"contents": {"oraclePrices": {"ETH-USD": {"oraclePrice": "0"}}}})):
        with pytest.raises(Malformed):
            parse_frame(bad, WANTED)


def test_only_what_is_held_is_taken_from_the_markets_and_each_by_itself() -> None:
    told = {t: {"oraclePrice": p} for t, p in (("ETH-USD", "2990.5"), ("BTC-USD", "61000"), ("DOGE-USD", "-1"))}
    frame = raw({"type": "channel_data", "channel": "v4_markets", "contents": {"oraclePrices": told}})
    pushes = parse_frame(frame, frozenset({"ETH-USD", "BTC-USD"}))
    assert set(map(repr, pushes)) == {
        repr(OraclePush("ETH-USD", Decimal("2990.5"))),
        repr(OraclePush("BTC-USD", Decimal(61000))),
    }
    assert parse_frame(frame, frozenset()) == (Signal(SignalKind.ALIVE),)


def test_a_frame_that_is_no_younger_than_the_last_says_nothing() -> None:
    def frame(number: int, price: str) -> bytes:
        contents = {"oraclePrices": {"ETH-USD": {"oraclePrice": price}}}
        head = {"type": "channel_data", "channel": "v4_markets", "message_id": number}
        return raw(head | {"contents": contents})

    parse = frame_parser(WANTED)
    assert parse(frame(3, "2990"), 0) == (OraclePush("ETH-USD", Decimal(2990)),)
    assert parse(frame(3, "2990"), 0) == parse(frame(2, "3000"), 0) == ()
    assert parse(frame(4, "2980"), 0) == (OraclePush("ETH-USD", Decimal(2980)),)


def test_an_address_with_a_typing_error_is_none() -> None:
    assert is_address(ADDRESS)
    for wrong in (ADDRESS[:-1] + "q", ADDRESS.upper(), ADDRESS[:-1], "dydx1" + "q" * 38, "cosmos" + ADDRESS[4:], ""):
        assert not is_address(wrong), wrong


@given(st.binary(max_size=200))
def test_no_frame_breaks_the_parser(frame: bytes) -> None:
    with suppress(Malformed):
        parse_frame(frame, WANTED)


@pytest.mark.parametrize(
    ("address", "subaccount"),
    [(None, None), ("0x" + "ab" * 20, None), (ADDRESS[:-1] + "q", None), (ADDRESS, "128"), (ADDRESS, "-1")],
)
def test_a_wrong_address_or_parent_number_is_a_config_error(address: str | None, subaccount: str | None) -> None:
    with pytest.raises(ConfigError, match="dx"):
        source(AccountOptions("dx", "dydx", address=address, subaccount=subaccount))
