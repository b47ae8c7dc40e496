"""Hyperliquid's wire: recorded figures, every tier form, and frames that nobody should believe."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import Account, MarginMode, Tier, VenueReport
from engine.assess import assess
from engine.assessment import Direction, Method, Severity
from providers.errors import Malformed
from providers.hyperliquid_accounts import Picture, accounts, marks, with_market, with_state, with_universe
from providers.hyperliquid_spot_wire import parse_dexes, parse_spot
from providers.hyperliquid_wire import (
    AccountMode,
    DexState,
    MarketPush,
    StatePush,
    parse_mode,
    parse_push,
    parse_state,
    parse_universe,
)

FIXTURES = Path(__file__).parents[1] / "fixtures" / "hyperliquid"
USER = "0x" + "ab" * 20

ISOLATED = {
    "marginSummary": {"accountValue": "76.206517", "totalRawUsd": "268.786517"},
    "crossMarginSummary": {"accountValue": "57.6421", "totalRawUsd": "57.6421"},
    "crossMaintenanceMarginUsed": "0.0",
    "assetPositions": [
        {
            "type": "oneWay",
            "position": {
                "coin": "HYPE",
                "szi": "-4.0",
                "leverage": {"type": "isolated", "value": 10, "rawUsd": "211.144417"},
                "entryPx": "47.9932",
                "positionValue": "192.58",
                "liquidationPx": "50.2724802381",
                "marginUsed": "18.564417",
                "maxLeverage": 10,
                "cumFunding": {"allTime": "0.0"},
            },
        }
    ],
    "time": 1761803589961,
    "somethingNew": {"a": [1]},
}
"""A documented reply (hyperliquid.gitbook.io "Info endpoint"; the same figures in ccxt's static response tests)."""


def raw(value: object) -> bytes:
    return json.dumps(value).encode()


def one_position(**fields: Any) -> bytes:
    """Return a state with one cross position of 2 ETH, with some fields of it replaced (`...` removes one)."""
    position = {
        "coin": "ETH",
        "szi": "2",
        "leverage": {"type": "cross", "value": 10},
        "entryPx": "2500",
        "positionValue": "5200",
        "liquidationPx": "1800.5",
        "marginUsed": "520",
        "maxLeverage": 25,
    }
    position = {name: value for name, value in (position | fields).items() if value is not ...}
    summary = {"accountValue": "1500"}
    return raw(
        {
            "marginSummary": summary,
            "crossMarginSummary": summary,
            "crossMaintenanceMarginUsed": "104",
            "assetPositions": [{"type": "oneWay", "position": position}],
        }
    )


def picture(state: bytes, universe: bytes | None = None, **fields: Any) -> Picture:
    seen = Picture({}, **fields)
    if universe is not None:
        seen = with_universe(seen, "", parse_universe(universe))
    return with_state(seen, "", parse_state(state))


def recorded() -> Account:
    """Return the recorded account of twelve cross positions."""
    state, meta = ((FIXTURES / name).read_bytes() for name in ("cross_account.json", "meta.json"))
    (account,) = accounts("hl", picture(state, meta))
    return account


def test_the_recorded_cross_account_keeps_the_venues_equity() -> None:
    account = recorded()
    assert account.mode is MarginMode.CROSS
    assert len(account.positions) == 12
    assessed = assess(account, {}, 0)
    assert assessed.equity == Decimal("1182.312496")
    assert assessed.maintenance_requirement == Decimal("34.34815334")
    assert account.reported is not None
    assert account.reported.equity == Decimal("1182.312496")
    assert account.reported.maintenance_requirement is None


def test_the_recorded_liquidation_prices_follow_from_what_we_parsed() -> None:
    account = recorded()
    assessed = assess(account, {}, 0)
    shown = {held.asset: held for held in account.positions if held.venue_liquidation_price is not None}
    assert sorted(shown) == ["APE", "ATOM", "BTC", "DYDX", "OP"]
    assert assessed.equity is not None
    assert assessed.maintenance_requirement is not None
    room = assessed.equity - assessed.maintenance_requirement
    for held in shown.values():
        assert held.mark_price is not None
        assert held.venue_liquidation_price is not None
        of_2023 = held.mark_price + room / abs(held.quantity)
        assert abs(held.venue_liquidation_price / of_2023 - 1) < Decimal("1e-8")
        today = held.mark_price + room / abs(held.quantity) / (1 + held.tiers[0].maintenance_rate)
        ours = assessed.liquidation[held.asset]
        assert ours.direction is Direction.UP
        assert ours.price is not None
        assert abs(ours.price / today - 1) < Decimal("1e-20")


def test_every_recorded_isolated_liquidation_price_is_reproduced() -> None:
    worst = Decimal(0)
    for case in json.loads((FIXTURES / "isolated.json").read_text(), parse_float=Decimal):
        size = case["size"] if case["side"] == "long" else -case["size"]
        value, margin = case["size"] * case["entry"], case["isolated_margin"]
        state = {
            "crossMarginSummary": {"accountValue": "0"},
            "assetPositions": [
                {
                    "position": {
                        "coin": case["coin"],
                        "szi": str(size),
                        "leverage": {"type": "isolated", "rawUsd": str(margin - size * case["entry"])},
                        "entryPx": str(case["entry"]),
                        "positionValue": str(value),
                        "liquidationPx": str(case["expected_liq"]),
                        "marginUsed": str(margin),
                        "maxLeverage": case["max_leverage"],
                    }
                }
            ],
        }
        _, account = accounts("hl", picture(raw(state)))
        price = assess(account, {}, 0).liquidation[case["coin"]].price
        assert price is not None
        assert account.positions[0].venue_liquidation_price == case["expected_liq"]
        worst = max(worst, abs(price / case["expected_liq"] - 1))
    assert Decimal(0) < worst < Decimal("1e-7")


def test_an_isolated_position_is_an_account_of_its_own() -> None:
    cross, isolated = accounts("hl", picture(raw(ISOLATED)))
    assert (cross.name, isolated.name) == ("hl", "hl:HYPE")
    assert (cross.mode, isolated.mode) == (MarginMode.CROSS, MarginMode.ISOLATED)
    assert cross.positions == ()
    assert cross.balance == Decimal("57.6421")
    assessed = assess(isolated, {}, 0)
    assert assessed.equity == Decimal("18.564417")
    price = assessed.liquidation["HYPE"].price
    assert price is not None
    assert abs(price - Decimal("50.2724802381")) < Decimal("1e-9")
    assert isolated.positions[0].mark_price == Decimal("48.145")


def test_an_isolated_position_without_raw_usd_rests_on_its_margin() -> None:
    with_raw = accounts("hl", picture(raw(ISOLATED)))[1]
    state = json.loads(raw(ISOLATED))
    del state["assetPositions"][0]["position"]["leverage"]["rawUsd"]
    without = accounts("hl", picture(raw(state)))[1]
    assert abs(without.balance - with_raw.balance) < Decimal("1e-9")


def test_an_empty_user_still_has_an_account_worth_nothing() -> None:
    empty = {
        "marginSummary": {"accountValue": "0.0"},
        "crossMarginSummary": {"accountValue": "0.0"},
        "assetPositions": [],
    }
    (account,) = accounts("hl", picture(raw(empty)))
    assert account.balance == 0
    assert account.positions == ()
    assert assess(account, {}, 0).severity is Severity.SAFE


@pytest.mark.parametrize("size", ["0", "0.0", 0, "-0.0"])
def test_a_position_of_size_zero_is_none(size: object) -> None:
    (account,) = accounts("hl", picture(one_position(szi=size)))
    assert account.positions == ()


def test_numbers_may_come_as_numbers() -> None:
    text = one_position()
    numbers = one_position(szi=2, entryPx=2500, positionValue=5200.0, liquidationPx=1800.5, marginUsed=520)
    assert accounts("hl", picture(text)) == accounts("hl", picture(numbers))


def test_the_balance_is_the_wallet_without_unrealised_profit() -> None:
    (account,) = accounts("hl", picture(one_position()))
    assert account.balance == 1500 - 2 * (2600 - 2500)
    assert account.quote == "USDC"
    assert account.reported is not None
    assert account.reported.maintenance_requirement == 104


def test_no_liquidation_price_is_none_and_not_zero() -> None:
    for nothing in (None, "0", "0.0", "-12.5", ...):
        (account,) = accounts("hl", picture(one_position(liquidationPx=nothing)))
        assert account.positions[0].venue_liquidation_price is None


def test_a_missing_entry_price_counts_as_the_mark() -> None:
    (account,) = accounts("hl", picture(one_position(entryPx=None)))
    assert account.positions[0].entry_price == 2600
    assert assess(account, {}, 0).equity == 1500


def test_a_missing_value_leaves_the_account_unknown_and_says_so() -> None:
    (account,) = accounts("hl", picture(one_position(positionValue=...)))
    assert account.degraded == ("margin tiers of ETH unread: its first tier for all sizes", "no mark price of ETH")
    assert assess(account, {}, 0).severity is Severity.UNKNOWN


def test_a_missing_account_value_leaves_only_what_the_venue_says() -> None:
    state = json.loads(one_position())
    del state["crossMarginSummary"], state["marginSummary"]
    (account,) = accounts("hl", picture(raw(state)))
    assert "account value not reported: liquidation unknown" in account.degraded
    assessed = assess(account, {}, 0)
    assert assessed.health_factor is None
    assert assessed.method is Method.VENUE
    assert assessed.liquidation["ETH"].price == Decimal("1800.5")


def test_the_account_value_of_the_whole_user_serves_without_the_cross_one() -> None:
    state = json.loads(raw(ISOLATED))
    del state["crossMarginSummary"]
    cross, _ = accounts("hl", picture(raw(state)))
    assert cross.balance == Decimal("76.206517") - Decimal("18.564417")


META = {
    "universe": [
        {"name": "BTC", "szDecimals": 5, "maxLeverage": 40, "marginTableId": 56},
        {"name": "SAGA", "maxLeverage": 3, "marginTableId": 3},
        {"name": "OLD", "maxLeverage": 50},
        {"name": "ODD", "maxLeverage": 10, "marginTableId": 99},
    ],
    "marginTables": [
        [50, {"description": "", "marginTiers": [{"lowerBound": "0.0", "maxLeverage": 50}]}],
        [
            56,
            {
                "description": "tiered 40x",
                "marginTiers": [
                    {"lowerBound": "0.0", "maxLeverage": 40},
                    {"lowerBound": "150000000.0", "maxLeverage": 20},
                ],
            },
        ],
    ],
}
CONTEXTS = [
    {"funding": "0.0000125", "markPx": "61000.5", "oraclePx": "61010", "premium": None, "midPx": "61000"},
    {"funding": "-0.00002", "markPx": "2.5", "oraclePx": "2.49"},
]


def test_tiers_come_from_the_table_the_id_or_the_leverage() -> None:
    markets = parse_universe(raw([META, CONTEXTS])).markets
    assert markets["BTC"].tiers == (
        Tier(Decimal(0), Decimal("0.0125")),
        Tier(Decimal(150_000_000), Decimal("0.025"), Decimal(1_875_000)),
    )
    assert markets["SAGA"].tiers == (Tier(Decimal(0), Decimal(1) / 6),)
    assert markets["OLD"].tiers == (Tier(Decimal(0), Decimal("0.01")),)
    assert markets["ODD"].tiers == ()


def test_funding_is_hourly_on_the_wire_and_annual_here() -> None:
    markets = parse_universe(raw([META, CONTEXTS])).markets
    assert markets["BTC"].funding_rate == Decimal("0.1095")
    assert markets["SAGA"].funding_rate == Decimal("-0.1752")
    assert markets["OLD"].funding_rate is None


def test_a_bare_meta_has_rules_without_prices() -> None:
    markets = parse_universe(raw(META)).markets
    assert markets["BTC"].mark_price is None
    assert len(markets["BTC"].tiers) == 2


@pytest.mark.parametrize("leverage", [0, "0", "-5", "NaN"])
def test_a_tier_without_leverage_is_malformed(leverage: object) -> None:
    meta = {"universe": [{"name": "BTC", "maxLeverage": leverage}]}
    with pytest.raises(Malformed, match="BTC"):
        parse_universe(raw(meta))


@pytest.mark.parametrize(
    ("said", "mode"),
    [
        ("default", AccountMode.STANDARD),
        ("disabled", AccountMode.STANDARD),
        (None, AccountMode.STANDARD),
        ("unifiedAccount", AccountMode.UNIFIED),
        ("portfolioMargin", AccountMode.PORTFOLIO),
        ("dexAbstraction", AccountMode.DEX_ABSTRACTION),
        ("unread", AccountMode.UNKNOWN),
        ("quantumMargin", AccountMode.UNKNOWN),
    ],
)
def test_account_modes(said: str | None, mode: AccountMode) -> None:
    assert parse_mode(raw(said)) is mode


def test_a_unified_account_is_backed_by_spot_usdc() -> None:
    state = json.loads(one_position())
    state["crossMarginSummary"] = state["marginSummary"] = {"accountValue": "0.0"}
    spot = parse_spot(raw({"balances": [{"coin": "USDC", "token": 0, "total": "1300.25", "hold": "520.0"}]}))
    (account,) = accounts("hl", picture(raw(state), mode=AccountMode.UNIFIED, spot=spot.balances))
    assert account.balance == Decimal("1300.25")
    assert account.reported is not None
    assert account.reported.equity is None
    assessed = assess(account, {}, 0)
    assert assessed.equity == Decimal("1500.25")
    assert assessed.severity is not Severity.UNKNOWN


def test_a_unified_account_without_its_spot_balance_is_unknown() -> None:
    (account,) = accounts("hl", picture(one_position(), mode=AccountMode.UNIFIED))
    assert assess(account, {}, 0).severity is Severity.UNKNOWN
    assert any("spot USDC" in reason for reason in account.degraded)


def test_isolated_margin_is_taken_off_a_unified_balance() -> None:
    cross, isolated = accounts("hl", picture(raw(ISOLATED), mode=AccountMode.UNIFIED, spot={"USDC": Decimal(100)}))
    assert cross.balance == Decimal(100) - Decimal("18.564417")
    assert "isolated margin is taken off the unified balance" in cross.degraded
    assert isolated.balance > 0


@pytest.mark.parametrize("mode", [AccountMode.PORTFOLIO, AccountMode.UNKNOWN])
def test_a_mode_whose_liquidation_only_the_venue_knows_is_unknown(mode: AccountMode) -> None:
    (account,) = accounts("hl", picture(one_position(), mode=mode, spot={"USDC": Decimal(9000)}))
    assert assess(account, {}, 0).severity is Severity.UNKNOWN
    assert account.positions[0].venue_liquidation_price is None
    assert account.reported == VenueReport()
    assert any("liquidation unknown" in reason for reason in account.degraded)


def test_an_unread_mode_counts_as_standard_only_with_a_value() -> None:
    (valued,) = accounts("hl", picture(one_position(), mode=AccountMode.UNREAD))
    assert assess(valued, {}, 0).severity is not Severity.UNKNOWN
    assert "account mode unread: taken as standard" in valued.degraded
    state = json.loads(one_position())
    state["crossMarginSummary"] = {"accountValue": "0.0"}
    (zeroed,) = accounts("hl", picture(raw(state), mode=AccountMode.UNREAD))
    assert assess(zeroed, {}, 0).severity is Severity.UNKNOWN


def test_another_dex_is_another_account_unless_collateral_is_shared() -> None:
    here, there = parse_state(one_position()), parse_state(one_position(coin="xyz:TSLA"))
    apart = accounts("hl", Picture({"": here, "xyz": there, "flx": DexState()}))
    assert [account.name for account in apart] == ["hl", "hl:xyz"]
    shared = accounts("hl", Picture({"": here, "xyz": there}, mode=AccountMode.UNIFIED, spot={"USDC": Decimal(900)}))
    assert [account.name for account in shared] == ["hl"]
    assert [held.asset for held in shared[0].positions] == ["ETH", "xyz:TSLA"]
    assert shared[0].reported is not None
    assert shared[0].reported.maintenance_requirement == 208


def test_dexes_are_named_and_the_main_one_is_null() -> None:
    assert parse_dexes(raw([None, {"name": "xyz", "fullName": "XYZ"}, {"name": "flx"}])) == ("xyz", "flx")


def test_a_pushed_price_moves_the_mark_and_the_equity_only() -> None:
    before = picture(one_position(), raw([META, CONTEXTS]))
    push = parse_push(raw({"channel": "activeAssetCtx", "data": {"coin": "ETH", "ctx": {"markPx": "2550"}}}), USER)
    assert push == MarketPush("ETH", Decimal(2550), None, None)
    (old,), (new,) = accounts("hl", before), accounts("hl", with_market(before, push))
    assert new.balance == old.balance
    assert new.positions[0].mark_price == 2550
    assert marks([new], 5)["ETH"].price == 2550


def test_a_pushed_state_is_read_from_both_channels_and_only_for_our_user() -> None:
    state = json.loads(one_position())
    new = parse_push(
        raw({"channel": "clearinghouseState", "data": {"dex": "xyz", "user": USER, "clearinghouseState": state}}), USER
    )
    old = parse_push(
        raw({"channel": "webData2", "data": {"user": USER.upper(), "clearinghouseState": state, "x": 1}}), USER.lower()
    )
    assert isinstance(new, StatePush)
    assert isinstance(old, StatePush)
    assert (new.dex, old.dex) == ("xyz", "")
    assert new.state == old.state == parse_state(one_position())
    other = {"channel": "webData2", "data": {"user": "0x" + "cd" * 20, "clearinghouseState": state}}
    assert parse_push(raw(other), USER) is None


@pytest.mark.parametrize(
    "frame",
    [
        {"channel": "pong"},
        {"channel": "subscriptionResponse", "data": {"method": "subscribe"}},
        {"channel": "notification", "data": "hello"},
        {"channel": "activeAssetCtx", "data": {"coin": "ETH", "ctx": {"markPx": None}}},
    ],
)
def test_frames_that_do_not_concern_us_bring_nothing(frame: object) -> None:
    assert parse_push(raw(frame), USER) is None


def test_an_error_frame_is_its_words_made_harmless() -> None:
    words = parse_push(raw({"channel": "error", "data": "Invalid \x1b[31msubscription\r\n" + "x" * 9999}), USER)
    assert isinstance(words, str)
    assert words.startswith("Invalid [31msubscription")
    assert len(words) <= 160


@pytest.mark.parametrize("wrong", ["NaN", "Infinity", "-Infinity", "1e999", "abc", True, [], {}])
@pytest.mark.parametrize("name", ["szi", "entryPx", "positionValue", "liquidationPx", "marginUsed", "maxLeverage"])
def test_a_number_that_is_none_is_malformed(name: str, wrong: object) -> None:
    with pytest.raises(Malformed):
        parse_state(one_position(**{name: wrong}))


@pytest.mark.parametrize("name", ["entryPx", "positionValue"])
def test_a_negative_price_is_malformed(name: str) -> None:
    with pytest.raises(Malformed, match="negative"):
        parse_state(one_position(**{name: "-1"}))


@pytest.mark.parametrize(
    "value", [b"", b"null", b"[]", b"{", b'{"assetPositions":[{}]}', b'{"assetPositions":7}', b"\xff"]
)
def test_a_reply_of_another_shape_is_malformed(value: bytes) -> None:
    with pytest.raises(Malformed):
        parse_state(value)


def test_a_truncated_frame_is_malformed_at_every_length() -> None:
    whole = raw({"channel": "activeAssetCtx", "data": {"coin": "ETH", "ctx": {"markPx": "2550"}}})
    for length in range(len(whole)):
        with pytest.raises(Malformed):
            parse_push(whole[:length], USER)


@given(st.text(max_size=400))
def test_a_coins_name_is_harmless_whatever_it_was(name: str) -> None:
    (account,) = accounts("hl", picture(one_position(coin=name)))
    asset = account.positions[0].asset
    assert 0 < len(asset) <= 24
    assert asset.isascii()
    assert asset.isprintable()


@given(
    st.decimals("-1000", "1000", places=4, allow_nan=False).filter(bool),
    st.decimals("0.01", "100000", places=2),
    st.decimals("0.01", "100000", places=2),
    st.decimals("-100000", "1000000", places=6),
)
def test_equity_is_the_venues_whatever_the_position(
    size: Decimal, entry: Decimal, mark: Decimal, value: Decimal
) -> None:
    state = {
        "crossMarginSummary": {"accountValue": str(value)},
        "assetPositions": [
            {
                "position": {
                    "coin": "ETH",
                    "szi": str(size),
                    "entryPx": str(entry),
                    "positionValue": str(abs(size) * mark),
                }
            }
        ],
    }
    (account,) = accounts("hl", picture(raw(state)))
    held = account.positions[0]
    assert held.mark_price is not None
    assert held.entry_price is not None
    equity = account.balance + held.quantity * (held.mark_price - held.entry_price)
    assert abs(equity - value) < Decimal("1e-12")
