"""Rescues against a loopback Hyperliquid that recovers the signer of every request and carries out what it may."""

import asyncio
import copy
import json
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from eth_keys.datatypes import PrivateKey

from engine.accounts import Account
from engine.rescue import HealthPath, Means, Option, Standing
from providers.errors import ConfigError, Refused, Unauthorised, Unreachable
from providers.hyperliquid import HyperliquidAccounts
from providers.hyperliquid_rescue import HyperliquidRescue, make
from providers.hyperliquid_signing import TRANSFER, TRANSFER_FIELDS, l1_digest, signature_json, user_digest, wire_number
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Signed, Step
from tests.hyperliquid_exchange import Exchange
from tests.hyperliquid_server import HyperliquidServer, Refusal, hyperliquid_server

VECTORS = json.loads((Path(__file__).parents[1] / "fixtures/hyperliquid/signatures.json").read_text())
MASTER_KEY, AGENT_KEY, STRANGER_KEY = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
SUB = "0x" + "5b" * 20


class KeySigner:
    """Signs with a key of these tests, and counts."""

    def __init__(self, key: bytes) -> None:
        self._key = PrivateKey(key)
        self.signed = 0

    @property
    def address(self) -> str:
        return self._key.public_key.to_checksum_address()

    def sign_digest(self, digest: bytes) -> tuple[int, int, int]:
        self.signed += 1
        signature = self._key.sign_msg_hash(digest)
        return signature.v + 27, signature.r, signature.s


MASTER, AGENT, STRANGER = KeySigner(MASTER_KEY), KeySigner(AGENT_KEY), KeySigner(STRANGER_KEY)
USER = MASTER.address.lower()


def isolated(coin: str, size: str, raw: str, margin: str, value: str) -> dict[str, Any]:
    return {
        "type": "oneWay",
        "position": {
            "coin": coin,
            "szi": size,
            "leverage": {"type": "isolated", "value": 10, "rawUsd": raw},
            "entryPx": "2500",
            "positionValue": value,
            "unrealizedPnl": "0",
            "liquidationPx": "2300",
            "marginUsed": margin,
            "maxLeverage": 25,
            "cumFunding": {"sinceOpen": "0.0"},
        },
    }


def world(user_role: object = None) -> dict[str, Any]:
    """A standard account: ETH long 2 isolated with 400 of margin, BTC cross, 900 free in perp, 5000 in spot."""
    now_ms = time.time_ns() // 1_000_000
    cross = isolated("BTC", "0.1", "0", "610", "6100")
    cross["position"]["leverage"] = {"type": "cross", "value": 10}
    cross["position"] |= {"entryPx": "61000", "maxLeverage": 40}
    return {
        "clearinghouseState": {
            "crossMarginSummary": {"accountValue": "1500"},
            "crossMaintenanceMarginUsed": "76.25",
            "withdrawable": "900",
            "assetPositions": [isolated("ETH", "2", "-4800", "400", "5200"), cross],
            "time": now_ms,
        },
        "clearinghouseState xyz": {
            "crossMarginSummary": {"accountValue": "0"},
            "withdrawable": "300",
            "assetPositions": [isolated("xyz:TSLA", "-4", "1800", "200", "1600")],
            "time": now_ms,
        },
        "userAbstraction": "default",
        "perpDexs": [None, {"name": "abc"}, {"name": "xyz"}],
        "meta": {
            "universe": [
                {"name": "BTC", "szDecimals": 5},
                {"name": "OLD", "szDecimals": 1, "isDelisted": True},
                {"name": "ETH", "szDecimals": 4},
            ]
        },
        "meta xyz": {"universe": [{"name": "xyz:GOLD", "szDecimals": 3}, {"name": "xyz:TSLA", "szDecimals": 3}]},
        "spotMeta": {"tokens": [{"name": "USDC", "index": 0, "tokenId": "0x6d1e7cde53ba9467b783cb7c530ce054"}]},
        "dex bases": {"": 0, "xyz": 120_000},
        "spotClearinghouseState": {"balances": [{"coin": "USDC", "token": 0, "total": "5200", "hold": "200"}]},
        "userNonFundingLedgerUpdates": [],
        "userRole": user_role or {"role": "user"},
    }


@asynccontextmanager
async def venue_and_rescue(
    signer: KeySigner | None = MASTER, user: str = USER, *, testnet: bool | None = None
) -> AsyncIterator[tuple[HyperliquidServer, HyperliquidRescue, HyperliquidAccounts]]:
    async with hyperliquid_server() as venue:
        venue.info = world()
        venue.exchange = Exchange({USER}, is_mainnet=not testnet)
        venue.exchange.now_ms = time.time_ns() // 1_000_000
        options = AccountOptions("hl", "hyperliquid", address=user, rest_url=venue.url_rest)
        rescue, accounts = (
            make(options, None if signer is None else signer.address, testnet=testnet),
            HyperliquidAccounts(options),
        )
        try:
            yield venue, rescue, accounts
        finally:
            await rescue.aclose()
            await accounts.aclose()


def within(work: Coroutine[Any, Any, None]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(20):
            await work

    asyncio.run(bounded())


async def account_of(accounts: HyperliquidAccounts, name: str) -> Account:
    return next(each for each in (await accounts.read()).accounts if each.name == name)


def option(amount: str, standing: Standing, source: str | None = None) -> Option:
    funds = next(each for each in standing.funds if source in (None, each.source))
    return Option(
        Means.ADD_MARGIN,
        "USDC",
        Decimal(amount),
        funds.source,
        Decimal(0),
        HealthPath(None, None, None, None),
        Decimal(1),
        amount_units=int(Decimal(amount) * 1_000_000),
        funds=funds,
        facility=standing.facilities[0],
    )


async def prepared(
    rescue: HyperliquidRescue, account: Account, amount: str, source: str | None = None
) -> tuple[Step, ...]:
    return tuple(await rescue.prepare(account, option(amount, await rescue.standing(account), source)))


@pytest.mark.parametrize("vector", VECTORS["l1"])
def test_an_l1_action_is_signed_as_the_venues_own_sdk_signs_it(vector: dict[str, Any]) -> None:
    digest = l1_digest(
        vector["action"],
        vector["nonce"],
        is_mainnet=vector["is_mainnet"],
        vault=vector["vault"],
        expires_after=vector["expires_after"],
    )
    signature = signature_json(KeySigner(bytes.fromhex(VECTORS["key"][2:])).sign_digest(digest))
    assert {key: int(str(value), 16) for key, value in signature.items() if key != "v"} == {
        key: int(vector[key], 16) for key in ("r", "s")
    }
    assert signature["v"] == vector["v"]


@pytest.mark.parametrize("vector", VECTORS["transfer"])
def test_a_transfer_is_signed_as_the_venues_own_sdk_signs_it(vector: dict[str, Any]) -> None:
    digest = user_digest(TRANSFER, TRANSFER_FIELDS, vector["action"])
    v, r, s = KeySigner(bytes.fromhex(VECTORS["key"][2:])).sign_digest(digest)
    assert (hex(r), hex(s), v) == (vector["r"], vector["s"], vector["v"])


def test_the_vectors_hold_leading_zeros_in_r_and_in_s() -> None:
    assert any(len(vector["r"]) < 66 for vector in VECTORS["l1"])
    assert any(len(vector["s"]) < 65 for vector in VECTORS["l1"])


def test_published_vectors_of_the_sdk_hold() -> None:
    """Figures of tests/signing_test.py in hyperliquid-dex/hyperliquid-python-sdk, read 2026-11."""
    signer = KeySigner(bytes.fromhex(VECTORS["key"][2:]))
    v, r, s = signer.sign_digest(l1_digest({"type": "dummy", "num": 100_000_000_000}, 0, is_mainnet=True))
    assert r == 0x53749D5B30552AEB2FCA34B530185976545BB22D0B3CE6F62E31BE961A59298
    assert (s, v) == (0x755C40BA9BF05223521753995ABB2F73AB3229BE8EC921F350CB447E384D8ED8, 27)
    fields = (("hyperliquidChain", "string"), ("destination", "string"), ("amount", "string"), ("time", "uint64"))
    send = {
        "signatureChainId": "0x66eee",
        "hyperliquidChain": "Testnet",
        "destination": "0x5e9ee1089755c3435139848e47e6635505d5a13a",
        "amount": "1",
        "time": 1687816341423,
    }
    v, r, s = signer.sign_digest(user_digest("HyperliquidTransaction:UsdSend", fields, send))
    assert r == 0x637B37DD731507CDD24F46532CA8BA6EEC616952C56218BAEFF04144E4A77073
    assert (s, v) == (0x11A6A24900E6E314136D2592E2F8D502CD89B7C15B198E1BEE043C9589F9FAD7, 27)


@pytest.mark.parametrize(
    ("value", "text"),
    [("10", "10"), ("10.50", "10.5"), ("0", "0"), ("1E+3", "1000"), ("0.000001", "0.000001"), ("100.00", "100")],
)
def test_numbers_go_out_plain_and_without_trailing_zeros(value: str, text: str) -> None:
    assert wire_number(Decimal(value)) == text


def test_a_number_finer_than_the_venue_takes_is_refused() -> None:
    with pytest.raises(ValueError, match="8 decimals"):
        wire_number(Decimal("0.000000001"))


@pytest.mark.parametrize("testnet", [False, True])
@pytest.mark.parametrize("signer", [MASTER, AGENT])
def test_margin_is_added_to_an_isolated_position(signer: KeySigner, testnet: bool) -> None:
    async def story() -> None:
        async with venue_and_rescue(signer, testnet=testnet) as (venue, rescue, accounts):
            assert venue.exchange is not None
            venue.exchange.agents = {AGENT.address.lower(): USER}
            venue.info["userRole"] = {"role": "agent", "data": {"user": USER}}
            before = await account_of(accounts, "hl:ETH")
            steps = await prepared(rescue, before, "125.5", "perp balance")
            assert len(steps) == 1
            assert await rescue.verify(before, steps) == ""
            simulated = await rescue.simulate(before, steps)
            assert simulated.health_factor == Decimal("525.5") / Decimal("104")
            signed = rescue.sign(steps[0], signer)
            await rescue.send(signed)
            found = await rescue.find(signed.reference, signed.nonce, signed.owner)
            assert (found.fate, found.evidence) == (Fate.CONFIRMED, "margin of ETH rose by 125.5 USD")
            action = {"type": "updateIsolatedMargin", "asset": 2, "isBuy": True, "ntli": 125_500_000}
            assert venue.exchange.taken == [(USER, action)]
            after = await account_of(accounts, "hl:ETH")
            assert after.balance == before.balance + Decimal("125.5")

    within(story())


def test_margin_is_added_on_a_builder_deployed_dex() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            assert venue.exchange is not None
            account = await account_of(accounts, "hl:xyz:TSLA")
            steps = await prepared(rescue, account, "50")
            assert await rescue.verify(account, steps) == ""
            signed = rescue.sign(steps[0], MASTER)
            await rescue.send(signed)
            assert venue.exchange.taken[0][1]["asset"] == 120_001
            assert (await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.CONFIRMED

    within(story())


@pytest.mark.parametrize("testnet", [False, True])
def test_spot_usdc_goes_to_the_cross_account(testnet: bool) -> None:
    async def story() -> None:
        async with venue_and_rescue(testnet=testnet) as (venue, rescue, accounts):
            before = await account_of(accounts, "hl")
            steps = await prepared(rescue, before, "1000")
            assert await rescue.verify(before, steps) == ""
            health = (await rescue.simulate(before, steps)).health_factor
            signed = rescue.sign(steps[0], MASTER)
            await rescue.send(signed)
            found = await rescue.find(signed.reference, signed.nonce, signed.owner)
            assert found.fate is Fate.CONFIRMED
            assert "0xcdcd" in found.evidence
            after = await account_of(accounts, "hl")
            assert after.balance == before.balance + 1000
            assert health is not None
            assert health == Decimal("2500") / Decimal("76.25")
            assert venue.exchange is not None
            assert venue.exchange.taken[0][1]["amount"] == "1000"

    within(story())


def test_an_isolated_position_is_fed_from_spot_in_two_steps() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            account = await account_of(accounts, "hl:ETH")
            steps = await prepared(rescue, account, "2000", "spot")
            assert [step.title for step in steps] == [
                "transfer 2000 USDC from spot to perp",
                "add 2000 USDC margin to ETH",
            ]
            assert await rescue.verify(account, steps) == ""
            assert (await rescue.simulate(account, steps)).health_factor == Decimal(2400) / 104
            for step in steps:
                signed = rescue.sign(step, MASTER)
                await rescue.send(signed)
                assert (await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.CONFIRMED
            assert venue.exchange is not None
            assert [action["type"] for _, action in venue.exchange.taken] == [
                "usdClassTransfer",
                "updateIsolatedMargin",
            ]

    within(story())


def test_a_master_acts_for_its_sub_account() -> None:
    async def story() -> None:
        async with venue_and_rescue(MASTER, SUB) as (venue, rescue, accounts):
            assert venue.exchange is not None
            venue.exchange.subs = {SUB: USER}
            venue.info["userRole"] = {"role": "subAccount", "data": {"master": USER}}
            for name, source in (("hl:ETH", "perp balance"), ("hl", "spot")):
                account = await account_of(accounts, name)
                steps = await prepared(rescue, account, "10", source)
                assert await rescue.verify(account, steps) == ""
                await rescue.send(rescue.sign(steps[0], MASTER))
            assert [account for account, _ in venue.exchange.taken] == [SUB, SUB]
            assert venue.exchange.taken[1][1]["amount"] == f"10 subaccount:{SUB}"

    within(story())


def test_an_api_wallet_is_told_that_it_cannot_transfer() -> None:
    async def story() -> None:
        async with venue_and_rescue(AGENT) as (venue, rescue, accounts):
            venue.info["userRole"] = {"role": "agent", "data": {"user": USER}}
            account = await account_of(accounts, "hl")
            standing = await rescue.standing(account)
            assert "account's own key" in standing.facilities[0].refused
            with pytest.raises(Refused, match="own key"):
                await rescue.prepare(account, option("10", standing))
            own = await rescue.standing(await account_of(accounts, "hl:ETH"))
            assert own.facilities[0].refused == ""
            assert [each.source for each in own.funds] == ["perp balance"]

    within(story())


def test_a_strangers_key_is_a_problem_in_words() -> None:
    async def story() -> None:
        async with venue_and_rescue(STRANGER) as (venue, rescue, accounts):
            venue.info["userRole"] = {"role": "missing"}
            account = await account_of(accounts, "hl:ETH")
            standing = await rescue.standing(account)
            assert "may not act for" in standing.problems[0]
            with pytest.raises(Refused, match="may not act for"):
                await rescue.prepare(account, option("10", standing))

    within(story())


def test_the_standing_tells_funds_and_no_gas() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, accounts):
            cross = await rescue.standing(await account_of(accounts, "hl"))
            assert [(each.source, each.amount) for each in cross.funds] == [
                ("spot", Decimal(5000)),
                ("dex xyz", Decimal(300)),
            ]
            own = await rescue.standing(await account_of(accounts, "hl:ETH"))
            assert [(each.source, each.amount) for each in own.funds] == [
                ("perp balance", Decimal(900)),
                ("spot", Decimal(5000)),
                ("dex xyz", Decimal(300)),
            ]
            assert own.gas_balance is None
            assert own.tariffs[Means.ADD_MARGIN].cost_usd == 0
            assert own.signer == USER

    within(story())


def test_without_a_signer_it_only_reads() -> None:
    async def story() -> None:
        async with venue_and_rescue(None) as (_, rescue, accounts):
            account = await account_of(accounts, "hl:ETH")
            standing = await rescue.standing(account)
            assert (standing.signer, standing.funds[0].amount) == ("", Decimal(900))
            with pytest.raises(Refused, match="read-only"):
                await rescue.prepare(account, option("10", standing))

    within(story())


def test_a_unified_account_needs_no_transfer() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            venue.info["userAbstraction"] = "unifiedAccount"
            standing = await rescue.standing(await account_of(accounts, "hl"))
            assert "unified" in standing.facilities[0].refused
            own = await rescue.standing(await account_of(accounts, "hl:ETH"))
            assert [(each.source, each.amount) for each in own.funds] == [("spot", Decimal(5000))]

    within(story())


def test_more_than_can_be_spared_is_refused_before_anything_is_signed() -> None:
    async def story() -> None:
        signer = KeySigner(MASTER_KEY)
        async with venue_and_rescue(signer) as (_, rescue, accounts):
            own, cross = await account_of(accounts, "hl:ETH"), await account_of(accounts, "hl")
            too_much = await rescue.simulate(own, await prepared(rescue, own, "901", "perp balance"))
            assert "perp has 900 USDC to spare" in too_much.refused
            short = await rescue.simulate(cross, await prepared(rescue, cross, "5001"))
            assert "spot has" in short.refused
            assert signer.signed == 0

    within(story())


def test_a_position_that_changed_since_it_was_read_is_not_simulated() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            own, cross = await account_of(accounts, "hl:ETH"), await account_of(accounts, "hl")
            steps = await prepared(rescue, own, "10", "perp balance")
            fed = await prepared(rescue, cross, "10")
            state: Any = venue.info["clearinghouseState"]
            for each in state["assetPositions"]:
                each["position"]["szi"] = "7"
            assert "read again" in (await rescue.simulate(own, steps)).refused
            assert "read again" in (await rescue.simulate(cross, fed)).refused
            state["assetPositions"] = []
            assert "read again" in (await rescue.simulate(own, steps)).refused

    within(story())


def test_a_simulation_is_at_the_marks_of_now() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            own = await account_of(accounts, "hl:ETH")
            steps = await prepared(rescue, own, "100", "perp balance")
            state: Any = venue.info["clearinghouseState"]
            state["assetPositions"][0]["position"]["positionValue"] = "5000"
            assert (await rescue.simulate(own, steps)).health_factor == Decimal(300) / 100

    within(story())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda payload: payload["action"].update(ntli=9_000_000_000), "does not say"),
        (lambda payload: payload["action"].update(asset=0), "asset id 0"),
        (lambda payload: payload["action"].update(isBuy=False), "does not say"),
        (lambda payload: payload["action"].update(more=1), "keys"),
        (lambda payload: payload["action"].update(type="withdraw3"), "not one of those"),
        (lambda payload: payload.update(user="0x" + "9" * 40), "another account"),
        (lambda payload: payload.update(network="Testnet"), "Testnet"),
        (lambda payload: payload.update(coin="BTC"), "is for BTC"),
        (lambda payload: payload.update(vaultAddress=SUB), "does not say"),
        (lambda payload: payload.update(expiresAfter=None), "does not say"),
        (lambda payload: payload.update(nonce=payload["nonce"] - 61_000), "older than a minute"),
        (lambda payload: payload.update(units=-5), "adds nothing"),
        (lambda payload: payload.update(action=None), "not one of those"),
    ],
)
def test_an_altered_action_is_refused(change: Any, words: str) -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, accounts):
            account = await account_of(accounts, "hl:ETH")
            (step,) = await prepared(rescue, account, "10", "perp balance")
            payload = copy.deepcopy(dict(step.payload))
            change(payload)
            assert words in await rescue.verify(account, [replace(step, payload=payload)])

    within(story())


def test_an_altered_transfer_is_refused() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, accounts):
            account = await account_of(accounts, "hl")
            (step,) = await prepared(rescue, account, "10")
            for key, value in (("amount", "11"), ("toPerp", False), ("hyperliquidChain", "Testnet"), ("nonce", 1)):
                payload = copy.deepcopy(dict(step.payload))
                payload["action"][key] = value  # type: ignore[index]  # the payload of a test
                assert "does not say" in await rescue.verify(account, [replace(step, payload=payload)])
            assert await rescue.verify(account, []) == "there is nothing to send"

    within(story())


def test_what_is_not_ours_is_never_signed() -> None:
    signer = KeySigner(MASTER_KEY)
    rescue = make(AccountOptions("hl", "hyperliquid", address=USER), signer.address)
    action = {"type": "withdraw3", "destination": STRANGER.address, "amount": "1", "time": 1}
    payload = {"action": action, "nonce": 1, "vaultAddress": None, "expiresAfter": None}
    with pytest.raises(Refused, match="not an action"):
        rescue.sign(Step("trick", payload), signer)
    assert signer.signed == 0


def test_a_step_that_went_through_json_is_signed_the_same() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_venue, rescue, accounts):
            account = await account_of(accounts, "hl:ETH")
            (step,) = await prepared(rescue, account, "10", "perp balance")
            stored = replace(step, payload=json.loads(json.dumps(step.payload, sort_keys=True)))
            assert rescue.sign(stored, MASTER) == rescue.sign(step, MASTER)

    within(story())


def test_another_key_than_the_planned_one_signs_nothing() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, accounts):
            (step,) = await prepared(rescue, await account_of(accounts, "hl"), "10")
            with pytest.raises(Refused, match="planned"):
                rescue.sign(step, STRANGER)

    within(story())


def test_a_locked_signer_stops_the_signature() -> None:
    class Locked(KeySigner):
        def sign_digest(self, digest: bytes) -> tuple[int, int, int]:
            raise Unauthorised("signer", "locked")

    async def story() -> None:
        locked = Locked(MASTER_KEY)
        async with venue_and_rescue(locked) as (venue, rescue, accounts):
            (step,) = await prepared(rescue, await account_of(accounts, "hl"), "10")
            with pytest.raises(Unauthorised):
                rescue.sign(step, locked)
            assert venue.exchange is not None
            assert venue.exchange.requests == []

    within(story())


def test_the_wrong_network_is_refused_by_the_venue() -> None:
    async def story() -> None:
        async with venue_and_rescue(testnet=True) as (venue, rescue, accounts):
            assert venue.exchange is not None
            venue.exchange.is_mainnet = True
            for name in ("hl:ETH", "hl"):
                (step,) = await prepared(rescue, await account_of(accounts, name), "10")
                with pytest.raises(Refused, match="does not exist"):
                    await rescue.send(rescue.sign(step, MASTER))
            assert venue.exchange.taken == []

    within(story())


def test_a_nonce_is_never_used_twice() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, accounts):
            account = await account_of(accounts, "hl:ETH")
            steps = [step for _ in range(5) for step in await prepared(rescue, account, "1", "spot")]
            nonces = [int(str(step.payload["nonce"])) for step in steps]
            assert nonces == sorted(set(nonces))

    within(story())


def test_a_refusal_by_the_venue_is_certain() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            assert venue.exchange is not None
            account = await account_of(accounts, "hl:ETH")
            (step,) = await prepared(rescue, account, "10", "perp balance")
            signed = rescue.sign(step, MASTER)
            await rescue.send(signed)
            with pytest.raises(Refused, match="Invalid nonce"):
                await rescue.send(signed)
            assert len(venue.exchange.taken) == 1
            venue.exchange.fails = b'{"status":"err","response":"\\u001b[31mno\\u0007"}'
            with pytest.raises(Refused) as raised:
                await rescue.send(rescue.sign((await prepared(rescue, account, "10"))[0], MASTER))
            assert "\x1b" not in str(raised.value)

    within(story())


@pytest.mark.parametrize("reply", [b"", b"{}", b"<html>", b'{"status":"maybe"}', b'{"status":5}'])
def test_a_reply_that_says_nothing_leaves_the_outcome_unknown(reply: bytes) -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            assert venue.exchange is not None
            (step,) = await prepared(rescue, await account_of(accounts, "hl:ETH"), "10", "perp balance")
            venue.exchange.fails = reply
            with pytest.raises(Unreachable):
                await rescue.send(rescue.sign(step, MASTER))

    within(story())


@pytest.mark.parametrize("name", ["hl:ETH", "hl"])
def test_a_lost_answer_is_reconciled_by_reading(name: str) -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            assert venue.exchange is not None
            account = await account_of(accounts, name)
            (step,) = await prepared(rescue, account, "10")
            signed = rescue.sign(step, MASTER)
            venue.exchange.fails = "after"
            with pytest.raises(Unreachable):
                await rescue.send(signed)
            options = AccountOptions("hl", "hyperliquid", address=USER, rest_url=venue.url_rest)
            restarted = make(options, MASTER.address)
            found = await restarted.find(signed.reference, signed.nonce, signed.owner)
            await restarted.aclose()
            assert found.fate is Fate.CONFIRMED
            assert len(venue.exchange.taken) == 1

    within(story())


@pytest.mark.parametrize("name", ["hl:ETH", "hl"])
def test_what_never_arrived_is_pending_until_it_can_no_longer_land(name: str) -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            assert venue.exchange is not None
            (step,) = await prepared(rescue, await account_of(accounts, name), "10")
            signed = rescue.sign(step, MASTER)
            venue.exchange.fails = "before"
            with pytest.raises(Unreachable):
                await rescue.send(signed)
            assert (await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.PENDING
            state: Any = venue.info["clearinghouseState"]
            state["time"] += 200_000
            assert (await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.REJECTED

    within(story())


def test_funding_paid_meanwhile_does_not_hide_what_landed() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            (step,) = await prepared(rescue, await account_of(accounts, "hl:ETH"), "10", "perp balance")
            signed = rescue.sign(step, MASTER)
            state: Any = venue.info["clearinghouseState"]
            position = state["assetPositions"][0]["position"]
            position["cumFunding"]["sinceOpen"] = "1.25"
            position["leverage"]["rawUsd"] = "-4801.25"
            assert (await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.PENDING
            position["leverage"]["rawUsd"] = "-4791.25"
            assert (await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.CONFIRMED
            position["leverage"]["rawUsd"] = "-4796"
            assert (await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.UNKNOWN

    within(story())


def test_a_position_that_changed_meanwhile_leaves_it_unknown() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            (step,) = await prepared(rescue, await account_of(accounts, "hl:ETH"), "10", "perp balance")
            signed = rescue.sign(step, MASTER)
            state: Any = venue.info["clearinghouseState"]
            state["assetPositions"][0]["position"]["szi"] = "1"
            assert (await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.UNKNOWN
            state["assetPositions"] = []
            gone = await rescue.find(signed.reference, signed.nonce, signed.owner)
            assert (gone.fate, "gone" in gone.evidence) == (Fate.UNKNOWN, True)

    within(story())


def test_a_transfer_of_someone_else_is_not_taken_for_ours() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            (step,) = await prepared(rescue, await account_of(accounts, "hl"), "10")
            signed = rescue.sign(step, MASTER)
            assert signed.nonce is not None
            ledger: Any = venue.info["userNonFundingLedgerUpdates"]
            time_ms = signed.nonce + 5
            ledger += [
                {"time": time_ms, "delta": {"type": "accountClassTransfer", "usdc": "10", "toPerp": False}},
                {"time": time_ms, "delta": {"type": "accountClassTransfer", "usdc": "11", "toPerp": True}},
                {"time": time_ms, "delta": {"type": "deposit", "usdc": "10"}},
                {
                    "time": time_ms,
                    "delta": {
                        "type": "send",
                        "token": "USDC",
                        "amount": "10.0",
                        "sourceDex": "spot",
                        "destinationDex": "",
                        "nonce": signed.nonce - 1,
                    },
                },
            ]
            assert (await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.PENDING
            ledger[-1]["delta"]["nonce"] = signed.nonce
            assert (await rescue.find(signed.reference, signed.nonce, signed.owner)).fate is Fate.CONFIRMED

    within(story())


def test_too_many_requests_means_not_taken() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (venue, rescue, accounts):
            (step,) = await prepared(rescue, await account_of(accounts, "hl"), "10")
            venue.exchange = None
            venue.exchange_refusal = Refusal(429, b"", 60)
            with pytest.raises(Refused, match="not taken"):
                await rescue.send(rescue.sign(step, MASTER))

    within(story())


def test_a_damaged_reference_is_said_to_be_unreadable() -> None:
    async def story() -> None:
        async with venue_and_rescue() as (_, rescue, _):
            for reference in ("", "updateIsolatedMargin usd=x nonce=1", "usdClassTransfer usd=1"):
                with pytest.raises(Exception, match="cannot be read"):
                    await rescue.find(reference, 1, USER)

    within(story())


def test_the_network_follows_from_the_url_unless_it_is_said() -> None:
    address = AccountOptions("hl", "hyperliquid", address=USER)
    for url, testnet, is_mainnet in (
        (None, None, True),
        ("https://api.hyperliquid-testnet.xyz", None, False),
        ("https://proxy.example", None, True),
        ("https://proxy.example", True, False),
    ):
        rescue = HyperliquidRescue(replace(address, rest_url=url), MASTER.address, testnet=testnet)
        assert rescue.is_mainnet is is_mainnet
    with pytest.raises(ConfigError, match="address"):
        make(AccountOptions("hl", "hyperliquid"))


def test_a_signed_request_does_not_show_what_it_holds() -> None:
    signed = Signed("usdClassTransfer usd=1 nonce=1", '{"signature": "secret"}')
    assert "secret" not in repr(signed)
