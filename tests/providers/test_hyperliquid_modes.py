"""What Hyperliquid accounts have beyond positions: ratio, foreign collateral, resting orders, rules, funding, books."""

import asyncio
import json
from collections.abc import Coroutine
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.accounts import MarginMode
from engine.assess import assess
from engine.assessment import Severity
from engine.depth import impact
from providers.errors import Malformed
from providers.hyperliquid import HyperliquidAccounts, depth_source
from providers.hyperliquid_accounts import Picture, accounts, at_time
from providers.hyperliquid_depth import parse_depth
from providers.hyperliquid_spot_wire import (
    Order,
    order_margin,
    parse_leverage,
    parse_orders,
    parse_spot,
    parse_tokens,
)
from providers.hyperliquid_watch import MOST_COINS, MOST_USERS, UserFeed
from providers.hyperliquid_wire import AccountMode, Market, flat_tier, parse_state, parse_universe
from providers.ports import AccountOptions, Reading
from tests.hyperliquid_server import HyperliquidServer, hyperliquid_server
from tests.providers.test_hyperliquid import META, position, state

USER = "0x" + "ab" * 20
HOUR_NS = 3_600_000_000_000


def raw(value: object) -> bytes:
    return json.dumps(value).encode()


def within(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(bounded())


def picture(*held: dict[str, object], **more: Any) -> Picture:
    """Return a user with these positions in the markets of the test for readings."""
    universe = parse_universe(raw(META))
    return replace(Picture({"": parse_state(raw(state(*held)))}, markets=universe.markets), **more)


def options(venue: HyperliquidServer, name: str = "hl", user: str = USER) -> AccountOptions:
    return AccountOptions(name, "hyperliquid", address=user, rest_url=venue.url_rest, ws_url=venue.url_ws, poll_s=0.1)


async def read(venue: HyperliquidServer) -> Reading:
    source = HyperliquidAccounts(options(venue))
    try:
        return await source.read()
    finally:
        await source.aclose()


# Portfolio margin


@pytest.mark.parametrize(("ratio", "health"), [("0.475", "2"), ("0.76", "1.25"), ("0.1", "9.5"), ("1.9", "0.5")])
def test_a_portfolio_margin_account_is_as_healthy_as_its_ratio_says(ratio: str, health: str) -> None:
    spot = parse_spot(raw({"balances": [], "portfolioMarginEnabled": True, "portfolioMarginRatio": ratio}))
    (account,) = accounts("hl", picture(position(), mode=AccountMode.PORTFOLIO, spot={}, ratio=spot.ratio))
    assert account.mode is MarginMode.PORTFOLIO
    assert account.degraded == ()
    judged = assess(account, {}, 0)
    assert judged.health_factor is not None
    assert abs(judged.health_factor - Decimal(health)) < Decimal("1e-20")
    assert account.reported is not None
    assert account.reported.status == ""
    assert account.note.startswith(f"portfolio margin ratio {ratio}, liquidated above 0.95; ")
    assert "at rest" in judged.estimated
    assert (judged.severity is Severity.LIQUIDATABLE) == (Decimal(ratio) > Decimal("0.95"))


def test_a_fall_of_what_is_long_liquidates_a_portfolio_margin_account() -> None:
    """2 ETH at 2,600 ask 104; at 0.475 the equity is 104 / 0.475: (E - 2 d) x 0.95 = 0.02 x 2 x (2600 - d)."""
    (account,) = accounts("hl", picture(position(), mode=AccountMode.PORTFOLIO, spot={}, ratio=Decimal("0.475")))
    judged = assess(account, {}, 0)
    equity = 104 / Decimal("0.475")
    fall = (equity * Decimal("0.95") - 104) / (2 * Decimal("0.95") - Decimal("0.04"))
    price = judged.liquidation["ETH"].price
    assert price is not None
    assert abs(price - (2600 - fall)) < Decimal("1e-6")
    assert judged.directions["ETH alone"] < 0


def test_a_portfolio_margin_account_without_tiers_or_with_an_impossible_ratio_is_not_called_safe() -> None:
    spoilt = picture(position(maxLeverage=None), mode=AccountMode.PORTFOLIO, spot={}, ratio=Decimal("0.5"), markets={})
    (account,) = accounts("hl", spoilt)
    assert assess(account, {}, 0).health_factor == Decimal("1.9")
    zero = picture(position(), mode=AccountMode.PORTFOLIO, spot={}, ratio=Decimal(0))
    (account,) = accounts("hl", zero)
    assert any("ratio 0" in reason for reason in account.degraded)
    assert assess(account, {}, 0).severity is Severity.UNKNOWN


@pytest.mark.parametrize("ratio", ["NaN", "-0.1", "Infinity"])
def test_a_ratio_that_is_none_is_malformed(ratio: str) -> None:
    with pytest.raises(Malformed):
        parse_spot(raw({"balances": [], "portfolioMarginRatio": ratio}))


def test_the_ratio_is_read_from_the_venue() -> None:
    async def story() -> None:
        async with hyperliquid_server() as venue:
            venue.info = {
                "clearinghouseState": state(position()),
                "userAbstraction": "portfolioMargin",
                "perpDexs": [None],
                "metaAndAssetCtxs": META,
                "spotClearinghouseState": {"balances": [], "portfolioMarginRatio": "0.475"},
            }
            reading = await read(venue)
            (account,) = reading.accounts
            assert reading.degraded == account.degraded == ()
            health = assess(account, {}, 0).health_factor
            assert health is not None
            assert abs(health - 2) < Decimal("1e-20")

    within(story())


# Builder-deployed dexes


def test_a_dex_with_another_collateral_is_told_in_its_currency() -> None:
    held = position("flx:OIL", "2", "160", entryPx="75", leverage={"type": "cross", "value": 5})
    universe = [
        {"universe": [{"name": "flx:OIL", "maxLeverage": 10}], "collateralToken": 360},
        [{"funding": "0.0000125", "markPx": "80", "oraclePx": "80"}],
    ]

    async def story(mode: str, balance: Decimal) -> None:
        async with hyperliquid_server() as venue:
            venue.info = {
                "clearinghouseState": state(),
                "clearinghouseState flx": state(held, value="60"),
                "userAbstraction": mode,
                "perpDexs": [None, {"name": "flx"}],
                "metaAndAssetCtxs": META,
                "metaAndAssetCtxs flx": universe,
                "spotMeta": {"tokens": [{"name": "USDC", "index": 0}, {"name": "USDH", "index": 360}]},
                "spotClearinghouseState": {
                    "balances": [{"coin": "USDC", "total": "900"}, {"coin": "USDH", "total": "47"}]
                },
            }
            reading = await read(venue)
            flx = next(account for account in reading.accounts if account.name == "hl:flx")
            assert (flx.quote, flx.balance, flx.degraded) == ("USDH", balance, ())

    within(story("default", Decimal(50)))
    within(story("unifiedAccount", Decimal(47)))


def test_a_dex_whose_collateral_has_no_name_is_never_told_as_usdc() -> None:
    async def story() -> None:
        async with hyperliquid_server() as venue:
            venue.info = {
                "clearinghouseState": state(),
                "clearinghouseState flx": state(position("flx:OIL", "2", "160", entryPx="75"), value="60"),
                "userAbstraction": "default",
                "perpDexs": [None, {"name": "flx"}],
                "metaAndAssetCtxs": META,
                "metaAndAssetCtxs flx": [{"universe": [{"name": "flx:OIL"}], "collateralToken": 360}, []],
            }
            reading = await read(venue)
            flx = next(account for account in reading.accounts if account.name == "hl:flx")
            assert flx.quote == "collateral of flx"
            assert any("names of tokens not read" in reason for reason in flx.degraded)

    within(story())


def test_tokens_are_named_as_a_transfer_names_them() -> None:
    tokens = parse_tokens(raw({"tokens": [{"name": "USDC", "index": 0, "tokenId": "0x6d1e7cde"}], "universe": []}))
    assert tokens[0].full_name == "USDC:0x6d1e7cde"


# Resting orders

MARKETS = {"ETH": Market(flat_tier(Decimal(25))), "BTC": Market(flat_tier(Decimal(40)))}


def margin(orders: list[Order], **sizes: str) -> Decimal:
    held = {coin: Decimal(size) for coin, size in sizes.items()}
    return order_margin(orders, held, {"ETH": Decimal(10)}, MARKETS)


def order(coin: str, size: str, price: str) -> Order:
    return Order(coin, Decimal(size), Decimal(price))


def test_what_resting_orders_would_open_holds_margin() -> None:
    assert margin([order("ETH", "2", "2500")]) == 500
    assert margin([order("ETH", "-2", "2500")], ETH="2") == 0
    assert margin([order("ETH", "-3", "2500")], ETH="2") == 250
    assert margin([order("ETH", "2", "2500"), order("ETH", "-2", "2600")], ETH="2") == 500
    # Leverage untold: the least that it can be, 1/40 of 61,000.
    assert margin([order("BTC", "1", "61000")]) == 1525
    assert margin([order("NEW", "1", "7")]) == 7


def test_the_order_that_trades_first_closes_the_position() -> None:
    """Of two sales against a long of 2, the lower one fills first; the higher one opens a short."""
    assert margin([order("ETH", "-2", "2700"), order("ETH", "-2", "2600")], ETH="2") == 540


def test_orders_that_hold_nothing_are_left_out() -> None:
    rows = [
        {"coin": "ETH", "side": "B", "limitPx": "2500", "sz": "1.5", "oid": 1, "timestamp": 1, "origSz": "2"},
        {"coin": "ETH", "side": "A", "limitPx": "2700", "sz": "1", "reduceOnly": True},
        {"coin": "ETH", "side": "A", "limitPx": "2100", "sz": "1", "isTrigger": True, "triggerPx": "2200"},
    ]
    assert parse_orders(raw(rows)) == (order("ETH", "1.5", "2500"),)


@pytest.mark.parametrize(
    "row",
    [
        {"coin": "ETH", "side": "C", "limitPx": "1", "sz": "1"},
        {"coin": "ETH", "side": "A", "limitPx": "NaN", "sz": "1"},
        {"coin": "ETH", "side": "A", "limitPx": "-1", "sz": "1"},
        {"coin": "ETH", "side": "A", "limitPx": "1"},
    ],
)
def test_an_order_that_cannot_be_read_is_malformed(row: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        parse_orders(raw([row]))


@pytest.mark.parametrize("value", ["0", "0.5", "NaN", "5000"])
def test_a_leverage_out_of_this_world_is_malformed(value: str) -> None:
    with pytest.raises(Malformed):
        parse_leverage(raw({"leverage": {"type": "cross", "value": value}}))


def test_margin_of_orders_is_read_and_missed_without_alarm() -> None:
    async def story() -> None:
        async with hyperliquid_server() as venue:
            venue.info = {
                "clearinghouseState": state(position()),
                "userAbstraction": "default",
                "perpDexs": [None],
                "metaAndAssetCtxs": META,
            }
            (account,) = (await read(venue)).accounts
            assert (account.order_margin, account.degraded) == (None, ())
            venue.info["frontendOpenOrders"] = [
                {"coin": "ETH", "side": "B", "limitPx": "2500", "sz": "1"},
                {"coin": "BTC", "side": "B", "limitPx": "60000", "sz": "0.1"},
            ]
            venue.info["activeAssetData"] = {"user": USER, "coin": "BTC", "leverage": {"type": "cross", "value": 20}}
            (account,) = (await read(venue)).accounts
            assert account.order_margin == 250 + 300

    within(story())


# Rules, funding, delisting


def test_rules_funding_and_delisting_of_a_market_are_told() -> None:
    meta = [
        {"universe": [{"name": "ETH", "szDecimals": 4, "marginMode": "strictIsolated", "isDelisted": True}]},
        [{"funding": "0.0000125", "markPx": "2600", "oraclePx": "2601"}],
    ]

    async def story() -> None:
        async with hyperliquid_server() as venue:
            paid = {"allTime": "9", "sinceOpen": "1.25", "sinceChange": "1"}
            venue.info = {
                "clearinghouseState": state(position(cumFunding=paid)),
                "userAbstraction": "default",
                "perpDexs": [None],
                "metaAndAssetCtxs": meta,
            }
            reading = await read(venue)
            (held,) = reading.accounts[0].positions
            assert reading.accounts[0].note == "ETH: isolated only, and margin leaves only by closing"
            assert (held.contract, held.funding_paid) == ("ETH", Decimal("1.25"))
            assert held.predicted_funding_rate == Decimal("0.0000125") * 24 * 365
            assert held.next_funding_ns is not None
            assert 0 < held.next_funding_ns - reading.observed_at_ns <= HOUR_NS
            assert reading.warnings == ("ETH is being delisted: the venue settles what is left of the position",)

    within(story())


def test_funding_is_due_at_the_next_full_hour() -> None:
    found = accounts("hl", picture(position()))
    assert at_time(found, 5 * HOUR_NS)[0].positions[0].next_funding_ns == 6 * HOUR_NS
    assert at_time(found, 5 * HOUR_NS - 1)[0].positions[0].next_funding_ns == 5 * HOUR_NS


# Limits of the WebSocket


def test_what_the_venue_does_not_push_is_polled_and_said() -> None:
    async def story() -> None:
        async with hyperliquid_server() as venue:
            sources = [HyperliquidAccounts(options(venue, f"a{n}", f"0x{n:040x}")) for n in range(MOST_USERS + 1)]
            assert [source.pushed_from is None for source in sources] == [False] * MOST_USERS + [True]
            venue.info = {"clearinghouseState": state(position()), "metaAndAssetCtxs": META}
            assert any("polled" in warning for warning in (await sources[-1].read()).warnings)
            await sources[0].aclose()
            again = HyperliquidAccounts(options(venue))
            assert again.pushed_from is not None
            for source in (*sources, again):
                await source.aclose()

    within(story())


def test_no_user_asks_for_more_subscriptions_than_its_share() -> None:
    coins = frozenset(f"C{n}" for n in range(300))
    wanted = UserFeed("hl", USER, "ws://127.0.0.1:1", None, lambda: 0).subscription([""], coins).subscribe
    assert not callable(wanted)
    assert len(wanted) == MOST_COINS + 1
    assert (MOST_COINS + 10) * MOST_USERS <= 1000


# Books


def test_the_book_tells_what_unwinding_costs() -> None:
    async def story() -> None:
        async with hyperliquid_server() as venue:
            venue.info["l2Book"] = {
                "coin": "ETH",
                "time": 1754450974231,
                "levels": [
                    [{"px": "2599", "sz": "1.5", "n": 3}, {"px": "2598", "sz": "4", "n": 1}],
                    [{"px": "2601", "sz": "2", "n": 1}],
                ],
            }
            books = depth_source(options(venue))
            depth = await books.depth("ETH")
            cost = impact(depth, Decimal(2))
            assert (cost.average_price, cost.worst_price) == (Decimal("2598.75"), Decimal(2598))
            assert len((await books.depth("ETH", 1)).bids) == 1
            with pytest.raises(Malformed, match="instead of BTC"):
                await books.depth("BTC")
            await books.aclose()

    within(story())


@pytest.mark.parametrize("level", [{"px": "0", "sz": "1"}, {"px": "1", "sz": "-1"}, {"px": "NaN", "sz": "1"}])
def test_a_level_that_cannot_be_is_malformed(level: dict[str, str]) -> None:
    with pytest.raises(Malformed):
        parse_depth(raw({"coin": "ETH", "levels": [[level], []]}), "ETH", 20, 0)
