"""Reduce-only orders and transfers across dexes, on a loopback Hyperliquid that checks ticks, rights and signatures."""

import asyncio
import copy
import json
import time
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.accounts import Account
from engine.rescue import HealthPath, Means, Option, Standing
from providers.errors import Malformed, Refused, Unreachable
from providers.hyperliquid_actions import digest_of
from providers.hyperliquid_close import answered, bound_price, order_fate
from providers.hyperliquid_rescue import HyperliquidRescue
from providers.hyperliquid_rescue_wire import Purse
from providers.hyperliquid_signing import (
    SEND_ASSET,
    SEND_ASSET_FIELDS,
    l1_digest,
    signature_json,
    user_digest,
)
from providers.rescue_ports import Fate, Step
from providers.venue_rescue import REDUCE_BOUND
from tests.account_kit import bench, registered
from tests.hyperliquid_exchange import _fits_tick
from tests.marginline.command import marginline
from tests.providers.test_hyperliquid_rescue import (
    AGENT,
    MASTER,
    SUB,
    USER,
    KeySigner,
    account_of,
    prepared,
    venue_and_rescue,
    within,
)

VECTORS = json.loads((Path(__file__).parents[1] / "fixtures/hyperliquid/signatures_orders.json").read_text())
SDK_KEY = KeySigner(bytes.fromhex(VECTORS["key"][2:]))


def close(coin: str, amount: str, standing: Standing) -> Option:
    facility = next(each for each in standing.facilities if each.asset == coin and Means.REDUCE in each.means)
    return Option(
        Means.REDUCE,
        coin,
        Decimal(amount),
        "the account itself",
        Decimal(0),
        HealthPath(None, None, None, None),
        Decimal(1),
        facility=facility,
    )


async def closing(rescue: HyperliquidRescue, account: Account, coin: str, amount: str) -> tuple[Step, ...]:
    return tuple(await rescue.prepare(account, close(coin, amount, await rescue.standing(account))))


def order_in(step: Step) -> dict[str, Any]:
    action: Any = step.payload["action"]
    order: dict[str, Any] = action["orders"][0]
    return order


def position_in(info: dict[str, Any], coin: str, dex: str = "") -> dict[str, Any]:
    state = info[f"clearinghouseState {dex}" if dex else "clearinghouseState"]
    return next(each["position"] for each in state["assetPositions"] if each["position"]["coin"] == coin)


# Signatures


@pytest.mark.parametrize("vector", VECTORS["orders"])
def test_an_order_is_signed_as_the_venues_own_sdk_signs_it(vector: dict[str, Any]) -> None:
    digest = l1_digest(
        vector["action"],
        vector["nonce"],
        is_mainnet=vector["is_mainnet"],
        vault=vector["vault"],
        expires_after=vector["expires_after"],
    )
    told = signature_json(SDK_KEY.sign_digest(digest))
    assert [int(str(told[key]), 16) for key in ("r", "s")] == [int(vector[key], 16) for key in ("r", "s")]
    assert told["v"] == vector["v"]


@pytest.mark.parametrize("vector", VECTORS["sends"])
def test_a_transfer_across_dexes_is_signed_as_the_venues_own_sdk_signs_it(vector: dict[str, Any]) -> None:
    v, r, s = SDK_KEY.sign_digest(user_digest(SEND_ASSET, SEND_ASSET_FIELDS, vector["action"]))
    assert (r, s, v) == (int(vector["r"], 16), int(vector["s"], 16), vector["v"])


def test_the_vectors_hold_leading_zeros_both_networks_and_sub_accounts() -> None:
    every = VECTORS["orders"] + VECTORS["sends"]
    assert any(len(vector["r"]) < 66 for vector in every)
    assert any(len(vector["s"]) < 66 for vector in every)
    assert {vector["is_mainnet"] for vector in VECTORS["orders"]} == {True, False}
    assert {bool(vector["action"]["fromSubAccount"]) for vector in VECTORS["sends"]} == {True, False}


def test_what_is_hashed_does_not_depend_on_how_a_payload_was_stored() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, accounts):
            (step,) = await closing(rescue, await account_of(accounts, "hl"), "BTC", "0.05")
            stored = json.loads(json.dumps(step.payload, sort_keys=True))
            assert digest_of(stored, is_mainnet=True) == digest_of(step.payload, is_mainnet=True)

    within(story())


# Prices


@pytest.mark.parametrize(
    ("mark", "decimals", "is_buy", "price"),
    [
        ("61000", 5, True, "61305"),
        ("61000", 5, False, "60695"),
        ("2600.5", 4, True, "2613.5"),
        ("2600.5", 4, False, "2587.5"),
        ("123456.7", 5, True, "124073"),
        ("123456.7", 5, False, "122840"),
        ("0.0123456", 0, True, "0.012407"),
        ("0.0123456", 0, False, "0.012284"),
        ("1.23456", 1, True, "1.2407"),
        ("0.5", 4, True, "0.5"),
        ("0.5", 4, False, "0.5"),
    ],
)
def test_a_price_bound_is_rounded_towards_the_mark_to_what_the_venue_takes(
    mark: str, decimals: int, is_buy: bool, price: str
) -> None:
    assert bound_price(Decimal(mark), decimals, is_buy=is_buy) == Decimal(price)


@given(
    st.decimals("0.001", "900000", places=6).filter(lambda mark: mark > 0),
    st.integers(min_value=0, max_value=5),
    st.booleans(),
)
def test_a_price_bound_is_a_tick_and_never_worse_than_the_bound(mark: Decimal, decimals: int, is_buy: bool) -> None:
    price = bound_price(mark, decimals, is_buy=is_buy)
    assert _fits_tick(price, decimals)
    assert price <= mark * (1 + REDUCE_BOUND) if is_buy else price >= mark * (1 - REDUCE_BOUND)


# Closing part of a position


@pytest.mark.parametrize("testnet", [False, True])
@pytest.mark.parametrize("signer", [MASTER, AGENT])
@pytest.mark.parametrize(
    ("name", "coin", "amount", "asset", "left"),
    [
        ("hl", "BTC", "0.04", 0, "0.06"),
        ("hl:ETH", "ETH", "0.5", 2, "1.5"),
        ("hl:xyz:TSLA", "xyz:TSLA", "1", 120_001, "-3"),
    ],
)
def test_part_of_a_position_is_closed_at_once(
    name: str, coin: str, amount: str, asset: int, left: str, signer: KeySigner, testnet: bool
) -> None:
    async def story() -> None:
        async with venue_and_rescue(signer, testnet=testnet) as (venue, rescue, accounts):
            assert venue.exchange is not None
            venue.exchange.agents = {AGENT.address.lower(): USER}
            venue.info["userRole"] = {"role": "agent", "data": {"user": USER}}
            account = await account_of(accounts, name)
            steps = await closing(rescue, account, coin, amount)
            assert await rescue.verify(account, steps) == ""
            simulated = await rescue.simulate(account, steps)
            signed = rescue.sign(steps[0], signer)
            await rescue.send(signed)
            found = await rescue.find(signed.reference, signed.nonce, signed.owner)
            assert found.fate is Fate.CONFIRMED
            assert f"closed {amount} {coin}" in found.evidence
            after = await account_of(accounts, name)
            (held,) = after.positions
            assert held.quantity == Decimal(left)
            assert order_in(steps[0])["a"] == asset
            assert order_in(steps[0])["b"] is (held.quantity < 0)
            dry = await rescue.simulate(after, ())
            assert simulated.health_factor == dry.health_factor

    within(story())


def test_what_the_book_does_not_hold_is_told_as_not_closed() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            assert venue.exchange is not None
            account = await account_of(accounts, "hl")
            venue.exchange.liquidity = {"BTC": Decimal("0.01")}
            (step,) = await closing(rescue, account, "BTC", "0.04")
            signed = rescue.sign(step, MASTER)
            venue.exchange.fails = "after"
            with pytest.raises(Unreachable):
                await rescue.send(signed)
            found = await rescue.find(signed.reference, signed.nonce, signed.owner)
            assert (found.fate, found.evidence) == (
                Fate.CONFIRMED,
                "closed 0.01 of 0.04 BTC; the rest was not: canceled",
            )
            venue.exchange.liquidity = {"BTC": Decimal(0)}
            (step,) = await closing(rescue, await account_of(accounts, "hl"), "BTC", "0.04")
            with pytest.raises(Refused, match="could not immediately match"):
                await rescue.send(rescue.sign(step, MASTER))

    within(story())


def test_an_order_of_unknown_outcome_is_found_by_its_own_id_and_sent_once() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            assert venue.exchange is not None
            account = await account_of(accounts, "hl")
            (step,) = await closing(rescue, account, "BTC", "0.04")
            signed = rescue.sign(step, MASTER)
            venue.exchange.fails = "before"
            with pytest.raises(Unreachable):
                await rescue.send(signed)
            lost = await rescue.find(signed.reference, signed.nonce, signed.owner)
            assert lost.fate is Fate.PENDING
            until = int(signed.reference.rpartition("until=")[2])
            state: Any = venue.info["clearinghouseState"]
            state["time"] = until + 10_001
            gone = await rescue.find(signed.reference, signed.nonce, signed.owner)
            assert (gone.fate, gone.evidence) == (
                Fate.REJECTED,
                "the venue does not know the order, and it has expired",
            )
            assert len(venue.exchange.requests) == 1

    within(story())


@pytest.mark.parametrize(
    ("amount", "words"),
    [("0.5", "smaller than what is to be closed"), ("0.000001", "no multiple of the lot"), ("0.0001", "below 10 USD")],
)
def test_an_order_that_the_venue_would_not_take_is_not_made(amount: str, words: str) -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, accounts):
            with pytest.raises(Refused, match=words):
                await closing(rescue, await account_of(accounts, "hl"), "BTC", amount)

    within(story())


def test_closing_part_of_an_isolated_position_is_not_offered_as_health() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, accounts):
            standing = await rescue.standing(await account_of(accounts, "hl:ETH"))
            (refused,) = [each.refused for each in standing.facilities if Means.REDUCE in each.means]
            assert "add margin instead" in refused

    within(story())


def test_a_small_position_may_be_closed_whole() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            small: Any = venue.info["clearinghouseState"]
            small["assetPositions"][1]["position"] |= {"szi": "0.0001", "positionValue": "6.1"}
            account = await account_of(accounts, "hl")
            (step,) = await closing(rescue, account, "BTC", "0.0001")
            signed = rescue.sign(step, MASTER)
            await rescue.send(signed)
            assert (await account_of(accounts, "hl")).positions == ()

    within(story())


@pytest.mark.parametrize(
    "change",
    [
        {"p": "1"},
        {"s": "0.1"},
        {"r": False},
        {"b": True},
        {"t": {"limit": {"tif": "Gtc"}}},
        {"a": 2},
        {"c": "0x1"},
        {"builder": "0x" + "99" * 20},
    ],
)
def test_an_order_that_was_tampered_with_is_not_signed(change: dict[str, Any]) -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, accounts):
            account = await account_of(accounts, "hl")
            (step,) = await closing(rescue, account, "BTC", "0.04")
            payload = copy.deepcopy(dict(step.payload))
            payload["action"]["orders"][0] |= change  # type: ignore[index]  # an order, as made above
            assert await rescue.verify(account, [replace(step, payload=payload)])

    within(story())


def test_an_order_is_not_signed_once_the_mark_has_left_it_or_the_position_changed() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            account = await account_of(accounts, "hl")
            steps = await closing(rescue, account, "BTC", "0.04")
            held = position_in(venue.info, "BTC")
            held["positionValue"] = "6200"
            assert "too far from the mark 62000" in await rescue.verify(account, steps)
            held["positionValue"] = "6100"
            assert await rescue.verify(account, steps) == ""
            held["szi"] = "0.2"
            assert "changed; prepare it again" in await rescue.verify(account, steps)
            other = await account_of(accounts, "hl:ETH")
            assert "does not hold" in await rescue.verify(other, steps)

    within(story())


@pytest.mark.parametrize(
    "raw",
    [
        b'{"status":"ok","response":{"type":"default"}}',
        b'{"status":"ok","response":{"type":"order","data":{"statuses":[]}}}',
    ],
)
def test_a_reply_that_does_not_tell_is_an_unknown_outcome(raw: bytes) -> None:
    with pytest.raises(Unreachable):
        answered(raw, "BTC")


@pytest.mark.parametrize(
    ("status", "left", "held_now", "fate"),
    [
        ("filled", "0", "0.06", Fate.CONFIRMED),
        ("canceled", "0.03", "0.09", Fate.CONFIRMED),
        ("canceled", "0", "0.1", Fate.REJECTED),
        ("reduceOnlyRejected", "0.04", "0.1", Fate.REJECTED),
        ("open", "0.04", "0.1", Fate.PENDING),
    ],
)
def test_no_more_counts_as_closed_than_the_position_has_shrunk_by(
    status: str, left: str, held_now: str, fate: Fate
) -> None:
    from providers.hyperliquid_rescue_wire import Stake

    facts = {"coin": "BTC", "held": "0.1", "until": "1000"}
    purse = Purse(None, (Stake("BTC", Decimal(held_now), False, None, None),), 5)
    told = {"status": "order", "order": {"order": {"sz": left, "origSz": "0.04"}, "status": status}}
    assert order_fate(facts, json.dumps(told).encode(), purse, 0).fate is fate


def test_an_order_status_that_is_none_is_malformed() -> None:
    with pytest.raises(Malformed):
        order_fate({"coin": "BTC"}, b'{"status":"maintenance"}', Purse(None, (), 5), 0)


# Transfers across dexes


@pytest.mark.parametrize("testnet", [False, True])
@pytest.mark.parametrize(("source", "dex"), [("spot", "spot"), ("perp", "")])
def test_a_builder_deployed_position_is_fed_from_elsewhere(source: str, dex: str, testnet: bool) -> None:
    async def story() -> None:
        async with venue_and_rescue(testnet=testnet) as (venue, rescue, accounts):
            assert venue.exchange is not None
            account = await account_of(accounts, "hl:xyz:TSLA")
            steps = await prepared(rescue, account, "125.5", source)
            assert [step.title for step in steps] == [
                f"transfer 125.5 USDC from {source} to dex xyz",
                "add 125.5 USDC margin to xyz:TSLA",
            ]
            assert await rescue.verify(account, steps) == ""
            simulated = await rescue.simulate(account, steps)
            for step in steps:
                signed = rescue.sign(step, MASTER)
                await rescue.send(signed)
                assert (await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.CONFIRMED
            after = await account_of(accounts, "hl:xyz:TSLA")
            assert after.balance == account.balance + Decimal("125.5")
            assert simulated.health_factor == (await rescue.simulate(after, ())).health_factor
            sent = venue.exchange.taken[0][1]
            assert (sent["type"], sent["sourceDex"], sent["destinationDex"]) == ("sendAsset", dex, "xyz")
            assert (sent["destination"], sent["fromSubAccount"], sent["amount"]) == (USER, "", "125.5")
            assert sent["token"] == "USDC:0x6d1e7cde53ba9467b783cb7c530ce054"

    within(story())


def test_what_a_dex_can_spare_comes_back_to_the_main_account() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            assert venue.exchange is not None
            before = await account_of(accounts, "hl")
            steps = await prepared(rescue, before, "200", "dex xyz")
            assert await rescue.verify(before, steps) == ""
            signed = rescue.sign(steps[0], MASTER)
            venue.exchange.fails = "after"
            with pytest.raises(Unreachable):
                await rescue.send(signed)
            found = await rescue.find(signed.reference, signed.nonce, signed.owner)
            assert (found.fate, found.evidence.partition(",")[0]) == (
                Fate.CONFIRMED,
                "ledger: 200 USDC from dex xyz to perp",
            )
            assert (await account_of(accounts, "hl")).balance == before.balance + 200
            short = await rescue.simulate(before, await prepared(rescue, before, "101", "dex xyz"))
            assert "dex xyz has 100 USDC to spare" in short.refused

    within(story())


def test_a_sub_account_is_fed_out_of_itself() -> None:
    async def story() -> None:
        async with venue_and_rescue(user=SUB) as (venue, rescue, accounts):
            assert venue.exchange is not None
            venue.exchange.subs = {SUB: USER}
            venue.info["userRole"] = {"role": "subAccount", "data": {"master": USER}}
            account = await account_of(accounts, "hl:xyz:TSLA")
            steps = await prepared(rescue, account, "20", "spot")
            assert await rescue.verify(account, steps) == ""
            await rescue.send(rescue.sign(steps[0], MASTER))
            ((who, sent),) = venue.exchange.taken
            assert (who, sent["destination"], sent["fromSubAccount"]) == (SUB, SUB, SUB)

    within(story())


def test_an_api_wallet_moves_nothing_across_dexes() -> None:
    async def story() -> None:
        async with venue_and_rescue(AGENT) as (venue, rescue, accounts):
            venue.info["userRole"] = {"role": "agent", "data": {"user": USER}}
            account = await account_of(accounts, "hl:xyz:TSLA")
            standing = await rescue.standing(account)
            assert [each.source for each in standing.funds] == ["perp balance"]
            cross = await rescue.standing(await account_of(accounts, "hl"))
            assert "API wallet" in cross.facilities[0].refused
            assert [each.asset for each in cross.facilities if Means.REDUCE in each.means] == ["BTC"]

    within(story())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"destination": "0x" + "99" * 20}, "does not say"),
        ({"destinationDex": "abc"}, "does not say"),
        ({"amount": "300"}, "does not say"),
        ({"fromSubAccount": SUB}, "does not say"),
        ({"token": "HYPE:0x0"}, "does not say"),
    ],
)
def test_a_transfer_that_was_tampered_with_is_not_signed(change: dict[str, Any], words: str) -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, accounts):
            account = await account_of(accounts, "hl:xyz:TSLA")
            step, margin = await prepared(rescue, account, "20", "spot")
            payload = copy.deepcopy(dict(step.payload))
            payload["action"] |= change  # type: ignore[operator]  # an action, as made above
            assert words in await rescue.verify(account, [replace(step, payload=payload), margin])

    within(story())


def test_a_transfer_for_another_dex_or_of_another_token_is_refused() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, accounts):
            tsla, eth = await account_of(accounts, "hl:xyz:TSLA"), await account_of(accounts, "hl:ETH")
            steps = await prepared(rescue, tsla, "20", "spot")
            assert "feeds dex xyz, not perp" in await rescue.verify(eth, steps)
            other = json.loads(json.dumps(steps[0].payload).replace("0x6d1e7cde53ba9467b783cb7c530ce054", "0xbad"))
            assert "another token" in await rescue.verify(tsla, [replace(steps[0], payload=other)])

    within(story())


def test_a_dex_with_another_collateral_is_not_fed_with_usdc() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            meta: Any = venue.info["meta xyz"]
            meta["collateralToken"] = 360
            standing = await rescue.standing(await account_of(accounts, "hl:xyz:TSLA"))
            assert "is moved at the venue" in standing.facilities[0].refused
            assert standing.funds == ()
            main = await rescue.standing(await account_of(accounts, "hl"))
            assert [each.source for each in main.funds] == ["spot"]

    within(story())


def test_without_the_token_of_usdc_nothing_goes_from_dex_to_dex() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            venue.info["spotMeta"] = {"tokens": [{"name": "USDC", "index": 0}]}
            with pytest.raises(Refused, match="token of USDC"):
                await prepared(rescue, await account_of(accounts, "hl:xyz:TSLA"), "20", "spot")

    within(story())


# By one command


def test_one_command_closes_part_of_a_position(tmp_path: Path) -> None:
    async def story() -> None:
        venue = next(one for one in registered() if one.provider == "hyperliquid")
        async with bench(venue, tmp_path) as made:
            wanted = ("topup", "kit", "--to", "40", "--by", "reduce", "--confirm", "--json", "--config")
            done = await asyncio.to_thread(marginline, *wanted, made.config_file, home=tmp_path)
            assert done.code == 0, done.out + done.err
            left = abs(Decimal(position_in(made.server.info, "BTC")["szi"]))
            assert Decimal(0) < left < Decimal("0.1")
            assert made.server.exchange.taken[0][1]["type"] == "order"
            assert time.time_ns() // 1_000_000 - made.server.exchange.requests[0]["nonce"] < 60_000

    within(story())
