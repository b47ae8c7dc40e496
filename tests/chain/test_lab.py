"""The lab itself: contracts that behave as published, prices that move, time that passes, state that comes back."""

import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from eth_abi.abi import decode, encode

from tests.chain.contracts import selector
from tests.chain.deploy import MULTICALL3, deploy
from tests.chain.market import MAX_UINT256, Market
from tests.chain.node import ROOT, Anvil, Reverted, RpcError, Tx

YEAR_S = 365 * 86_400
TRIGGER = 1807_22891566
"""15,000 / (10 x 0.83) with eight decimals, floored: the first price below health 1."""


def borrower(market: Market) -> str:
    """Return a user with 10 WETH supplied and 15,000 USDC borrowed, both in the block that was mined last."""
    user = market.user("borrower")
    borrow = market.borrow_tx(user, "USDC", market.units("USDC", 15_000))
    market.anvil.bundle([*market.supply_txs(user, "WETH", market.units("WETH", 10)), borrow])
    return user


def test_ten_ether_against_fifteen_thousand_dollars_have_health_1_38(market: Market) -> None:
    data = market.account_data(borrower(market))
    assert data.health_factor_wad == 1_383333333333333333
    assert (data.collateral_base, data.debt_base) == (25_000 * 10**8, 15_000 * 10**8)
    assert (data.ltv_bps, data.liquidation_threshold_bps) == (8050, 8300)


def test_the_pool_liquidates_below_its_trigger_price_and_not_above(market: Market) -> None:
    user = market.user("borrower")
    liquidator = market.user("liquidator")
    usdc = market.units("USDC", 15_000)
    opening = [*market.supply_txs(user, "WETH", market.units("WETH", 10)), market.borrow_tx(user, "USDC", usdc)]
    opening += market.fund_txs(liquidator, "USDC", usdc)
    call = market.liquidation_tx(liquidator, "WETH", "USDC", user, market.units("USDC", 7_500))
    mark = market.anvil.snapshot()
    with pytest.raises(Reverted, match=market.not_liquidatable):
        market.anvil.bundle([*opening, market.price_tx("WETH", TRIGGER + 1), call])
    market.anvil.revert(mark)
    market.anvil.bundle([*opening, market.price_tx("WETH", TRIGGER), call])
    seized = market.tokens["WETH"].contract.read("balanceOf", liquidator)
    assert seized == pytest.approx(4_33675 * 10**13, rel=1e-5)
    assert market.account_data(user).debt_base == pytest.approx(7_500 * 10**8, rel=1e-9)


def test_two_collaterals_read_lower_on_the_version_that_truncates_the_average_threshold(
    market30: Market, market36: Market
) -> None:
    """20 WETH and 1.89 WBTC: thresholds average 7952.9987 bps, which 3.0 cuts to 7952."""
    health = {}
    for market in (market30, market36):
        user = market.user("two collaterals")
        market.supply(user, "WETH", market.units("WETH", 20))
        market.supply(user, "WBTC", market.units("WBTC", "1.89"))
        market.borrow(user, "USDC", market.units("USDC", 100_000))
        health[market.version] = market.account_data(user).health_factor_wad
    assert health == {"3.0": 1_299356800000000000, "3.6": 1_299520000000000000}


def test_an_emode_lifts_the_thresholds_of_its_members(market: Market) -> None:
    user = market.user("loop")
    market.supply(user, "wstETH", market.units("wstETH", 100))
    market.set_emode(user, 1)
    market.borrow(user, "WETH", market.units("WETH", 100))
    data = market.account_data(user)
    assert (data.ltv_bps, data.liquidation_threshold_bps) == (9300, 9500)
    assert data.health_factor_wad == pytest.approx(295_000 * 95 * 10**16 // 250_000, rel=1e-12)


def test_a_disabled_collateral_counts_nothing(market: Market) -> None:
    user = market.user("saver")
    market.supply(user, "DAI", market.units("DAI", 1_000))
    assert market.account_data(user).collateral_base == 1_000 * 10**8
    market.set_collateral(user, "DAI", False)
    assert market.account_data(user).collateral_base == 0


def test_a_price_moves_the_oracle_and_leaves_a_round_with_its_time(market: Market) -> None:
    feed = market.tokens["WETH"].feed
    before = feed.read("latestRoundData")
    market.set_price("WETH", 2_300 * 10**8)
    after = feed.read("latestRoundData")
    assert market.price("WETH") == 2_300 * 10**8
    assert feed.read("description") == "ETH / USD"
    assert after[0] == before[0] + 1
    assert after[3] == market.anvil.timestamp()


def test_a_year_of_interest_lowers_health(market: Market) -> None:
    """60 % lent out costs 4 % x 60 / 80 = 3 % a year, compounded, and earns 3 % x 60 % x (1 - 15 %), linear."""
    user = borrower(market)
    market.lend_out(60)
    start = market.anvil.timestamp()
    market.anvil.skip(YEAR_S)
    assert market.anvil.timestamp() == start + YEAR_S
    data = market.account_data(user)
    assert data.collateral_base == pytest.approx(25_000 * 10**8 * (1 + 0.03 * 0.6 * 0.85), rel=1e-4)
    assert data.debt_base == pytest.approx(15_000 * 10**8 * math.exp(0.03), rel=1e-4)


def test_a_revert_brings_back_state_and_time(anvil: Anvil, market36: Market) -> None:
    mark, block, time = anvil.snapshot(), anvil.block_number(), anvil.timestamp()
    market36.set_price("WETH", 1)
    anvil.skip(YEAR_S)
    anvil.revert(mark)
    assert (anvil.block_number(), anvil.timestamp()) == (block, time)
    assert market36.price("WETH") == 2_500 * 10**8
    anvil.mine()
    assert time <= anvil.timestamp() < time + 3_600


def test_repaying_everything_leaves_no_debt(market: Market) -> None:
    user = borrower(market)
    market.repay(user, "USDC", market.units("USDC", 20_000))
    assert market.account_data(user).health_factor_wad == MAX_UINT256
    market.withdraw(user, "WETH")
    assert market.account_data(user).collateral_base == 0


def test_the_gateway_takes_plain_ether(market: Market) -> None:
    user = market.user("depositor")
    market.gateway.send("depositETH", market.pool.address, user, 0, sender=user, value_wei=3 * 10**18)
    assert market.account_data(user).collateral_base == 7_500 * 10**8


def test_a_correlated_asset_can_be_priced_by_a_capped_ratio(market: Market) -> None:
    adapter = market.use_ratio_source("wstETH", "WETH", ratio_wad=12 * 10**17, maximum_wad=13 * 10**17)
    assert (market.price("wstETH"), adapter.read("isCapped")) == (3_000 * 10**8, False)
    adapter.send("setRatio", 12 * 10**17, 11 * 10**17, sender=market.admin)
    assert (market.price("wstETH"), adapter.read("isCapped")) == (2_750 * 10**8, True)
    market.set_price("WETH", 1_000 * 10**8)
    assert market.price("wstETH") == 1_100 * 10**8
    with pytest.raises(LookupError):
        adapter.read("latestRoundData")


def test_multicall3_answers_several_reads_from_one_block(market: Market) -> None:
    user = borrower(market)
    wanted = [
        (market.pool.address, True, bytes.fromhex(market.pool.data("getUserAccountData", user)[2:])),
        (MULTICALL3, True, selector("getBlockNumber()")),
        (market.pool.address, True, selector("noSuchFunction()")),
    ]
    data = selector("aggregate3((address,bool,bytes)[])") + encode(["(address,bool,bytes)[]"], [wanted])
    answers = decode(["(bool,bytes)[]"], market.anvil.call(MULTICALL3, "0x" + data.hex()))[0]
    assert [succeeded for succeeded, _ in answers] == [True, True, False]
    assert decode(["uint256"] * 6, answers[0][1])[5] == market.account_data(user).health_factor_wad
    assert int.from_bytes(answers[1][1], "big") == market.anvil.block_number()


def test_a_bundle_keeps_its_order_across_senders(market: Market) -> None:
    """Each sender's step needs the step of the sender before it."""
    users = [market.user(f"relay {place}") for place in range(12)]
    dai = market.tokens["DAI"].contract
    steps = [dai.tx("mint", users[0], 10**18, sender=market.admin)]
    steps += [dai.tx("transfer", to, 10**18, sender=giver) for giver, to in pairwise(users)]
    receipts = market.anvil.bundle(steps)
    assert len({receipt.block_number for receipt in receipts}) == 1
    assert dai.read("balanceOf", users[-1]) == 10**18


def test_two_markets_on_one_node_do_not_share_prices(market30: Market, market36: Market) -> None:
    market30.set_price("WETH", 1_000 * 10**8)
    assert market36.price("WETH") == 2_500 * 10**8


def test_a_second_node_is_a_chain_of_its_own(market30: Market) -> None:
    with Anvil(chain_id=31338, timestamp_s=1_800_000_000) as other:
        market = deploy(other, "3.0")
        assert int(other.rpc.call("eth_chainId"), 16) == 31338
        assert 1_800_000_000 <= other.timestamp() < 1_800_000_060
        assert market.pool.read("POOL_REVISION") == market30.pool.read("POOL_REVISION")


def test_a_refused_read_carries_its_revert_data(market36: Market) -> None:
    with pytest.raises(RpcError) as caught:
        market36.anvil.call(market36.pool.address, "0x12345678")
    assert caught.value.data == "0x"


def test_an_unknown_version_is_refused(anvil: Anvil) -> None:
    with pytest.raises(ValueError, match=r"3\.0 or 3\.6"):
        deploy(anvil, "2.0")


def test_a_transaction_that_creates_nothing_says_so(market: Market) -> None:
    receipt = market.anvil.send(Tx(market.admin, market.admin, "0x"))
    assert (receipt.succeeded, receipt.contract) == (True, None)


def test_the_package_lock_pins_by_hash_and_names_no_address() -> None:
    """After `npm install` drop its "funding" entries: they hold addresses."""
    lock = (ROOT / "package-lock.json").read_text()
    assert lock.count('"integrity": "sha512-') == lock.count('"version":')
    assert "http" not in lock
    assert '"resolved"' not in lock


@pytest.mark.parametrize(("required", "outcome"), [("0", {"skipped": 1}), ("1", {"errors": 1})])
def test_without_a_node_chain_tests_skip_or_fail_with_the_reason(required: str, outcome: dict[str, int]) -> None:
    wanted = f"{Path(__file__).relative_to(ROOT)}::test_two_markets_on_one_node_do_not_share_prices"
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", wanted],
        cwd=ROOT,
        env=os.environ | {"MARGINLINE_ANVIL": "/nowhere/anvil", "MARGINLINE_REQUIRE_CHAIN": required},
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = {"skipped": run.stdout.count("1 skipped"), "errors": run.stdout.count("1 error")}
    assert {name: count for name, count in said.items() if count} == outcome
    assert "there is no anvil: npm ci" in run.stdout
