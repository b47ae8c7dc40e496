"""The Aave provider against a loopback node: config, faults and lies; its figures are proven on tests/chain."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from decimal import Decimal
from typing import Any

import pytest
from eth_abi.abi import encode

from engine.accounts import Account
from providers.errors import ConfigError, Malformed, ProviderError, Refused
from providers.evm.aave_market import asset_name
from providers.evm.aave_v3 import INFO, AaveV3Source, source
from providers.evm.abi import SELECTORS
from providers.ports import AccountOptions, LinkChange, LinkState, Reading
from tests.providers.evm.fake_node import FEEDS, ORACLE, POOL, PROVIDER, USDC, USER, WETH, FakeNode, install_market


def options(*urls: str, **changes: Any) -> AccountOptions:
    settings: dict[str, Any] = {
        "name": "main",
        "provider": "aave-v3",
        "address": USER,
        "chain_id": 31337,
        "addresses_provider": PROVIDER,
        "rpc_urls": urls,
        "poll_s": 0.01,
    }
    return AccountOptions(**(settings | changes))


def run(scenario: Callable[[FakeNode], Awaitable[Any]], **market: Any) -> Any:
    async def bounded() -> Any:
        async with asyncio.timeout(20), FakeNode() as node:
            install_market(node, **market)
            return await scenario(node)

    return asyncio.run(bounded())


async def account_of(node: FakeNode, **changes: Any) -> Account:
    reading = await source(options(node.url, **changes)).read()
    assert len(reading.accounts) == 1
    return reading.accounts[0]


def test_a_reading_is_one_block_and_says_which() -> None:
    async def scenario(node: FakeNode) -> Reading:
        return await source(options(node.url)).read()

    reading = run(scenario)
    assert (reading.block_number, reading.block_time_ns) == (1000, 1_700_000_000 * 10**9)
    (account,) = reading.accounts
    assert account.reported.health_factor == Decimal("1.383333333333333333")
    assert account.ledger.health_factor_wad() == 1383333333333333333
    assert [(leg.asset, leg.amount) for leg in account.collateral] == [("ETH", Decimal(10))]
    assert [(leg.asset, leg.amount) for leg in account.debt] == [("USDC", Decimal(15_000))]
    assert account.oracles["ETH"].age_s == 60
    assert account.degraded == ()
    assert account.venue == "aave-v3 local"


def test_every_figure_comes_from_one_call() -> None:
    async def scenario(node: FakeNode) -> list[str]:
        reader = source(options(node.url))
        await reader.read()
        node.methods.clear()
        await reader.read()
        return node.methods

    assert run(scenario) == ["eth_call"]


def test_without_multicall3_the_figures_are_the_same() -> None:
    async def scenario(node: FakeNode) -> tuple[Account, Account]:
        whole = await account_of(node)
        node.has_multicall = False
        batched = await account_of(node)
        node.takes_batches = False
        assert await account_of(node) == batched
        return whole, batched

    whole, batched = run(scenario)
    assert whole == batched


def test_a_health_factor_that_we_cannot_reproduce_is_the_contracts_and_degraded() -> None:
    async def scenario(node: FakeNode) -> Account:
        return await account_of(node)

    account = run(scenario, health=1383333333333333334)
    assert account.ledger.health_factor_wad() == 1383333333333333334
    (reason,) = account.degraded
    assert "1.383333333333333333" in reason
    assert "1.383333333333333334" in reason


def test_a_newer_pool_revision_is_read_and_said() -> None:
    async def scenario(node: FakeNode) -> Account:
        return await account_of(node)

    assert any("revision 14 is newer" in reason for reason in run(scenario, revision=14).degraded)


def test_spark_keeps_the_arithmetic_of_3_0_whatever_its_revision_says() -> None:
    async def scenario(node: FakeNode) -> Account:
        return await account_of(node, provider="spark")

    account = run(scenario, revision=9)
    assert (account.provider, account.venue) == ("spark", "spark local")
    assert "Aave 3.0 arithmetic" in account.note


@pytest.mark.parametrize(
    ("at", "signature", "values", "error", "words"),
    [
        (PROVIDER, "getPool()", [], Refused, "no Aave addresses provider"),
        (PROVIDER, "getPool()", [("uint256", 2**255)], Malformed, "not an address"),
        (POOL, "POOL_REVISION()", [], Refused, "not an Aave v3 pool"),
        (POOL, "POOL_REVISION()", [("uint256", 0)], Malformed, "revision of 0"),
        (POOL, "POOL_REVISION()", [("uint256", 2**200)], Malformed, "wider than"),
        (POOL, "getReservesList()", [("uint256", 2**200)], Malformed, "beyond the data"),
        (POOL, "getUserAccountData(address)", [], Malformed, "getUserAccountData failed"),
        (POOL, "getUserAccountData(address)", [("uint256", 1)], Malformed, "bytes where"),
        (POOL, "getUserConfiguration(address)", [("uint256", 1 << 200)], Malformed, "changes faster"),
        (POOL, "getUserEMode(address)", [("uint256", 999)], Malformed, "wider than 8 bits"),
        (POOL, "getUserEMode(address)", [("uint256", 3)], Malformed, "eMode category failed"),
        (ORACLE, "getAssetPrice(address)", [], Malformed, "getAssetPrice of ETH failed"),
        (ORACLE, "getAssetPrice(address)", [("uint256", 0)], Malformed, "a price that is none"),
        (ORACLE, "getAssetPrice(address)", [("uint256", 2**140)], Malformed, "a price that is none"),
        (POOL, "getReserveData(address)", [("uint256", 1)], Malformed, "bytes where"),
        (POOL, "getReserveData(address)", [("uint256", 2**256 - 1)] * 15, Malformed, "out of range"),
    ],
)
def test_a_contract_that_answers_nonsense_is_named(
    at: str, signature: str, values: list[tuple[str, Any]], error: type[ProviderError], words: str
) -> None:
    async def scenario(node: FakeNode) -> None:
        node.answer(at, signature, *values)
        with pytest.raises(error, match=words):
            await account_of(node)

    run(scenario)


def test_a_block_time_that_no_chain_has_is_malformed() -> None:
    async def scenario(node: FakeNode) -> None:
        node.timestamp_s = 2**60
        with pytest.raises(Malformed, match="no chain has"):
            await account_of(node)

    run(scenario)


def test_an_address_without_code_is_refused() -> None:
    async def scenario(node: FakeNode) -> None:
        with pytest.raises(Refused, match="check chain and address"):
            await account_of(node, addresses_provider="0x" + "99" * 20)

    run(scenario)


def test_a_missing_price_source_leaves_the_price_and_takes_the_age() -> None:
    async def scenario(node: FakeNode) -> Account:
        node.contracts[ORACLE, SELECTORS["getSourceOfAsset(address)"]] = None
        return await account_of(node)

    eth = run(scenario).oracles["ETH"]
    assert (eth.price, eth.age_s) == (Decimal(2500), None)
    assert "no age" in eth.source


@pytest.mark.parametrize("stamp", [0, 1_700_000_000 + 10_000])
def test_a_feed_that_claims_an_impossible_time_has_no_age(stamp: int) -> None:
    async def scenario(node: FakeNode) -> Account:
        kinds = ("uint80", "int256", "uint256", "uint256", "uint80")
        node.answer(FEEDS[WETH], "latestRoundData()", *zip(kinds, (1, 2500 * 10**8, 0, stamp, 1), strict=True))
        return await account_of(node)

    assert run(scenario).oracles["ETH"].age_s is None


def test_a_stablecoin_behind_a_cap_is_followed_to_its_feed() -> None:
    async def scenario(node: FakeNode) -> Account:
        adapter = "0x" + "f7" * 20
        table = {WETH: FEEDS[WETH], USDC: adapter}
        node.contracts[ORACLE, SELECTORS["getSourceOfAsset(address)"]] = lambda data: encode(
            ["address"], [table["0x" + data[12:32].hex()]]
        )
        node.answer(adapter, "ASSET_TO_USD_AGGREGATOR()", ("address", FEEDS[USDC]))
        node.answer(adapter, "isCapped()", ("bool", True))
        node.answer(adapter, "description()", ("string", "Capped USDC / USD"))
        kinds = ("uint80", "int256", "uint256", "uint256", "uint80")
        stamp = node.timestamp_s - 30
        node.answer(FEEDS[USDC], "latestRoundData()", *zip(kinds, (1, 125_000_000, stamp, stamp, 1), strict=True))
        return await account_of(node)

    usdc = run(scenario).oracles["USDC"]
    assert (usdc.price, usdc.age_s) == (Decimal(1), 30)
    assert "capped now" in usdc.source
    assert [leg.price for leg in usdc.legs] == [Decimal("1.25"), Decimal("0.8")]
    assert usdc.legs[0].asset == "USDC"


def test_a_product_of_two_feeds_has_two_legs_and_the_older_age() -> None:
    async def scenario(node: FakeNode) -> Account:
        adapter, rate = "0x" + "f8" * 20, "0x" + "f9" * 20
        table = {WETH: adapter, USDC: FEEDS[USDC]}
        node.contracts[ORACLE, SELECTORS["getSourceOfAsset(address)"]] = lambda data: encode(
            ["address"], [table["0x" + data[12:32].hex()]]
        )
        node.answer(adapter, "ASSET_TO_PEG()", ("address", rate))
        node.answer(adapter, "PEG_TO_BASE()", ("address", FEEDS[WETH]))
        kinds = ("uint80", "int256", "uint256", "uint256", "uint80")
        stamp = node.timestamp_s - 900
        node.answer(rate, "latestRoundData()", *zip(kinds, (1, 10**18, stamp, stamp, 1), strict=True))
        node.answer(rate, "decimals()", ("uint8", 18))
        node.answer(rate, "description()", ("string", "RETH / ETH"))
        return await account_of(node)

    eth = run(scenario).oracles["ETH"]
    assert [(leg.asset, leg.price) for leg in eth.legs] == [(None, Decimal(1)), ("ETH", Decimal(2500))]
    assert eth.age_s == 900


def test_a_hostile_symbol_is_a_short_harmless_name() -> None:
    hostile = "\x1b[31m[bold]\u202eUSD\u200b" + "A" * 10_240

    async def scenario(node: FakeNode) -> Account:
        node.answer(USDC, "symbol()", ("string", hostile))
        return await account_of(node)

    (debt,) = run(scenario).debt
    assert debt.asset == "[31m[bold]U…"
    assert len(debt.asset) <= 12


@pytest.mark.parametrize(
    ("answer", "name"),
    [
        (encode(["string"], ["WETH"]), "ETH"),
        (encode(["string"], ["wstETH"]), "wstETH"),
        (b"MKR".ljust(32, b"\0"), "MKR"),
        (encode(["string"], ["USDC"]), "USDC-abcdef"),
        (encode(["string"], ["\u200b\u202e "]), "token-abcdef"),
        (b"\xff" * 64, "token-abcdef"),
        (b"\x01", "token-abcdef"),
        (None, "token-abcdef"),
    ],
)
def test_a_token_is_named_by_its_symbol_or_its_address(answer: bytes | None, name: str) -> None:
    assert asset_name(answer, "0xabcdef" + "0" * 34, {"USDC"}) == name


def test_a_watch_survives_an_outage_and_says_when_it_tries_again() -> None:
    async def scenario(node: FakeNode) -> tuple[list[LinkState], LinkChange]:
        watched = source(options(node.url)).watch()
        states: list[LinkState] = []
        lost: LinkChange | None = None
        async with contextlib.aclosing(watched):  # type: ignore[type-var]  # an async generator behind its interface
            async for item in watched:
                if isinstance(item, LinkChange):
                    states.append(item.state)
                    lost = item if item.state is LinkState.DOWN else lost
                elif lost is not None:
                    break
                else:
                    node.block += 1
                    node.raw = [(503, {}, b"")] * 3
        assert lost is not None
        return states, lost

    states, lost = run(scenario)
    assert states == [LinkState.CONNECTING, LinkState.LIVE, LinkState.DOWN, LinkState.LIVE]
    assert lost.retry_at_ns is not None
    assert lost.retry_at_ns > lost.at_ns
    assert "503" in lost.detail


def test_a_watch_of_the_wrong_chain_ends_at_once() -> None:
    async def scenario(node: FakeNode) -> None:
        node.chain_id = 1
        watched = source(options(node.url)).watch()
        async with contextlib.aclosing(watched):  # type: ignore[type-var]  # an async generator behind its interface
            assert isinstance(await anext(watched), LinkChange)
            with pytest.raises(Refused, match="is chain 1, the config says 31337"):
                await anext(watched)

    run(scenario)


def test_a_reading_on_nodes_that_disagree_is_degraded() -> None:
    async def scenario(node: FakeNode) -> Reading:
        async with FakeNode(block=990) as slow:
            install_market(slow)
            return await source(options(slow.url, node.url)).read()

    reading = run(scenario)
    assert reading.block_number == 1000
    assert any("10 blocks behind" in reason for reason in reading.degraded)
    assert reading.accounts[0].degraded == reading.degraded


def test_an_old_head_block_of_a_live_chain_is_degraded() -> None:
    async def scenario(node: FakeNode) -> Reading:
        node.chain_id = 1
        return await source(options(node.url, chain_id=1)).read()

    assert any("newest block of ethereum is" in reason for reason in run(scenario).degraded)


def test_a_sequencer_that_is_down_is_said() -> None:
    async def scenario(node: FakeNode) -> Reading:
        node.chain_id = 8453
        kinds = ("uint80", "int256", "uint256", "uint256", "uint80")
        at = "0xBCF85224fc0756B9Fa45aA7892530B47e10b6433"
        node.answer(at, "latestRoundData()", *zip(kinds, (1, 1, 0, 0, 1), strict=True))
        return await source(options(node.url, chain_id=8453)).read()

    assert any("sequencer is down" in reason for reason in run(scenario).degraded)


def test_on_arbitrum_the_block_is_arbitrums_own() -> None:
    async def scenario(node: FakeNode) -> Reading:
        node.chain_id = 42161
        node.answer("0x" + "0" * 38 + "64", "arbBlockNumber()", ("uint256", 123_456_789))
        return await source(options(node.url, chain_id=42161)).read()

    assert run(scenario).block_number == 123_456_789


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"address": None}, "address is missing"),
        ({"address": "0x123"}, "account main: address"),
        ({"address": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"}, "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed"),
        ({"addresses_provider": "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAeD"}, "main: addresses_provider"),
        ({"rpc_urls": ()}, "rpc_url is missing"),
        ({"chain_id": None}, "chain"),
        ({"chain": "etherium"}, "unknown chain 'etherium'"),
        ({"chain": "base"}, "chain base is 8453, chain_id says 31337"),
        ({"addresses_provider": None}, "no aave-v3 market of local is bundled"),
        ({"addresses_provider": None, "chain_id": 1, "market": "moon"}, "known: core, prime"),
        ({"provider": "spark", "addresses_provider": None, "chain_id": 10}, "no spark market of optimism"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        source(options("http://127.0.0.1:1", **changes))


@pytest.mark.parametrize(
    ("provider", "chain", "market", "venue"),
    [
        ("aave-v3", "ethereum", None, "aave-v3 eth"),
        ("aave-v3", "ethereum", "prime", "aave-v3 eth-prime"),
        ("aave-v3", "arbitrum", None, "aave-v3 arb"),
        ("aave-v3", "base", None, "aave-v3 base"),
        ("aave-v3", "optimism", None, "aave-v3 op"),
        ("aave-v3", "polygon", None, "aave-v3 pol"),
        ("aave-v3", "avalanche", None, "aave-v3 avax"),
        ("spark", "ethereum", None, "spark eth"),
    ],
)
def test_every_bundled_market_makes_a_source(provider: str, chain: str, market: str | None, venue: str) -> None:
    made = source(
        options(
            "http://127.0.0.1:1", provider=provider, chain=chain, chain_id=None, market=market, addresses_provider=None
        )
    )
    assert isinstance(made, AaveV3Source)
    assert made._venue == venue
    assert made.stale_after_s >= 30


def test_the_matrix_row_lists_the_keys_that_the_config_takes() -> None:
    assert INFO.required == {"address", "rpc_url"}
    assert {"chain", "chain_id", "market", "addresses_provider"} <= INFO.settings
