"""Liquidation prices that the engine names, tried on real Aave v3.0 and v3.6: one unit above it reverts, at it pays.

The chain's next block has a later timestamp, so the ledger that was read is asked for that timestamp: interest
accrues by the same arithmetic, and the price is exact for the block in which the liquidator strikes.
"""

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal

import pytest

from engine.aave_ledger import SHOCK_DIGITS, AaveLedger
from tests.chain.market import Market
from tests.chain.node import Reverted, Tx
from tests.chain.test_aave_reading import ledger_of, only, read

DAY_S = 86_400
SYMBOLS = {"ETH": "WETH"}


def symbol(asset: str) -> str:
    return SYMBOLS.get(asset, asset)


def next_block_ledger(market: Market, user: str) -> AaveLedger:
    """Return the account as read, at the timestamp that the next block will be given."""
    ledger = ledger_of(only(read(market, user)))
    return AaveLedger(replace(ledger.user, timestamp_s=market.anvil.timestamp() + 12))


def strike(market: Market, user: str, prices: Mapping[str, int], collateral: str, debt: str, timestamp_s: int) -> None:
    """Set prices and liquidate in one block; undone afterwards. Raises `Reverted`."""
    mark = market.anvil.snapshot()
    try:
        liquidator = market.user("liquidator")
        market.anvil.bundle(market.fund_txs(liquidator, debt, market.units(debt, 10**6)), timestamp_s=timestamp_s - 6)
        txs: list[Tx] = [market.price_tx(symbol(asset), price) for asset, price in prices.items()]
        # A sliver of the debt: neither close factor nor dust rule has a say, only the health factor.
        small = market.units(debt, 1) // 10
        txs.append(market.liquidation_tx(liquidator, collateral, debt, user, small))
        market.anvil.bundle(txs, timestamp_s=timestamp_s)
    finally:
        market.anvil.revert(mark)


def assert_exact(
    market: Market, user: str, safe: Mapping[str, int], unsafe: Mapping[str, int], pair: tuple[str, str]
) -> None:
    timestamp_s = market.anvil.timestamp() + 12
    with pytest.raises(Reverted, match=market.not_liquidatable):
        strike(market, user, safe, *pair, timestamp_s)
    strike(market, user, unsafe, *pair, timestamp_s)


def one_loan(market: Market) -> str:
    user = market.user("single")
    txs = [*market.supply_txs(user, "WETH", market.units("WETH", 10))]
    market.anvil.bundle([*txs, market.borrow_tx(user, "USDC", market.units("USDC", 15_000))])
    market.anvil.skip(200 * DAY_S)
    return user


def book(market: Market) -> str:
    """Two collaterals and two debts, ETH on both sides."""
    user = market.user("book")
    market.anvil.bundle(
        [
            *market.supply_txs(user, "WETH", market.units("WETH", "17.123456789")),
            *market.supply_txs(user, "WBTC", market.units("WBTC", "0.76543211")),
            market.borrow_tx(user, "USDC", market.units("USDC", "38234.567891")),
            market.borrow_tx(user, "WETH", market.units("WETH", "4.000000000000000123")),
        ]
    )
    market.anvil.skip(321 * DAY_S + 7)
    return user


def staked(market: Market) -> str:
    """A loan in eMode: staked ether against ether."""
    user = market.user("staked")
    supply = market.supply_txs(user, "wstETH", market.units("wstETH", 40))
    borrow = market.borrow_tx(user, "WETH", market.units("WETH", 42))
    market.anvil.bundle([*supply, market.emode_tx(user, 1), borrow])
    market.anvil.skip(90 * DAY_S)
    return user


@pytest.mark.parametrize(
    ("build", "asset", "pair"),
    [
        (one_loan, "ETH", ("WETH", "USDC")),
        (one_loan, "USDC", ("WETH", "USDC")),
        (book, "ETH", ("WETH", "USDC")),
        (book, "WBTC", ("WBTC", "USDC")),
        (book, "USDC", ("WETH", "USDC")),
        (staked, "wstETH", ("wstETH", "WETH")),
        (staked, "ETH", ("wstETH", "WETH")),
    ],
)
def test_one_unit_above_the_named_price_the_contract_refuses_and_at_it_liquidates(
    market: Market, build: object, asset: str, pair: tuple[str, str]
) -> None:
    builders = {function.__name__: function for function in (one_loan, book, staked)}
    user = builders[getattr(build, "__name__", "")](market)
    ledger = next_block_ledger(market, user)
    named = ledger.liquidation_price(asset)
    assert named is not None
    units = ledger.price_units(named)
    toward_safety = 1 if units < market.price(symbol(asset)) else -1
    assert_exact(market, user, {asset: units + toward_safety}, {asset: units}, pair)


def test_a_uniform_shock_is_exact_to_the_price_unit(market: Market) -> None:
    user = book(market)
    ledger = next_block_ledger(market, user)
    moving = frozenset({"ETH", "WBTC"})
    shock = ledger.uniform_shock(moving)
    assert shock is not None
    assert shock < 0
    now = {asset: Decimal(market.price(symbol(asset))) for asset in moving}

    def shocked(by: Decimal) -> dict[str, int]:
        return {asset: int(price * (1 + by)) for asset, price in now.items()}

    step = Decimal(1).scaleb(-SHOCK_DIGITS)
    safe, unsafe = shocked(shock + step), shocked(shock)
    assert max(safe[asset] - unsafe[asset] for asset in moving) == 1
    assert_exact(market, user, safe, unsafe, ("WETH", "USDC"))


def test_the_named_loss_is_what_the_first_call_takes(market: Market) -> None:
    """At the trigger price the largest call takes collateral worth the debt it repays plus the bonus."""
    user = one_loan(market)
    ledger = next_block_ledger(market, user)
    price, loss, share = ledger.liquidation_price("ETH"), ledger.loss_at_liquidation(), ledger.close_factor()
    assert price is not None
    assert loss is not None
    assert share is not None
    units = ledger.price_units(price)
    liquidator, timestamp_s = market.user("liquidator"), market.anvil.timestamp() + 12
    before = market.account_data(user)
    market.anvil.bundle(market.fund_txs(liquidator, "USDC", market.units("USDC", 10**6)), timestamp_s=timestamp_s - 6)
    call = market.liquidation_tx(liquidator, "WETH", "USDC", user)
    market.anvil.bundle([market.price_tx("WETH", units), call], timestamp_s=timestamp_s)
    after = market.account_data(user)
    repaid = Decimal(before.debt_base - after.debt_base).scaleb(-8)
    held = Decimal(10 * units).scaleb(-8)
    seized = held - Decimal(after.collateral_base).scaleb(-8)
    assert abs((seized - repaid) - loss) < Decimal("0.01")
    assert abs(repaid / Decimal(before.debt_base).scaleb(-8) - share) < Decimal("0.0001")
