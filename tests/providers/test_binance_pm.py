"""Portfolio margin at Binance: what uniMMR and status become, and rescues of the one account over real sockets."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest

from engine.accounts import MarginMode
from engine.assess import assess
from engine.rescue import HealthPath, Means, Option, Standing
from marginline.venue_key import VenueKey
from providers.binance_futures.pm import PmAccounts
from providers.binance_futures.pm_accounts import PmPicture, account
from providers.binance_futures.pm_rescue import make
from providers.binance_futures.pm_wire import Coin, Unified, parse_inverse, parse_unified
from providers.binance_futures.wire import Held, parse_brackets
from providers.credentials import Credentials
from providers.errors import Malformed, Unreachable
from providers.ports import AccountOptions
from providers.rescue_ports import Fate
from providers.venue_rescue import VenueRescue
from tests.binance_pm_server import BinancePm, InverseLot
from tests.binance_server import KEY, SECRET, Lot
from tests.looped import looped
from tests.signed_server import Reply, SignedServer

FIXTURES = Path(__file__).parents[1] / "fixtures" / "binance_futures"
TIERS = parse_brackets((FIXTURES / "brackets.json").read_bytes())
ZERO = Decimal(0)
NORMAL = Unified(Decimal(10_000), Decimal(10_500), Decimal(500), Decimal(900), Decimal(20), "NORMAL")
LONG = Held("BTCUSDT", "BOTH", Decimal(1), "USDT", Decimal(60_000), Decimal(61_000))


def picture(**changes: object) -> PmPicture:
    return replace(PmPicture(NORMAL, (LONG,), (), {}, tiers=TIERS), **changes)  # type: ignore[arg-type]


def test_health_is_unimmr_over_what_liquidates() -> None:
    found = account("pm", picture(), 0)
    judged = assess(found, {}, 0)
    assert (found.mode, found.liquidation_multiple) == (MarginMode.PORTFOLIO, Decimal("1.05"))
    assert judged.health_factor == Decimal(10_000) / (Decimal(500) * Decimal("1.05"))
    assert found.reported is not None
    assert found.reported.health_factor == Decimal(20) / Decimal("1.05")
    assert judged.degraded == ()
    assert "BTC alone" in judged.directions
    assert found.estimated


def test_the_nearest_move_liquidates_exactly_at_a_unimmr_of_1_05() -> None:
    found = account("pm", picture(), 0)
    move = assess(found, {}, 0).directions["BTC alone"]
    mark = Decimal(61_000) * (1 + move)
    equity = Decimal(10_000) + mark - 61_000
    # 0.004 of the notional is asked by the tier, the rest of the venue's 500 stays as it is.
    maintenance = Decimal(500) + (mark - 61_000) * Decimal("0.004")
    assert abs(equity / maintenance - Decimal("1.05")) < Decimal("1e-20")


def test_a_newer_mark_moves_ours_and_the_venues_figures_alike() -> None:
    judged = assess(account("pm", picture(marks={"BTCUSDT": Decimal(59_000)}), 0), {}, 0)
    assert judged.equity == 8_000
    # Actual equity is told apart only where coins are priced; here there are none.
    assert judged.degraded == ()


def test_coins_count_at_their_rate_and_fall_with_their_price() -> None:
    coins = {"BTC": Coin(Decimal("0.1"), ZERO, ZERO), "USDT": Coin(Decimal(100), ZERO, ZERO)}
    found = account(
        "pm",
        picture(
            coins=coins,
            indexes={"BTC": Decimal(61_000), "USDT": Decimal(1)},
            rates={"BTC": Decimal("0.95")},
            unified=replace(NORMAL, actual_equity=Decimal(10_305)),
        ),
        0,
    )
    judged = assess(found, {}, 0)
    assert [leg.asset for leg in found.collateral] == ["BTC"]
    assert judged.equity == 10_305
    assert judged.health_factor == Decimal(10_000) / Decimal(525)
    assert judged.degraded == ()


def test_a_borrowed_coin_is_a_debt() -> None:
    coins = {"BTC": Coin(Decimal("-0.1"), ZERO, Decimal("0.1"))}
    priced = {"indexes": {"BTC": Decimal(61_000), "USDT": Decimal(1)}, "rates": {"BTC": Decimal("0.95")}}
    found = account("pm", picture(coins=coins, **priced), 0)
    assert [(leg.asset, leg.amount) for leg in found.debt] == [("BTC", Decimal("0.1"))]
    assert assess(found, {}, 0).health_factor == Decimal(10_000) / Decimal(525)


def test_coins_without_a_price_are_named_as_held_constant() -> None:
    coins = {"BTC": Coin(Decimal("0.1"), ZERO, ZERO)}
    assert "BTC held constant" in "; ".join(account("pm", picture(coins=coins), 0).degraded)


@pytest.mark.parametrize("status", ["ACTIVE_LIQUIDATION", "FORCE_LIQUIDATION", "BANKRUPTED"])
def test_a_liquidation_under_way_says_that_transfers_do_not_stop_it(status: str) -> None:
    found = account("pm", picture(unified=replace(NORMAL, status=status)), 0)
    assert found.reported is not None
    assert found.reported.status == status
    assert "does not stop it" in found.degraded[0]


def test_what_the_venue_does_not_tell_is_unknown_and_never_safe() -> None:
    for missing in ({"equity": None}, {"maintenance": None}):
        found = account("pm", picture(unified=replace(NORMAL, **missing)), 0)
        assert "liquidation unknown" in found.degraded[0]
        assert assess(found, {}, 0).severity.value == "unknown"
    assert assess(account("pm", picture(tiers={}), 0), {}, 0).severity.value == "unknown"


def test_the_recorded_inverse_position_has_the_face_that_its_contracts_say() -> None:
    case = json.loads((FIXTURES / "positions.json").read_text())["cases"][3]
    (held,) = parse_inverse(json.dumps(case["httpResponse"]).encode())
    contracts, size = case["expected"][0]["contracts"], case["expected"][0]["contractSize"]
    assert held.asset == "BTC"
    assert abs(held.face + contracts * size) < Decimal("0.001")
    with pytest.raises(Malformed):
        parse_inverse(b'[{"symbol":"BTCUSD_PERP","positionAmt":"-3","markPrice":"60000"}]')


def test_an_account_without_a_status_is_malformed() -> None:
    with pytest.raises(Malformed):
        parse_unified(b'{"uniMMR":"3"}')


@asynccontextmanager
async def served(venue: BinancePm) -> AsyncIterator[tuple[SignedServer, PmAccounts, VenueRescue, VenueKey]]:
    async with venue.server() as server:
        credentials = Credentials("test", lambda: KEY, lambda: SECRET)
        options = AccountOptions("pm", "binance-pm", rest_url=server.url_rest, credentials=credentials)
        key, accounts = VenueKey("pm", credentials), PmAccounts(options)
        await key.unlock()
        rescue = make(options, key)
        try:
            yield server, accounts, rescue, key
        finally:
            await rescue.aclose()
            await accounts.aclose()


def user(**changes: object) -> BinancePm:
    lots = [Lot("BTCUSDT", Decimal("0.5"), Decimal(64_000), Decimal(65_000))]
    return BinancePm(lots=lots, **changes)  # type: ignore[arg-type]


def option(standing: Standing, means: Means, asset: str, amount: str) -> Option:
    facility = next(each for each in standing.facilities if means in each.means and each.asset == asset)
    path = HealthPath(None, None, None, None)
    return Option(means, asset, Decimal(amount), "spot wallet", ZERO, path, ZERO, facility=facility)


@looped
async def test_the_whole_book_is_read_as_the_venue_sums_it() -> None:
    venue = user(
        coins={"USDT": (Decimal(3000), Decimal(1000), ZERO), "BTC": (Decimal("0.2"), ZERO, ZERO)},
        inverse=[InverseLot("BTCUSD_PERP", -100, Decimal(60_000), Decimal(65_000))],
        loan_maintenance=Decimal(40),
    )
    async with served(venue) as (_, accounts, _, _):
        reading = await accounts.read()
        (found,) = reading.accounts
        judged = assess(found, {}, 0)
        assert judged.degraded == reading.degraded == ()
        assert judged.health_factor is not None
        equity = venue._equity(with_haircuts=True)
        assert abs(judged.health_factor - equity / venue.maintenance / Decimal("1.05")) < Decimal("1e-9")
        assert judged.equity is not None
        assert abs(judged.equity - venue.gross) < Decimal("1e-6")


@looped
async def test_coins_come_from_spot_and_are_collected_where_they_are_owed() -> None:
    venue = user(coins={"USDT": (Decimal(-200), Decimal(4000), Decimal(200))})
    async with served(venue) as (server, accounts, rescue, key):
        (found,) = (await accounts.read()).accounts
        standing = await rescue.standing(found)
        steps = await rescue.prepare(found, option(standing, Means.ADD_MARGIN, "USDT", "100"))
        assert [step.payload["action"] for step in steps] == ["transfer", "collect"]
        for step in steps:
            signed = rescue.sign(step, key)
            await rescue.send(signed)
            assert (await rescue.find(signed.reference, None, "")).fate is Fate.CONFIRMED
        assert venue.coins["USDT"] == (Decimal(3900), ZERO, Decimal(200))
        assert [each.path for each in server.writes] == ["/sapi/v1/asset/transfer", "/papi/v1/asset-collection"]


@looped
async def test_a_collection_whose_answer_is_lost_is_judged_by_the_balance_and_not_repeated() -> None:
    venue = user(coins={"USDT": (Decimal(-200), Decimal(4000), Decimal(200))})
    async with served(venue) as (server, accounts, rescue, key):
        (found,) = (await accounts.read()).accounts
        standing = await rescue.standing(found)
        collect = (await rescue.prepare(found, option(standing, Means.ADD_MARGIN, "USDT", "100")))[1]
        server.fail_writes(Reply(503, {"code": -1007, "msg": "status unknown"}))
        signed = rescue.sign(collect, key)
        with pytest.raises(Unreachable):
            await rescue.send(signed)
        assert (await rescue.find(signed.reference, None, "")).fate is Fate.PENDING
        venue.coins["USDT"] = (Decimal(3800), ZERO, Decimal(200))
        assert (await rescue.find(signed.reference, None, "")).fate is Fate.CONFIRMED
        assert len(server.writes) == 1


@looped
async def test_part_of_a_position_is_closed_through_the_unified_account() -> None:
    venue = user()
    async with served(venue) as (server, accounts, rescue, key):
        (found,) = (await accounts.read()).accounts
        standing = await rescue.standing(found)
        (step,) = await rescue.prepare(found, option(standing, Means.REDUCE, "BTC", "0.2"))
        dry = await rescue.simulate(found, [step])
        assert dry.refused == ""
        signed = rescue.sign(step, key)
        await rescue.send(signed)
        assert (await rescue.find(signed.reference, None, "")).fate is Fate.CONFIRMED
        assert venue.lot("BTCUSDT").amount == Decimal("0.3")
        assert server.writes[0].path == "/papi/v1/um/order"
        assert server.writes[0].fields["reduceOnly"] == "true"


@looped
async def test_a_right_that_is_missing_is_named_with_what_it_stops() -> None:
    venue = user()
    venue.rights["permitsUniversalTransfer"] = False
    async with served(venue) as (_, accounts, rescue, _):
        (found,) = (await accounts.read()).accounts
        margin, reduce = (await rescue.standing(found)).facilities
        assert "Permits Universal Transfer" in margin.refused
        assert reduce.refused == ""
        venue.rights["enablePortfolioMarginTrading"] = False
        problems = (await rescue.standing(found)).problems
        assert any("Enable Portfolio Margin Trading" in each for each in problems)
