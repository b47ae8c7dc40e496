"""Chains that charge for a transaction's data beside its gas (Optimism, Base): their oracle is asked, its fee counted.

The lab's node is no such chain, so a few bytes of code stand at the oracle's address: `getL1FeeUpperBound(size)`
answers a fixed price per byte, and every other call fails.
"""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

import pytest

from engine.rescue import Means, Standing, Tariff
from providers.errors import Refused
from providers.evm.rescue.fees import DATA_FEE_ORACLE
from providers.evm.rescue.signing import rlp, unsigned_fields, unsigned_size
from providers.evm.rescue.wallet import DATA_SIZES
from providers.evm.rescue.writer import AaveRescue
from providers.rescue_ports import Step
from tests.chain.market import MAX_UINT256, Market
from tests.chain.rescuing import ACCOUNT, OWNER, approve, indebted, mint, option, planned, run

WEI_PER_BYTE = 10**12
ETH_USD = 2_500
# selector f1c7a58b? then return calldataload(4) * 10^12, else revert
# (push5 e8d4a51000 is 10^12)
CODE = "0x5f3560e01c63f1c7a58b146011575f5ffd5b60043564e8d4a51000025f5260205ff3"


DEARER = CODE.replace("64e8d4a51000", "6509184e72a000")
"""Ten times as dear."""


def prepared(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "WETH", 2)
    approve(market, OWNER.address, "WETH", MAX_UINT256)


def charge(market: Market, code: str = CODE) -> None:
    market.anvil.rpc.call("anvil_setCode", DATA_FEE_ORACLE, code)


def tariff(market: Market) -> Tariff:
    async def work(rescue: AaveRescue) -> Standing:
        return await rescue.standing(ACCOUNT)

    return run(market, work).tariffs[Means.SUPPLY]


def test_the_size_that_is_asked_for_is_that_of_the_unsigned_transaction(market: Market) -> None:
    prepared(market)

    async def work(rescue: AaveRescue) -> Step:
        (step,) = await planned(rescue, Means.SUPPLY, "ETH", "2")
        return step

    step = run(market, work)
    assert unsigned_size(step.payload) == 1 + len(rlp(unsigned_fields(step.payload)))
    assert unsigned_size(step.payload) < DATA_SIZES[Means.SUPPLY][2]


def test_the_cost_and_the_coin_needed_hold_the_fee_for_data(market: Market) -> None:
    prepared(market)
    plain = tariff(market)
    charge(market)
    dearer = tariff(market)
    data = Decimal(sum(DATA_SIZES[Means.SUPPLY]) * WEI_PER_BYTE).scaleb(-18)
    assert plain.cost_usd is not None
    assert dearer.cost_usd is not None
    assert plain.gas_asset_needed is not None
    assert dearer.gas_asset_needed is not None
    assert abs(dearer.cost_usd - plain.cost_usd - data * ETH_USD) < data * ETH_USD / 20
    assert abs(dearer.gas_asset_needed - plain.gas_asset_needed - 2 * data) < data / 20


def test_an_oracle_that_does_not_tell_makes_the_cost_unknown_and_never_0(market: Market) -> None:
    prepared(market)
    charge(market, "0x5f5ffd")
    silent = tariff(market)
    assert silent.cost_usd is None
    assert silent.gas_asset_needed is not None


def test_a_wallet_that_can_pay_the_gas_but_not_the_data_is_refused(market: Market) -> None:
    prepared(market)
    charge(market)

    async def work(rescue: AaveRescue) -> tuple[str, str]:
        (step,) = await planned(rescue, Means.SUPPLY, "ETH", "2")
        gas_wei = int(str(step.payload["gas"]), 16) * int(str(step.payload["maxFeePerGas"]), 16)
        data_wei = unsigned_size(step.payload) * WEI_PER_BYTE
        market.anvil.rpc.call("anvil_setBalance", OWNER.address, hex(gas_wei + data_wei - 1))
        poor = await rescue.verify(ACCOUNT, (step,))
        market.anvil.rpc.call("anvil_setBalance", OWNER.address, hex(gas_wei + data_wei))
        return poor, await rescue.verify(ACCOUNT, (step,))

    poor, enough = run(market, work)
    assert "insufficient ETH for gas" in poor
    assert enough == ""


def test_what_a_replacement_costs_at_most_holds_its_data(market: Market) -> None:
    prepared(market)

    async def work(rescue: AaveRescue) -> tuple[Step, Decimal | None]:
        (step,) = await planned(rescue, Means.SUPPLY, "ETH", "2")
        return step, await rescue.fee_usd(step)

    step, plain = run(market, work)
    charge(market)
    _, dearer = run(market, work)
    assert plain is not None
    assert dearer is not None
    data_usd = Decimal(unsigned_size(step.payload) * WEI_PER_BYTE).scaleb(-18) * ETH_USD
    assert abs(dearer - plain - data_usd) < data_usd / 20


def test_data_that_became_dear_since_the_plan_is_refused(market: Market) -> None:
    prepared(market)

    async def work(rescue: AaveRescue) -> Sequence[Step]:
        standing = await rescue.standing(ACCOUNT)
        cheap = replace(option(standing, Means.SUPPLY, "ETH", "2"), cost_usd=Decimal("0.15"))
        return await rescue.prepare(ACCOUNT, cheap)

    assert len(run(market, work)) == 1
    charge(market, DEARER)
    with pytest.raises(Refused, match="fees rose"):
        run(market, work)
