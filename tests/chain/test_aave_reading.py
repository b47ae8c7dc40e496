"""Random portfolios on real Aave v3.0 and v3.6: what the provider computes is what the contract says, last digit."""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest

from engine.aave import NO_DEBT, account_data
from engine.aave_ledger import AaveLedger
from engine.accounts import Account
from providers.errors import Malformed, Refused
from providers.evm.aave_v3 import AaveV3Source, source
from providers.ports import AccountOptions, LinkChange, LinkState, OracleRule, Reading
from tests.chain.market import Market
from tests.chain.node import Tx

PORTFOLIOS = 40
WORTH_USD = {"WETH": 2500, "wstETH": 2950, "WBTC": 60_000, "USDC": 1, "DAI": 1}
E_MODE_MEMBERS = {1: ("WETH", "wstETH"), 2: ("USDC", "DAI")}
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"


def watched(market: Market, user: str, **changes: object) -> AaveV3Source:
    """Return the provider's source for `user` of `market`, as a config would make it."""
    settings: dict[str, object] = {
        "name": "main",
        "provider": "aave-v3",
        "address": user,
        "chain_id": market.anvil.chain_id,
        "addresses_provider": market.addresses_provider,
        "rpc_urls": (market.anvil.url,),
    }
    return source(AccountOptions(**(settings | changes)))  # type: ignore[arg-type]  # a plain dict of its fields


def read(market: Market, user: str, **changes: object) -> Reading:
    return asyncio.run(watched(market, user, **changes).read())


def only(reading: Reading) -> Account:
    assert len(reading.accounts) == 1
    return reading.accounts[0]


def ledger_of(account: Account) -> AaveLedger:
    assert isinstance(account.ledger, AaveLedger)
    return account.ledger


def amount(market: Market, symbol: str, usd: Decimal) -> int:
    """Return about `usd` worth of a token in its smallest unit, at least one."""
    whole = usd / WORTH_USD[symbol]
    return max(int(whole.scaleb(market.tokens[symbol].decimals)), 1)


def open_random(market: Market, user: str, dice: random.Random) -> None:
    """Open a random portfolio: one to four collaterals, up to three debts, eMode, dust, disabled collateral."""
    category = dice.choice((0, 0, 1, 2))
    supplied = dice.sample(sorted(WORTH_USD), dice.randint(1, 4))
    if category and not set(supplied) & set(E_MODE_MEMBERS[category]):
        supplied.append(dice.choice(E_MODE_MEMBERS[category]))
    txs: list[Tx] = []
    worth = {symbol: Decimal(dice.randint(1, 10**7)) / 100 for symbol in supplied}
    if dice.random() < 0.4:
        worth[dice.choice(supplied)] = Decimal(dice.randint(1, 1000)).scaleb(-9)
    for symbol, usd in worth.items():
        txs += market.supply_txs(user, symbol, amount(market, symbol, usd))
    if category:
        txs.append(market.emode_tx(user, category))
    debts = E_MODE_MEMBERS[category] if category else tuple(WORTH_USD)
    room = sum(worth.values(), Decimal(0)) * Decimal(dice.choice(("0.2", "0.45", "0.6", "0.72")))
    chosen = dice.sample(debts, dice.randint(1, min(3, len(debts))))
    for symbol in chosen:
        share = room / len(chosen) * Decimal(dice.randint(20, 100)) / 100
        owed = 1 if dice.random() < 0.2 else amount(market, symbol, share)
        txs.append(market.borrow_tx(user, symbol, owed))
    if dice.random() < 0.4:
        txs.append(market.collateral_tx(user, dice.choice(supplied), enabled=False))
    # Some of these revert (too little to borrow against, still needed as collateral): the portfolio is what is left.
    market.anvil.bundle(txs, check=False)


def crash(market: Market, user: str) -> None:
    """Raise the price of what the user owes until the contract would liquidate, or a thousandfold."""
    owed = [
        symbol
        for symbol in WORTH_USD
        if market.data_provider.read("getUserReserveData", market.tokens[symbol].address, user)[2]
    ]
    for _ in range(10):
        if market.account_data(user).health_factor_wad < 10**18:
            return
        for symbol in owed:
            market.set_price(symbol, 2 * market.price(symbol) + 1)


def test_the_health_factor_equals_the_contracts_in_every_random_portfolio(market: Market) -> None:
    dice = random.Random(f"portfolios {market.version}")
    equal = with_debt = in_emode = disabled = below_one = 0
    for index in range(PORTFOLIOS):
        mark = market.anvil.snapshot()
        user = market.user(f"random {index}")
        open_random(market, user, dice)
        for _ in range(dice.randint(1, 3)):
            market.anvil.skip(dice.choice((1, 2, 3600, 86_400, dice.randint(1, 365 * 86_400 // 3))))
            other = market.user("someone else")
            market.supply(other, dice.choice(sorted(WORTH_USD)), 10**6)
        for symbol in dice.sample(sorted(WORTH_USD), 2):
            market.set_price(symbol, market.price(symbol) * dice.randint(30, 250) // 100 + dice.randint(0, 99))
        if index % 3 == 0:
            crash(market, user)
        reading = read(market, user)
        account = only(reading)
        ledger = ledger_of(account)
        assert reading.block_number is not None
        contract = market.account_data(user, block=reading.block_number)
        computed = account_data(ledger.user)
        assert computed.health_factor_wad == contract.health_factor_wad
        assert ledger.health_factor_wad() == (
            None if contract.health_factor_wad == NO_DEBT else computed.health_factor_wad
        )
        assert (computed.total_collateral_base, computed.total_debt_base) == (
            contract.collateral_base,
            contract.debt_base,
        )
        assert computed.available_borrows_base == contract.available_borrows_base
        assert (computed.liquidation_threshold_bps, computed.ltv_bps) == (
            contract.liquidation_threshold_bps,
            contract.ltv_bps,
        )
        assert account.degraded == ()
        equal += 1
        with_debt += contract.health_factor_wad != NO_DEBT
        below_one += contract.health_factor_wad < 10**18
        in_emode += ledger.user.emode is not None
        disabled += any(leg.liquidation_threshold == 0 for leg in account.collateral)
        market.anvil.revert(mark)
    assert equal == PORTFOLIOS
    assert min(with_debt, in_emode, disabled, below_one) >= 2, (with_debt, in_emode, disabled, below_one)


def opened(market: Market) -> str:
    """Return a user with 10 WETH and 100 DAI (disabled) supplied and 15,000 USDC borrowed."""
    user = market.user("borrower")
    market.anvil.bundle(
        [
            *market.supply_txs(user, "WETH", market.units("WETH", 10)),
            *market.supply_txs(user, "DAI", market.units("DAI", 100)),
            market.collateral_tx(user, "DAI", enabled=False),
            market.borrow_tx(user, "USDC", market.units("USDC", 15_000)),
        ]
    )
    return user


def test_an_account_carries_names_amounts_weights_and_prices(market: Market) -> None:
    reading = read(market, opened(market))
    account = only(reading)
    weth, dai = account.collateral
    assert (weth.asset, weth.amount, weth.liquidation_threshold) == ("ETH", Decimal(10), Decimal("0.83"))
    assert (weth.max_ltv, weth.liquidation_bonus) == (Decimal("0.805"), Decimal("0.05"))
    assert (dai.asset, dai.amount, dai.liquidation_threshold) == ("DAI", Decimal(100), 0)
    assert [(debt.asset, debt.amount) for debt in account.debt] == [("USDC", Decimal(15_000))]
    assert account.debt[0].borrow_rate is not None
    assert (account.name, account.provider, account.chain_id) == ("main", "aave-v3", market.anvil.chain_id)
    assert account.reported is not None
    assert account.reported.health_factor == Decimal("1.383333333333333333")
    assert market.version in account.note
    eth = account.oracles["ETH"]
    assert (eth.price, eth.legs) == (Decimal(2500), ())
    assert eth.updated_at_ns is not None
    assert eth.as_of_ns == reading.block_time_ns
    assert reading.block_time_ns == market.anvil.timestamp() * 10**9
    assert reading.block_number == market.anvil.block_number()
    assert reading.marks == account.oracles


def test_a_stated_rule_makes_a_silent_feed_overdue(market: Market) -> None:
    user = opened(market)
    market.anvil.skip(7200)
    rules = {"ETH": OracleRule(deviation_bps=Decimal(50), heartbeat_s=Decimal(3600))}
    account = only(read(market, user, oracle_rules=rules))
    eth = account.oracles["ETH"]
    assert (eth.deviation_bps, eth.heartbeat_s) == (Decimal(50), Decimal(3600))
    assert eth.age_s is not None
    assert eth.age_s >= 7200
    assert any("oracle ETH" in reason for reason in account.degraded)
    assert ledger_of(account).health_factor_wad() == market.account_data(user).health_factor_wad


def test_a_capped_adapter_is_followed_to_its_base_feed_and_its_rate(market: Market) -> None:
    user = opened(market)
    market.supply(user, "wstETH", market.units("wstETH", 1))
    adapter = market.use_ratio_source("wstETH", "WETH", 123 * 10**16, 119 * 10**16)
    price = only(read(market, user)).oracles["wstETH"]
    assert price.price == Decimal(2500) * Decimal("1.19")
    base, rate = price.legs
    assert (base.asset, base.price) == ("ETH", Decimal(2500))
    assert (rate.asset, rate.price, rate.updated_at_ns) == (None, Decimal("1.19"), None)
    assert "cap" in rate.description
    assert price.updated_at_ns == base.updated_at_ns
    adapter.send("setRatio", 118 * 10**16, 119 * 10**16, sender=market.admin)
    free = only(read(market, user)).oracles["wstETH"]
    assert [leg.price for leg in free.legs] == [Decimal(2500), Decimal("1.18")]
    assert "cap" not in free.legs[1].description


def test_without_multicall3_the_reading_is_the_same(market: Market) -> None:
    user = opened(market)
    market.anvil.skip(86_400)
    usual = only(read(market, user))
    market.anvil.rpc.call("anvil_setCode", MULTICALL3, "0x")
    plain = read(market, user)
    assert only(plain) == usual
    assert plain.block_number == market.anvil.block_number()


async def _next(stream: AsyncIterator[Reading | LinkChange]) -> Reading:
    async with asyncio.timeout(20):
        async for item in stream:
            if isinstance(item, Reading):
                return item
    raise AssertionError("the stream ended")


def test_a_watch_follows_every_block_into_new_reserves_and_modes(market: Market) -> None:
    user = opened(market)

    async def scenario() -> list[Reading]:
        stream = watched(market, user).watch()
        async with contextlib.aclosing(stream):  # type: ignore[type-var]  # an async generator behind its interface
            seen = [await _next(stream)]
            await asyncio.to_thread(market.supply, user, "WBTC", market.units("WBTC", 1))
            seen.append(await _next(stream))
            await asyncio.to_thread(market.set_price, "WETH", 2000 * 10**8)
            seen.append(await _next(stream))
            await asyncio.to_thread(market.set_emode, user, 2)
            seen.append(await _next(stream))
        return seen

    first, second, third, fourth = asyncio.run(scenario())
    assert {leg.asset for leg in only(first).collateral} == {"ETH", "DAI"}
    assert {leg.asset for leg in only(second).collateral} == {"ETH", "DAI", "WBTC"}
    assert only(third).oracles["ETH"].price == 2000
    assert "eMode 2" in only(fourth).note
    last = market.account_data(user)
    assert ledger_of(only(fourth)).health_factor_wad() == last.health_factor_wad
    assert first.block_number is not None
    assert fourth.block_number == market.anvil.block_number() > first.block_number


def test_a_watch_tells_its_state_before_its_first_reading(market: Market) -> None:
    async def scenario() -> list[LinkState]:
        stream = watched(market, opened(market)).watch()
        async with contextlib.aclosing(stream):  # type: ignore[type-var]  # an async generator behind its interface
            found = [await anext(stream), await anext(stream)]
        return [item.state for item in found if isinstance(item, LinkChange)]

    assert asyncio.run(scenario()) == [LinkState.CONNECTING, LinkState.LIVE]


def test_a_wrong_chain_or_a_wrong_contract_is_refused_by_name(market: Market) -> None:
    user = opened(market)
    with pytest.raises(Refused, match=r"is chain 31337, the config says 1;"):
        read(market, user, chain_id=1)
    with pytest.raises(Refused, match=r"no Aave addresses provider at 0x0{36}dead"):
        read(market, user, addresses_provider="0x" + "0" * 36 + "dead")
    with pytest.raises((Refused, Malformed), match="aave-v3"):
        read(market, user, addresses_provider=market.tokens["WETH"].address)


def test_an_address_that_never_came_here_is_an_empty_account(market: Market) -> None:
    account = only(read(market, market.user("nobody")))
    assert (account.collateral, account.debt) == ((), ())
    assert ledger_of(account).health_factor_wad() is None
    assert account.degraded == ()
