"""What stops a rescue before anything is signed: reverts named by simulation, tampered steps, fees, gas, code."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any, TypeVar

import pytest

from engine.rescue import Means, Standing
from providers.errors import Refused
from providers.evm.rescue.calls import APPROVE, MAX_UINT256, REPAY, SUPPLY, USE_AS_COLLATERAL, call
from providers.evm.rescue.writer import AaveRescue
from providers.rescue_ports import Simulation, Step
from tests.chain.contracts import aave30, aave36
from tests.chain.market import Market
from tests.chain.rescue_proxy import Proxy
from tests.chain.rescuing import (
    ACCOUNT,
    OWNER,
    RESCUER,
    approve,
    facility_of,
    indebted,
    mint,
    option,
    planned,
    run,
    settings,
    wad,
)

T = TypeVar("T")


def standing_of(market: Market, **changes: object) -> Standing:
    return run(market, lambda rescue: rescue.standing(ACCOUNT), **changes)  # type: ignore[arg-type]  # run's own names


def ready_to_supply(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "WETH", 2)


@pytest.fixture
def gwei(market: Market) -> Iterator[Callable[[int], None]]:
    """Sets the base fee per gas, which outlives a revert of the node and so is put back."""

    def ask(amount: int) -> None:
        market.anvil.rpc.call("anvil_setNextBlockBaseFeePerGas", hex(amount * 10**9))
        market.anvil.mine()

    before = market.anvil.rpc.call("eth_getBlockByNumber", "latest", False)["baseFeePerGas"]
    yield ask
    market.anvil.rpc.call("anvil_setNextBlockBaseFeePerGas", before)
    market.anvil.mine()


async def supply_eth(rescue: AaveRescue) -> Sequence[Step]:
    return await planned(rescue, Means.SUPPLY, "ETH", "2")


async def simulated_supply(rescue: AaveRescue) -> Simulation:
    return await rescue.simulate(ACCOUNT, await supply_eth(rescue))


@pytest.mark.parametrize(
    ("switch", "value", "reason"),
    [
        ("setReserveFreeze", True, "the reserve is frozen"),
        ("setReservePause", True, "the reserve is paused"),
        ("setSupplyCap", 100_000, "the supply cap is reached"),
    ],
)
def test_a_simulation_names_why_the_pool_would_refuse(market: Market, switch: str, value: object, reason: str) -> None:
    ready_to_supply(market)
    market.configurator.send(switch, market.tokens["WETH"].address, value, sender=market.admin)
    simulated = run(market, simulated_supply)
    assert simulated.health_factor is None
    assert simulated.refused.startswith(f"supply 2 ETH: {reason}")


def test_a_simulation_names_an_empty_source(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "WETH", 1)
    assert "insufficient balance" in run(market, simulated_supply).refused


def test_the_standing_tells_the_same_before_anybody_tries(market: Market) -> None:
    ready_to_supply(market)
    weth = market.tokens["WETH"].address
    cap = 200_015
    market.configurator.send("setSupplyCap", weth, cap, sender=market.admin)
    room = facility_of(standing_of(market), Means.SUPPLY, "ETH").room
    assert room is not None
    assert 4 < room <= 5
    market.configurator.send("setReserveFreeze", weth, True, sender=market.admin)
    usdc = market.tokens["USDC"].address
    market.configurator.send("setReserveFreeze", usdc, True, sender=market.admin)
    frozen = standing_of(market)
    assert facility_of(frozen, Means.SUPPLY, "ETH").refused == "the reserve is frozen"
    assert facility_of(frozen, Means.REPAY, "USDC").refused == ""
    market.configurator.send("setReservePause", usdc, True, sender=market.admin)
    assert facility_of(standing_of(market), Means.REPAY, "USDC").refused == "the reserve is paused"


def test_the_standing_tells_funds_fees_permits_and_who_signs(market: Market, gwei: Callable[[int], None]) -> None:
    indebted(market)
    mint(market, RESCUER.address, "WETH", 3)
    mint(market, RESCUER.address, "DAI", 7)
    approve(market, RESCUER.address, "WETH", market.units("WETH", 1))
    gwei(1)
    found = standing_of(market, wallet=RESCUER.address)
    by_asset = {(one.asset, one.is_native): one for one in found.funds}
    assert by_asset["ETH", False].amount == 3
    assert by_asset["ETH", False].allowance == 1
    assert by_asset["USDC", False].amount == 0
    assert by_asset["ETH", True].amount > 99
    assert not by_asset["DAI", False].is_owner
    assert found.signer == RESCUER.address.lower()
    assert found.gas_balance == by_asset["ETH", True].amount
    assert facility_of(found, Means.SUPPLY, "DAI").has_permit
    assert not facility_of(found, Means.SUPPLY, "ETH").has_permit
    assert facility_of(found, Means.SUPPLY, "DAI").price == 1
    tariff = found.tariffs[Means.SUPPLY]
    assert tariff.cost_usd is not None
    assert tariff.gas_asset_needed is not None
    # Worst case against likely cost, at 2,500 USD: the headroom of eight full blocks.
    assert tariff.gas_asset_needed * 2500 > 2 * tariff.cost_usd
    assert tariff.time_to_land_s == 4
    assert found.block_number == market.anvil.block_number()
    assert standing_of(market, wallet=None).signer == ""


def test_supply_that_does_not_count_is_told_apart_from_supply_to_be_enabled(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "WBTC", 1)
    mint(market, OWNER.address, "DAI", 1)
    market.supply(OWNER.address, "WBTC", market.units("WBTC", "0.1"))
    market.set_collateral(OWNER.address, "WBTC", False)
    # An LTV of 0 keeps DAI from being enabled, whatever its threshold.
    dai = market.tokens["DAI"].address
    market.configurator.send("configureReserveAsCollateral", dai, 0, 7700, 10500, sender=market.admin)
    found = standing_of(market)
    bitcoin, dai_supply = (facility_of(found, Means.SUPPLY, asset) for asset in ("WBTC", "DAI"))
    assert (bitcoin.counts, bitcoin.needs_enabling) == (False, True)
    assert (dai_supply.counts, dai_supply.needs_enabling) == (False, False)
    assert facility_of(found, Means.SUPPLY, "ETH").counts


def test_a_pending_transaction_of_the_wallet_is_a_problem(market: Market) -> None:
    indebted(market)
    market.anvil.rpc.call("evm_setAutomine", False)
    try:
        fields = {"from": OWNER.address, "to": OWNER.address, "value": "0x1"}
        market.anvil.rpc.call("eth_sendTransaction", fields)
        assert "still pending" in standing_of(market).problems[0]
    finally:
        market.anvil.rpc.call("evm_mine")
        market.anvil.rpc.call("evm_setAutomine", True)
    assert standing_of(market).problems == ()


def test_every_tampered_step_is_refused(market: Market) -> None:
    ready_to_supply(market)
    weth, pool = market.tokens["WETH"].address.lower(), market.pool.address.lower()
    stranger = market.user("stranger").lower()
    owner = OWNER.address.lower()

    def with_call(step: Step, to: str, data: bytes, value: int = 0) -> Step:
        changed = {"to": to, "data": "0x" + data.hex(), "value": hex(value)}
        return replace(step, contract=to, payload={**step.payload, **changed})

    async def work(rescue: AaveRescue) -> None:
        steps = await supply_eth(rescue)
        assert await rescue.verify(ACCOUNT, steps) == ""
        first = steps[0]
        payload = first.payload
        wrong = {
            "someone else than the pool": with_call(first, weth, call(APPROVE, stranger, MAX_UINT256)),
            "there is no contract": with_call(first, stranger, call(APPROVE, pool, 1)),
            "not of this market": with_call(first, market.oracle.address.lower(), call(APPROVE, pool, 1)),
            "not to the account's owner": with_call(first, pool, call(SUPPLY, weth, 1, stranger, 0)),
            "another kind than variable": with_call(first, pool, call(REPAY, weth, 1, 1, owner)),
            "would be disabled": with_call(first, pool, call(USE_AS_COLLATERAL, weth, 0)),
            "no reserve of this market": with_call(first, pool, call(SUPPLY, stranger, 1, owner, 0)),
            "native coin along": with_call(first, weth, call(APPROVE, pool, 1), 5),
            "no rescue makes": with_call(first, pool, bytes.fromhex("69328dec") + bytes(96)),
            "another chain": replace(first, chain_id=1),
            "for another chain": replace(first, payload={**payload, "chainId": "0x1"}),
            "calls another": replace(first, contract=pool),
            "to be sent by": replace(first, payload={**payload, "from": stranger}),
            "was used elsewhere": replace(first, payload={**payload, "nonce": hex(int(str(payload["nonce"]), 16) + 1)}),
        }
        for reason, step in wrong.items():
            assert reason in await rescue.verify(ACCOUNT, [step])

    run(market, work)


def test_a_fee_spike_refuses_what_was_prepared_and_planned(market: Market, gwei: Callable[[int], None]) -> None:
    ready_to_supply(market)
    gwei(1)

    async def work(rescue: AaveRescue) -> None:
        standing = await rescue.standing(ACCOUNT)
        steps = await rescue.prepare(ACCOUNT, option(standing, Means.SUPPLY, "ETH", "2"))
        gwei(20)
        assert "fees rose" in await rescue.verify(ACCOUNT, steps)
        cost = standing.tariffs[Means.SUPPLY].cost_usd
        with pytest.raises(Refused, match="fees rose"):
            await rescue.prepare(ACCOUNT, replace(option(standing, Means.SUPPLY, "ETH", "2"), cost_usd=cost))

    run(market, work)


def test_too_little_gas_money_is_refused(market: Market, gwei: Callable[[int], None]) -> None:
    ready_to_supply(market)
    gwei(1)

    async def work(rescue: AaveRescue) -> str:
        steps = await supply_eth(rescue)
        market.anvil.rpc.call("anvil_setBalance", OWNER.address, hex(10**12))
        return await rescue.verify(ACCOUNT, steps)

    assert run(market, work).startswith("insufficient ETH for gas")


def test_a_pool_that_moved_or_lost_its_code_is_refused(market: Market) -> None:
    ready_to_supply(market)

    async def work(rescue: AaveRescue) -> list[str]:
        steps = await supply_eth(rescue)
        code = market.anvil.rpc.call("eth_getCode", market.pool.address, "latest")
        market.anvil.rpc.call("anvil_setCode", market.pool.address, "0x")
        bare = await rescue.verify(ACCOUNT, steps)
        market.anvil.rpc.call("anvil_setCode", market.pool.address, code)
        provider = aave30()["PoolAddressesProvider"].abi
        data = replace(market.pool, address=market.addresses_provider, abi=provider)
        identifier = b"POOL".ljust(32, b"\0")
        data.send("setAddress", identifier, market.oracle.address, sender=market.admin)
        return [bare, await rescue.verify(ACCOUNT, steps)]

    bare, moved = run(market, work)
    assert bare.startswith("there is no contract at")
    assert moved.startswith("the market's pool is now")


def by_proxy(market: Market, work: Callable[[AaveRescue, Proxy], Awaitable[T]], **proxied: Any) -> T:
    """Return what `work` makes of the owner's rescue behind a proxy."""

    async def whole() -> T:
        async with Proxy(market.anvil.url, **proxied) as proxy:
            rescue = AaveRescue(replace(settings(market, OWNER.address), rpc_urls=(proxy.url,)), OWNER.address)
            try:
                return await work(rescue, proxy)
            finally:
                await rescue.aclose()

    return asyncio.run(whole())


@pytest.mark.parametrize(
    ("means", "asset", "amount", "kind"),
    [
        (Means.SUPPLY, "ETH", "2", {}),
        (Means.SUPPLY, "ETH", "1.5", {"native": True}),
        (Means.SUPPLY, "DAI", "900", {}),
        (Means.REPAY, "USDC", "4000", {}),
    ],
    ids=["approval", "native", "permit", "repay"],
)
def test_a_node_without_simulated_blocks_proves_the_same(
    market: Market, means: Means, asset: str, amount: str, kind: dict[str, bool]
) -> None:
    ready_to_supply(market)
    mint(market, OWNER.address, "DAI", 900)
    mint(market, OWNER.address, "USDC", 4000)

    async def work(rescue: AaveRescue, proxy: Proxy) -> tuple[Simulation, Simulation]:
        steps = await planned(rescue, means, asset, amount, **kind)
        blocks = await rescue.simulate(ACCOUNT, steps)
        proxy.lacking.add("eth_simulateV1")
        return blocks, await rescue.simulate(ACCOUNT, steps)

    blocks, one_call = by_proxy(market, work)
    assert blocks.health_factor is not None
    assert one_call.health_factor is not None
    assert abs(one_call.health_factor - blocks.health_factor) < Decimal("1e-6")
    assert one_call.health_factor > Decimal(wad(market)).scaleb(-18)
    assert (blocks.gas_used is None, one_call.gas_used is None) == (False, True)


def test_a_node_that_can_simulate_nothing_is_not_believed(market: Market) -> None:
    ready_to_supply(market)

    async def work(rescue: AaveRescue, proxy: Proxy) -> tuple[Sequence[Step], Simulation]:
        steps = await supply_eth(rescue)
        return steps, await rescue.simulate(ACCOUNT, steps)

    steps, lame = by_proxy(market, work, lacking=["eth_simulateV1", "eth_getCode"])
    assert lame.health_factor is None
    assert "can simulate neither" in lame.refused
    assert [int(str(step.payload["gas"]), 16) for step in steps] == [80_000, 450_000]


def test_a_step_that_lacks_what_comes_before_it_is_named(market: Market) -> None:
    ready_to_supply(market)

    async def work(rescue: AaveRescue) -> Simulation:
        return await rescue.simulate(ACCOUNT, (await supply_eth(rescue))[1:])

    assert run(market, work).refused.startswith("supply 2 ETH: ")


def test_a_node_that_changes_its_chain_is_refused(market: Market) -> None:
    ready_to_supply(market)

    async def work(rescue: AaveRescue, proxy: Proxy) -> str:
        steps = await supply_eth(rescue)
        proxy.lies["eth_chainId"] = "0x1"
        return await rescue.verify(ACCOUNT, steps)

    assert by_proxy(market, work) == "the node is not on chain 31337"
    with pytest.raises(Refused, match="is chain 31337, the config says 31338"):
        standing_of(market, chain_id=31338)


def test_every_error_selector_is_that_of_the_contracts() -> None:
    from eth_utils.crypto import keccak

    from providers.evm.rescue.reasons import SELECTORS

    declared = {
        entry["name"]: ",".join(one["type"] for one in entry["inputs"])
        for artifact in aave36().values()
        for entry in artifact.abi
        if entry["type"] == "error"
    }
    checked = {selector: name for selector, name in SELECTORS.items() if name in declared}
    assert len(checked) > 10
    for selector, name in checked.items():
        assert keccak(text=f"{name}({declared[name]})")[:4].hex() == selector
