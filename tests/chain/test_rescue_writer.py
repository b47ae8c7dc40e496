"""Rescues sent to real Aave v3.0 and v3.6: prepared, verified, simulated, signed, sent and found, end to end."""

from decimal import Decimal

import pytest

from engine.rescue import Means
from providers.errors import Refused
from providers.evm.rescue.writer import AaveRescue
from tests.chain.market import MAX_UINT256, Market
from tests.chain.rescuing import (
    ACCOUNT,
    OWNER,
    RESCUER,
    Done,
    KeySigner,
    approve,
    indebted,
    mint,
    option,
    planned,
    rescued,
    run,
    wad,
)


def test_supply_with_an_exact_approval_raises_health_as_simulated(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "WETH", 3)
    done = run(market, lambda rescue: rescued(rescue, Means.SUPPLY, "ETH", "2"))
    assert done.titles == ["approve 2 ETH for the pool", "supply 2 ETH"]
    assert abs(Decimal(wad(market)).scaleb(-18) - done.health) < Decimal("0.0001")
    assert market.tokens["WETH"].contract.read("allowance", OWNER.address, market.pool.address) == 0


def test_supply_takes_one_transaction_where_the_token_has_a_permit(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "DAI", 2000)
    before = wad(market)
    done = run(market, lambda rescue: rescued(rescue, Means.SUPPLY, "DAI", "2000"))
    assert done.titles == ["supply 2000 DAI, by permit"]
    assert wad(market) > before


def test_supply_takes_one_transaction_where_the_allowance_is_there(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "WETH", 1)
    approve(market, OWNER.address, "WETH", MAX_UINT256)
    assert run(market, lambda rescue: rescued(rescue, Means.SUPPLY, "ETH", "1")).titles == ["supply 1 ETH"]


def test_a_rescue_wallet_supplies_and_repays_for_the_owner(market: Market) -> None:
    indebted(market)
    mint(market, RESCUER.address, "WETH", 1)
    mint(market, RESCUER.address, "USDC", 5000)
    before = wad(market)

    async def work(rescue: AaveRescue) -> list[str]:
        supplied = await rescued(rescue, Means.SUPPLY, "ETH", "1", RESCUER)
        repaid = await rescued(rescue, Means.REPAY, "USDC", "5000", RESCUER)
        return [supplied.titles[-1], repaid.titles[-1]]

    titles = run(market, work, wallet=RESCUER.address)
    assert titles == ["supply 1 ETH for the account's owner", "repay 5000 USDC for the account's owner"]
    assert wad(market) > before * 3 // 2


def test_repaying_from_the_wallet_of_the_owner(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "USDC", 5000)
    done = run(market, lambda rescue: rescued(rescue, Means.REPAY, "USDC", "5000"))
    assert done.titles == ["approve 5000 USDC for the pool", "repay 5000 USDC"]
    assert abs(market.account_data(OWNER.address).debt_base - 10_000 * 10**8) < 10**8


@pytest.mark.parametrize("signer", [OWNER, RESCUER], ids=["owner", "rescue wallet"])
def test_a_full_close_leaves_no_debt_after_interest(market: Market, signer: KeySigner) -> None:
    indebted(market)
    market.lend_out(50)
    market.anvil.skip(86_400)
    mint(market, signer.address, "USDC", 16_000)

    async def work(rescue: AaveRescue) -> Done:
        return await rescued(rescue, Means.REPAY, "USDC", "15003", signer, full=True)

    done = run(market, work, wallet=signer.address)
    assert market.account_data(OWNER.address).debt_base == 0
    assert Decimal("Infinity") == done.health


@pytest.mark.parametrize("signer", [OWNER, RESCUER], ids=["owner", "rescue wallet"])
def test_a_full_close_repays_no_more_than_was_planned(market: Market, signer: KeySigner) -> None:
    """Who borrows and supplies more behind the plan keeps its health, and would have all of it paid by the rescuer."""
    indebted(market)
    mint(market, signer.address, "USDC", 100_000)

    async def work(rescue: AaveRescue) -> None:
        close = option(await rescue.standing(ACCOUNT), Means.REPAY, "USDC", "15010", full=True)
        market.supply(OWNER.address, "WETH", market.units("WETH", 20))
        market.borrow(OWNER.address, "USDC", market.units("USDC", 30_000))
        with pytest.raises(Refused, match=r"more is owed than the plan repays: 45000(\.\d+)? USDC, planned 15010"):
            await rescue.prepare(ACCOUNT, close)

    run(market, work, wallet=signer.address)


def test_the_chains_own_coin_is_wrapped_and_supplied(market: Market) -> None:
    indebted(market)
    before = wad(market)
    done = run(market, lambda rescue: rescued(rescue, Means.SUPPLY, "ETH", "1.5", native=True))
    assert done.titles == ["wrap 1.5 ETH", "approve 1.5 ETH for the pool", "supply 1.5 ETH"]
    assert wad(market) > before


def test_collateral_that_was_disabled_is_enabled_after_supplying(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "WBTC", "0.2")
    market.supply(OWNER.address, "WBTC", market.units("WBTC", "0.1"))
    market.set_collateral(OWNER.address, "WBTC", False)
    approve(market, OWNER.address, "WBTC", 0)
    before = wad(market)
    done = run(market, lambda rescue: rescued(rescue, Means.SUPPLY, "WBTC", "0.2"))
    assert done.titles[-1] == "use WBTC as collateral"
    assert wad(market) > before


def make_reset_first(market: Market, symbol: str) -> None:
    """Let the token refuse, as USDT does, to go from one allowance to another without 0 in between.

    Its code moves elsewhere and is called with the token's own storage; in its place stands code that looks at
    `approve(spender, amount)` first: mapping slot 1 of the lab's tokens holds the allowances.
    """
    token = market.tokens[symbol].address
    elsewhere = "0x" + "7e" * 20
    market.anvil.rpc.call("anvil_setCode", elsewhere, market.anvil.rpc.call("eth_getCode", token, "latest"))
    guard = (
        "5f3560e01c63095ea7b31415603657"  # another function: pass on
        "60243515603657"  # amount 0: pass on
        "335f52600160205260405f206020526004355f5260405f205415603657"  # present allowance 0: pass on
        "5f5ffd"
        "5b365f5f375f5f365f73" + elsewhere[2:] + "5af43d5f5f3e6060573d5ffd5b3d5ff3"
    )
    market.anvil.rpc.call("anvil_setCode", token, "0x" + guard)


def test_an_old_approval_is_reset_first_only_where_the_token_demands_it(market: Market) -> None:
    indebted(market)
    for symbol in ("USDC", "WETH"):
        mint(market, OWNER.address, symbol, 5000)
        approve(market, OWNER.address, symbol, 1)
    make_reset_first(market, "USDC")

    async def work(rescue: AaveRescue) -> list[str]:
        repaid = await rescued(rescue, Means.REPAY, "USDC", "5000")
        supplied = await rescued(rescue, Means.SUPPLY, "ETH", "1")
        return [*repaid.titles, *supplied.titles]

    assert run(market, work) == [
        "reset the old approval of USDC",
        "approve 5000 USDC for the pool",
        "repay 5000 USDC",
        "approve 1 ETH for the pool",
        "supply 1 ETH",
    ]


def test_an_export_without_a_signer_is_made_of_plain_transactions(market: Market) -> None:
    indebted(market)
    mint(market, OWNER.address, "DAI", 100)
    steps = run(market, lambda rescue: planned(rescue, Means.SUPPLY, "DAI", "100"), wallet=None)
    assert [step.title for step in steps] == ["approve 100 DAI for the pool", "supply 100 DAI"]
    sender = OWNER.address
    market.anvil.rpc.call("anvil_impersonateAccount", sender)
    before = wad(market)
    for step in steps:
        market.anvil.rpc.call("eth_sendTransaction", dict(step.payload))
        market.anvil.mine()
    assert wad(market) > before
