"""What becomes of what was sent: dropped, replaced, reorganised, reverted, sped up, or lost with its node."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

import pytest

from engine.rescue import Means
from providers.errors import Refused, Unreachable
from providers.evm.rescue.writer import AaveRescue, replacement
from providers.rescue_ports import Fate, Found, Signed, Step
from tests.chain.market import MAX_UINT256, Market
from tests.chain.rescue_proxy import Proxy
from tests.chain.rescuing import OWNER, approve, decided, indebted, mint, planned, run, settings

T = TypeVar("T")


@contextmanager
def waiting_room(market: Market) -> Iterator[None]:
    """Let transactions wait in the mempool until somebody mines."""
    market.anvil.rpc.call("evm_setAutomine", False)
    try:
        yield
    finally:
        market.anvil.rpc.call("evm_setAutomine", True)


def prepared(market: Market) -> None:
    """Give the owner what one step takes: 2 WETH that the pool may already take."""
    indebted(market)
    mint(market, OWNER.address, "WETH", 2)
    approve(market, OWNER.address, "WETH", MAX_UINT256)


async def one_step(rescue: AaveRescue) -> Step:
    steps = await planned(rescue, Means.SUPPLY, "ETH", "2")
    assert len(steps) == 1
    return steps[0]


def test_a_replacement_is_checked_on_the_block_where_what_it_replaces_has_not_happened(market: Market) -> None:
    """On the pending block the 2 WETH of the wallet are spent already, and its nonce is used."""
    prepared(market)

    async def work(rescue: AaveRescue) -> tuple[str, str, str]:
        step = await one_step(rescue)
        with waiting_room(market):
            slow = rescue.sign(step, OWNER)
            await rescue.send(slow)
            faster = await rescue.speed_up(step)
            fine = await rescue.why_not_replaced(faster)
            fee, was = await rescue.fee_usd(faster), await rescue.fee_usd(step)
            assert fee is not None
            assert was is not None
            assert fee > was * Decimal("1.12") > 0
            behind = replace(faster, payload={**faster.payload, "nonce": hex((slow.nonce or 0) + 1)})
            queued = await rescue.why_not_replaced(behind)
            market.anvil.mine()
        return fine, queued, await rescue.why_not_replaced(faster)

    fine, queued, used = run(market, work)
    assert fine == ""
    assert "waits behind transaction" in queued
    assert "is used: it has landed" in used


def test_a_permit_that_ends_soon_is_not_signed_again(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "DAI", 100)

    async def work(rescue: AaveRescue) -> tuple[str, str]:
        (step,) = await planned(rescue, Means.SUPPLY, "DAI", "100")
        early = await rescue.why_not_replaced(step)
        market.anvil.skip(3_500)
        return early, await rescue.why_not_replaced(await rescue.speed_up(step))

    early, late = run(market, work)
    assert early == ""
    assert "permit ends too soon" in late


async def fate(rescue: AaveRescue, signed: Signed) -> Found:
    return await rescue.find(signed.reference, signed.nonce, signed.owner)


def through(market: Market, work: Callable[[AaveRescue, Proxy], Awaitable[T]], dying: Sequence[str]) -> T:
    """Return what `work` makes of a rescue that reads the node directly and sends through a proxy."""

    async def whole() -> T:
        async with Proxy(market.anvil.url, dying=dying) as proxy:
            options = replace(settings(market, OWNER.address), submit_rpc_url=proxy.url)
            rescue = AaveRescue(options, OWNER.address)
            try:
                return await work(rescue, proxy)
            finally:
                await rescue.aclose()

    return asyncio.run(whole())


def test_a_dropped_transaction_is_noticed_and_its_nonce_stays_free(market: Market) -> None:
    prepared(market)

    async def work(rescue: AaveRescue) -> list[Found]:
        signed = rescue.sign(await one_step(rescue), OWNER)
        told = [await fate(rescue, signed)]
        with waiting_room(market):
            await rescue.send(signed)
            told.append(await fate(rescue, signed))
            market.anvil.rpc.call("anvil_dropTransaction", signed.reference)
            told.append(await fate(rescue, signed))
        return told

    never_sent, waits, dropped = run(market, work)
    assert never_sent.fate is Fate.PENDING
    assert "no node shows it yet" in never_sent.evidence
    assert waits == Found(Fate.PENDING, "in the mempool")
    assert dropped.fate is Fate.UNKNOWN
    assert dropped.evidence.startswith("dropped")


def test_a_foreign_transaction_that_takes_the_nonce_is_named(market: Market) -> None:
    prepared(market)

    async def work(rescue: AaveRescue) -> tuple[str, Found]:
        signed = rescue.sign(await one_step(rescue), OWNER)
        fields = {"from": OWNER.address, "to": OWNER.address, "value": "0x1"}
        foreign = market.anvil.rpc.call("eth_sendTransaction", fields)
        market.anvil.mine(5)
        with pytest.raises(Refused, match="was used by 0x"):
            await rescue.send(signed)
        return foreign, await fate(rescue, signed)

    foreign, found = run(market, work)
    assert found.fate is Fate.REJECTED
    assert found.evidence.endswith(foreign)


def test_a_foreign_transaction_rejects_ours_only_once_it_is_as_deep_as_ours_would_have_to_be(market: Market) -> None:
    """Until then a reorganisation may take it out again and let ours in."""
    prepared(market)

    async def work(rescue: AaveRescue) -> list[Found]:
        signed = rescue.sign(await one_step(rescue), OWNER)
        fields = {"from": OWNER.address, "to": OWNER.address, "value": "0x1"}
        market.anvil.rpc.call("eth_sendTransaction", fields)
        async with asyncio.timeout(5):
            while "nonce" not in (shallow := await fate(rescue, signed)).evidence or "free" in shallow.evidence:
                pass
        market.anvil.mine(2)
        return [shallow, await fate(rescue, signed)]

    shallow, deep = run(market, work, confirmations=3)
    assert shallow.fate is Fate.PENDING
    assert "1 of 3 confirmations" in shallow.evidence
    assert deep.fate is Fate.REJECTED


def test_a_reorganised_block_makes_the_outcome_open_again(market: Market) -> None:
    prepared(market)

    async def work(rescue: AaveRescue) -> list[Found]:
        signed = rescue.sign(await one_step(rescue), OWNER)
        mark = market.anvil.snapshot()
        await rescue.send(signed)
        told = [await decided(rescue, signed)]
        market.anvil.revert(mark)
        told.append(await fate(rescue, signed))
        await rescue.send(signed)
        told.append(await decided(rescue, signed))
        return told

    first, between, last = run(market, work)
    assert first.fate is Fate.CONFIRMED
    assert between.fate in (Fate.PENDING, Fate.UNKNOWN)
    assert "reorganised" in between.evidence
    assert last.fate is Fate.CONFIRMED


def test_confirmations_are_waited_for(market: Market) -> None:
    prepared(market)

    async def work(rescue: AaveRescue) -> tuple[Found, Found]:
        signed = rescue.sign(await one_step(rescue), OWNER)
        await rescue.send(signed)
        async with asyncio.timeout(5):
            while "1 of 3" not in (first := await fate(rescue, signed)).evidence:
                pass
        market.anvil.mine(2)
        return first, await fate(rescue, signed)

    first, then = run(market, work, confirmations=3)
    assert (first.fate, then.fate) == (Fate.PENDING, Fate.CONFIRMED)


def test_a_transaction_that_reverts_on_chain_says_why(market: Market) -> None:
    prepared(market)

    async def work(rescue: AaveRescue) -> Found:
        signed = rescue.sign(await one_step(rescue), OWNER)
        market.configurator.send("setReserveFreeze", market.tokens["WETH"].address, True, sender=market.admin)
        await rescue.send(signed)
        return await decided(rescue, signed)

    found = run(market, work)
    assert found.fate is Fate.REJECTED
    assert "the reserve is frozen" in found.evidence


def test_a_replacement_overtakes_what_it_replaces(market: Market) -> None:
    prepared(market)

    async def work(rescue: AaveRescue) -> tuple[Found, Found, str]:
        step = await one_step(rescue)
        slow, fast = rescue.sign(step, OWNER), rescue.sign(await rescue.speed_up(step), OWNER)
        underpriced = rescue.sign(replace(step, payload={**step.payload, "gas": hex(900_000)}), OWNER)
        with waiting_room(market):
            await rescue.send(slow)
            with pytest.raises(Refused, match="underpriced"):
                await rescue.send(underpriced)
            await rescue.send(fast)
            market.anvil.mine()
        return await decided(rescue, fast), await decided(rescue, slow), fast.reference

    fast, slow, reference = run(market, work)
    assert fast.fate is Fate.CONFIRMED
    assert slow.fate is Fate.REJECTED
    assert slow.evidence.endswith(reference)


def test_the_same_bytes_handed_over_twice_happen_once(market: Market) -> None:
    prepared(market)

    async def work(rescue: AaveRescue) -> Found:
        signed = rescue.sign(await one_step(rescue), OWNER)
        with waiting_room(market):
            await rescue.send(signed)
            await rescue.send(signed)
            market.anvil.mine()
        found = await decided(rescue, signed)
        await rescue.send(signed)
        return found

    assert run(market, work).fate is Fate.CONFIRMED
    token = market.tokens["WETH"].contract
    assert token.read("balanceOf", OWNER.address) == 0


def test_a_node_that_dies_after_accepting_leaves_the_outcome_to_reading(market: Market) -> None:
    prepared(market)

    async def work(rescue: AaveRescue, proxy: Proxy) -> Found:
        signed = rescue.sign(await one_step(rescue), OWNER)
        with pytest.raises(Unreachable, match="nobody knows"):
            await rescue.send(signed)
        assert proxy.methods.count("eth_sendRawTransaction") == 1
        return await decided(rescue, signed)

    assert through(market, work, dying=["eth_sendRawTransaction"]).fate is Fate.CONFIRMED


def test_a_relay_that_refuses_is_bypassed_only_when_the_user_says_so(market: Market) -> None:
    prepared(market)

    async def work(fallback: bool) -> Found:
        async with Proxy(market.anvil.url, lacking=["eth_sendRawTransaction"]) as proxy:
            options = replace(settings(market, OWNER.address), submit_rpc_url=proxy.url, submit_fallback=fallback)
            rescue = AaveRescue(options, OWNER.address)
            try:
                signed = rescue.sign(await one_step(rescue), OWNER)
                await rescue.send(signed)
                return await decided(rescue, signed)
            finally:
                await rescue.aclose()

    with pytest.raises(Refused, match="does not exist"):
        asyncio.run(work(False))
    assert asyncio.run(work(True)).fate is Fate.CONFIRMED


def test_a_replacement_raises_every_fee_by_at_least_an_eighth(market: Market) -> None:
    prepared(market)
    step = run(market, one_step)
    raised = replacement(step)
    for key in ("maxFeePerGas", "maxPriorityFeePerGas"):
        assert int(str(raised.payload[key]), 16) * 8 >= int(str(step.payload[key]), 16) * 9
    assert raised.payload["nonce"] == step.payload["nonce"]
