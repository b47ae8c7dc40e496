"""Binance futures wallets as accounts, judged by the engine, against figures that the venue itself gave."""

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from engine.accounts import Account, Tier
from engine.assess import assess
from engine.prices import OraclePrice
from providers.binance_futures.accounts import Picture, accounts, marks
from providers.binance_futures.wire import (
    AssetIndex,
    Held,
    Modes,
    Purse,
    State,
    parse_account,
    parse_brackets,
    parse_positions,
)

FIXTURES = Path(__file__).parents[1] / "fixtures" / "binance_futures"
TIERS = parse_brackets((FIXTURES / "brackets.json").read_bytes())
CASES: list[dict[str, Any]] = json.loads((FIXTURES / "positions.json").read_text())["cases"]
ZERO = Decimal(0)


def usdt(cross: str, profit: str = "0", maintenance: str | None = None) -> State:
    purse = Purse(
        "USDT", Decimal(cross), Decimal(cross), Decimal(profit), Decimal(maintenance) if maintenance else None
    )
    return State({"USDT": purse}, Purse(""), {})


def held(symbol: str, amount: str, entry: str, mark: str, **more: Any) -> Held:
    coin = "USDC" if symbol.endswith("USDC") else "USDT"
    return Held(symbol, more.pop("side", "BOTH"), Decimal(amount), coin, Decimal(entry), Decimal(mark), **more)


def picture(*positions: Held, state: State | None = None, multi: bool = False, **more: Any) -> Picture:
    tiers = more.pop("tiers", TIERS)
    return Picture(positions, state or usdt("10000"), Modes(multi, is_hedged=False), tiers=tiers, **more)


def near(ours: Decimal | None, theirs: Decimal | float | str) -> bool:
    assert ours is not None
    theirs = Decimal(str(theirs))
    return abs(ours - theirs) <= abs(theirs) * Decimal("1e-6")


@pytest.mark.parametrize("case", CASES[:2], ids=["all", "one symbol"])
def test_the_recorded_position_is_liquidated_where_the_venue_says(case: dict[str, Any]) -> None:
    expected = case["expected"][0]
    positions = parse_positions(json.dumps(case["httpResponse"]).encode())
    wallet = usdt(str(expected["collateral"]), str(expected["unrealizedPnl"]))
    (account,) = accounts("bn", picture(*positions, state=wallet), 0)
    judged = assess(account, {}, 0)
    assert near(judged.liquidation["BTC"].price, expected["liquidationPrice"])
    assert near(judged.maintenance_requirement, expected["notional"] * 0.004)
    assert near(judged.maintenance_requirement, case["httpResponse"][0]["maintMargin"])
    assert judged.degraded == ()


def test_the_published_cross_example_is_liquidated_where_binance_says() -> None:
    # risk/perps.json: 3,683.979 ETH at 1,456.84 beside 109.488 BTC at 32,481.98 on a wallet of 1,535,443.01.
    tiers = {
        "ETHUSDT": (Tier(ZERO, Decimal("0.1"), Decimal("135365")),),
        "BTCUSDT": (Tier(ZERO, Decimal("0.025"), Decimal("16300")),),
    }
    positions = (
        held("ETHUSDT", "3683.979", "1456.84", "1335.18"),
        held("BTCUSDT", "109.488", "32481.98", "31967.27"),
    )
    (account,) = accounts("bn", picture(*positions, state=usdt("1535443.01"), tiers=tiers), 0)
    found = assess(account, {}, 0).liquidation["ETH"].price
    assert near(found, "1153.256464239104")
    assert found is not None
    assert round(found, 2) == Decimal("1153.26")


def test_the_recorded_multi_assets_account_is_as_healthy_as_the_venue_says() -> None:
    case = CASES[2]
    state = parse_account(json.dumps(case["httpResponse"]).encode())
    positions = parse_positions(json.dumps(CASES[0]["httpResponse"]).encode())
    (one,) = positions
    mark = state.marks[one.place]
    # What makes the reply's own totals of its coins: its profit came at 0.99985, its maintenance at 1.00005.
    rate, buffer = Decimal("0.54230362") / Decimal("0.54238506"), Decimal("0.0001")
    index = rate / (1 - buffer)
    assert near(index * (1 + buffer), Decimal("2.43034303") / Decimal("2.43022194"))
    other = (Decimal("25.72610060") - Decimal("3.72964781") * rate) / 22 / (1 - buffer)
    indexes = {"USDT": AssetIndex(index, buffer, buffer), "USDC": AssetIndex(other, buffer, buffer)}
    shown = picture(replace(one, mark_price=mark), state=state, multi=True, indexes=indexes)
    (account,) = accounts("bn", shown, 0)
    judged = assess(account, {}, 0)
    assert account.quote == "USDT"
    assert near(judged.health_factor, Decimal("26.26840422") / Decimal("2.43034303"))
    assert judged.equity is not None
    assert abs(judged.equity * rate / Decimal("26.26840422") - 1) < buffer
    assert near(judged.maintenance_requirement, Decimal("2.43034303") / rate)
    assert judged.degraded == ()


def test_several_margin_assets_are_several_accounts_unless_all_are_margin() -> None:
    state = State(
        {
            "USDT": Purse("USDT", Decimal(100), Decimal(100), ZERO, ZERO),
            "USDC": Purse("USDC", Decimal(900), Decimal(900), ZERO, ZERO),
            "BNB": Purse("BNB", Decimal(1), Decimal(1), ZERO, ZERO),
        },
        Purse(""),
        {},
    )
    short = held("BTCUSDC", "-0.1", "60000", "60000")
    tiers = {**TIERS, "BTCUSDC": TIERS["BTCUSDT"]}
    apart = accounts("bn", picture(short, state=state, tiers=tiers), 0)
    assert [(each.name, each.quote, each.balance) for each in apart] == [
        ("bn", "USDT", Decimal(100)),
        ("bn:USDC", "USDC", Decimal(900)),
    ]
    indexes = {
        "USDT": AssetIndex(Decimal("0.999"), ZERO, ZERO),
        "USDC": AssetIndex(Decimal(1), ZERO, ZERO),
        "BNB": AssetIndex(Decimal(600), Decimal("0.05"), Decimal("0.05")),
    }
    (together,) = accounts("bn", picture(short, state=state, tiers=tiers, multi=True, indexes=indexes), 0)
    assert (together.quote, together.balance) == ("USDC", Decimal(900))
    assert {leg.asset: leg.liquidation_threshold for leg in together.collateral} == {
        "USDT": Decimal(1),
        "BNB": Decimal("0.95"),
    }
    assert together.oracles["BNB"].price == 600


def test_coins_owed_cost_more_than_their_index() -> None:
    state = State(
        {"USDT": Purse("USDT", None, Decimal(1000), ZERO), "BTC": Purse("BTC", None, Decimal("-0.01"), ZERO)},
        Purse(""),
        {},
    )
    indexes = {
        "USDT": AssetIndex(Decimal(1), ZERO, ZERO),
        "BTC": AssetIndex(Decimal(60000), Decimal("0.05"), Decimal("0.05")),
    }
    (account,) = accounts("bn", picture(state=state, multi=True, indexes=indexes), 0)
    assert account.debt[0].amount == Decimal("0.01")
    assert account.balance == 1000 - Decimal("0.01") * 60000 * Decimal("0.05")


def test_two_margin_assets_in_one_account_count_at_their_rates() -> None:
    state = State(
        {"USDT": Purse("USDT", None, Decimal(5000), ZERO), "USDC": Purse("USDC", None, Decimal(5000), ZERO)},
        Purse(""),
        {},
    )
    indexes = {
        "USDT": AssetIndex(Decimal("0.99"), ZERO, ZERO),
        "USDC": AssetIndex(Decimal(1), ZERO, ZERO),
    }
    tiers = {**TIERS, "BTCUSDC": TIERS["BTCUSDT"]}
    both = (held("BTCUSDC", "1", "60000", "60000"), held("BTCUSDT", "-0.5", "60600", "60600"))
    (account,) = accounts("bn", picture(*both, state=state, multi=True, indexes=indexes, tiers=tiers), 0)
    by_contract = {each.contract: each for each in account.positions}
    assert account.quote == "USDC"
    assert by_contract["BTCUSDT"].mark_price == Decimal("60600") * Decimal("0.99")
    assert by_contract["BTCUSDC"].mark_price == 60000


def test_an_isolated_position_is_an_account_of_its_own_and_off_the_cross_maintenance() -> None:
    alone = held(
        "ETHUSDT",
        "-3",
        "3000",
        "3100",
        isolated_wallet=Decimal(700),
        isolated_margin=Decimal(400),
        maintenance=Decimal("37.2"),
    )
    cross = held("BTCUSDT", "0.1", "60000", "60000", isolated_wallet=ZERO, isolated_margin=ZERO)
    state = usdt("5000", "0", "61.2")
    state = replace(state, marks={cross.place: Decimal(60000)})
    main, other = accounts("bn", picture(cross, alone, state=state), 0)
    assert (main.name, other.name) == ("bn", "bn:ETHUSDT")
    assert main.reported is not None
    assert main.reported.maintenance_requirement == Decimal("24.0")
    assert other.balance == 700
    judged = assess(other, {}, 0)
    # (700 + 3 x 3000) / (3 x 1.004)
    assert near(judged.liquidation["ETH"].price, Decimal(9700) / Decimal("3.012"))
    assert (judged.equity, judged.degraded) == (Decimal(400), ())


def test_what_is_asked_of_an_isolated_position_moves_with_its_newest_mark_as_its_equity_does() -> None:
    alone = held(
        "ETHUSDT",
        "2",
        "3000",
        "3000",
        isolated_wallet=Decimal(700),
        isolated_margin=Decimal(700),
        maintenance=Decimal(40),
    )
    (_, moved) = accounts("bn", picture(alone, marks={"ETHUSDT": Decimal(2850)}), 0)
    assert moved.reported is not None
    assert (moved.reported.equity, moved.reported.maintenance_requirement) == (Decimal(400), Decimal(38))


def test_both_sides_of_a_hedge_are_one_cross_account_and_two_isolated_ones() -> None:
    cross = (
        held("BTCUSDT", "1", "60000", "61000", side="LONG"),
        held("BTCUSDT", "-0.4", "62000", "61000", side="SHORT"),
    )
    (account,) = accounts("bn", picture(*cross), 0)
    judged = assess(account, {}, 0)
    # (WB - LONG x EP + SHORT x EP) / (LONG x MMR + SHORT x MMR - LONG + SHORT), the FAQ's form.
    wallet, maintenance = Decimal(10000), Decimal("1.4") * Decimal("0.004")
    expected = (wallet - 60000 + Decimal("0.4") * 62000) / (maintenance - Decimal("0.6"))
    assert near(judged.liquidation["BTC"].price, expected)
    alone = [replace(each, isolated_wallet=Decimal(5000), isolated_margin=Decimal(5000)) for each in cross]
    named = accounts("bn", picture(*alone), 0)
    assert [each.name for each in named] == ["bn", "bn:BTCUSDT:LONG", "bn:BTCUSDT:SHORT"]


def test_a_delivery_contract_is_of_the_same_asset_at_a_mark_of_its_own() -> None:
    perpetual = held("BTCUSDT", "0.1", "60000", "60000")
    delivery = held("BTCUSDT_270326", "-0.1", "61000", "61000")
    tiers = {**TIERS, "BTCUSDT_270326": TIERS["BTCUSDT"]}
    (account,) = accounts("bn", picture(perpetual, delivery, tiers=tiers), 0)
    assert {each.asset for each in account.positions} == {"BTC"}
    judged = assess(account, {}, 0)
    assert judged.health_factor is not None
    assert judged.equity == 10000


def test_an_empty_account_is_there_and_safe() -> None:
    (account,) = accounts("bn", picture(), 0)
    assert (account.name, account.balance) == ("bn", Decimal(10000))
    assert assess(account, {}, 0).severity_because == "no position"


def said(account: Account) -> str:
    return "; ".join(account.degraded)


def test_what_is_unknown_is_never_safe() -> None:
    position = held("BTCUSDT", "0.1", "60000", "60000")
    (no_tiers,) = accounts("bn", picture(position, tiers={}), 0)
    assert "leverage brackets of BTCUSDT unread" in said(no_tiers)
    assert assess(no_tiers, {}, 0).severity.value == "unknown"
    (no_mark,) = accounts("bn", picture(replace(position, mark_price=None)), 0)
    assert "no mark price of BTCUSDT" in said(no_mark)
    assert assess(no_mark, {}, 0).severity.value == "unknown"
    purse = State({"USDT": Purse("USDT")}, Purse(""), {})
    (no_wallet,) = accounts("bn", picture(position, state=purse), 0)
    assert "liquidation unknown" in said(no_wallet)
    assert assess(no_wallet, {}, 0).severity.value == "unknown"
    alone = replace(position, isolated_margin=Decimal(7), entry_price=None)
    no_entry = accounts("bn", picture(alone), 0)[1]
    assert "isolated margin not reported" in said(no_entry)
    assert assess(no_entry, {}, 0).severity.value == "unknown"


def test_an_unread_mode_and_unread_indexes_are_named() -> None:
    position = held("BTCUSDT", "0.1", "60000", "60000")
    unread = replace(picture(position), modes=None)
    assert "asset mode unread" in said(accounts("bn", unread, 0)[0])
    assert "only USDT is counted" in said(accounts("bn", picture(position, multi=True), 0)[0])


def test_a_newer_mark_moves_what_the_venue_reported_along() -> None:
    position = held("BTCUSDT", "0.5", "60000", "60000", maintenance=Decimal(120))
    state = replace(usdt("1000", "0", "120"), marks={position.place: Decimal(60000)})
    moved = picture(position, state=state, marks={"BTCUSDT": Decimal(60900)})
    (account,) = accounts("bn", moved, 0)
    assert account.reported is not None
    assert account.reported.equity == 1450
    assert assess(account, {}, 0).degraded == ()
    wrong = replace(state, purses={"USDT": replace(state.purses["USDT"], cross_profit=Decimal(500))})
    (disputed,) = accounts("bn", replace(moved, state=wrong), 0)
    assert "equity 1450 computed, 1950 reported" in assess(disputed, {}, 0).degraded[0]


def test_a_margin_call_of_the_venue_is_its_word_for_the_account() -> None:
    position = held("BTCUSDT", "0.1", "60000", "60000")
    (account,) = accounts("bn", picture(position, called=frozenset({position.place})), 0)
    assert account.reported is not None
    assert account.reported.status == "MARGIN_CALL"


def test_the_queue_of_auto_deleverage_counts_from_one_and_marks_come_along() -> None:
    found = accounts("bn", picture(held("BTCUSDT", "0.1", "60000", "60000", adl=4)), 7)
    assert found[0].positions[0].adl_rank == 5
    assert marks(found, 7) == {"BTC": OraclePrice(Decimal(60000), 7, 7, source="binance-usdm mark")}
