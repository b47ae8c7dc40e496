"""Deploys a whole Aave market, v3.0 or v3.6, in one block: contracts, reserves, eModes, feeds and liquidity.

Contract addresses follow from the deployer's nonce, so every transaction is known before the first is mined.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from eth_abi.abi import encode
from eth_utils.address import to_checksum_address

from tests.chain.contracts import Artifact, Contract, aave30, aave36, created_address, multicall3, own
from tests.chain.market import Market, Token
from tests.chain.node import Anvil, Tx

ZERO = "0x" + "00" * 20
MULTICALL3 = "0xcA11bde05977b3631167028862bE2a173976CA11"
RAY = 10**27
BASE_UNIT = 10**8
LABELS = {1: "ETH correlated", 2: "Stablecoins"}
E_MODE = (9300, 9500, 10100)
"""LTV, liquidation threshold and bonus (10000 + bonus) of both eModes, bps."""


@dataclass(frozen=True, slots=True)
class Listing:
    """A reserve to list; price with eight decimals, the rest in bps (`bonus` as 10000 + bonus)."""

    symbol: str
    feed: str
    decimals: int
    price: int
    ltv: int
    threshold: int
    bonus: int
    reserve_factor: int
    e_mode: int
    liquidity: int


LISTINGS = (
    Listing("WETH", "ETH / USD", 18, 2_500 * BASE_UNIT, 8050, 8300, 10500, 1500, 1, 200_000),
    Listing("wstETH", "WSTETH / USD", 18, 2_950 * BASE_UNIT, 7850, 8100, 10600, 1500, 1, 100_000),
    Listing("WBTC", "BTC / USD", 8, 60_000 * BASE_UNIT, 7300, 7800, 10500, 2000, 0, 10_000),
    Listing("USDC", "USDC / USD", 6, BASE_UNIT, 7500, 7800, 10450, 1000, 2, 500_000_000),
    Listing("DAI", "DAI / USD", 18, BASE_UNIT, 6300, 7700, 10500, 2500, 2, 200_000_000),
)


@dataclass(slots=True)
class _Script:
    """Transactions of one sender, in order, with the addresses they will create."""

    anvil: Anvil
    sender: str
    nonce: int
    txs: list[Tx] = field(default_factory=list)

    def create(self, artifact: Artifact, *arguments: Any, libraries: dict[str, str] | None = None) -> Contract:
        address = created_address(self.sender, self.nonce + len(self.txs))
        self.txs.append(Tx(self.sender, None, artifact.creation(arguments, libraries)))
        return Contract(self.anvil, address, artifact.abi)

    def call(self, contract: Contract, function: str, *arguments: Any) -> None:
        self.txs.append(contract.tx(function, *arguments, sender=self.sender))


def deploy(anvil: Anvil, version: str) -> Market:
    """Return a new market of Aave `version` "3.0" or "3.6" on `anvil`, with Multicall3 in its usual place.

    Several markets may share a node; each has its own tokens and feeds. Raises `Reverted` if a step fails.
    """
    if version not in ("3.0", "3.6"):
        raise ValueError(f"no Aave {version} here: 3.0 or 3.6")
    _place_multicall3(anvil)
    admin, lender = to_checksum_address(anvil.accounts[0]), to_checksum_address(anvil.accounts[9])
    script = _Script(anvil, admin, int(anvil.rpc.call("eth_getTransactionCount", admin, "latest"), 16))
    tokens = {listing.symbol: _token(script, listing) for listing in LISTINGS}
    build = _core30 if version == "3.0" else _core36
    market = build(script, lender, tokens)
    anvil.bundle(script.txs)
    _check(market)
    anvil.bundle(
        [
            tx
            for listing in LISTINGS
            for tx in market.supply_txs(lender, listing.symbol, listing.liquidity * 10**listing.decimals)
        ]
    )
    return market


def _place_multicall3(anvil: Anvil) -> None:
    runtime = anvil.rpc.call("eth_call", {"data": multicall3()}, "latest")
    anvil.rpc.call("anvil_setCode", MULTICALL3, runtime)


def _token(script: _Script, listing: Listing) -> Token:
    feed = script.create(own()["SettableFeed"], listing.price, 8, listing.feed)
    if listing.symbol == "WETH":
        contract = script.create(aave30()["WETH9Mock"], "Wrapped Ether", "WETH", script.sender)
    else:
        arguments = (f"{listing.symbol} of the lab", listing.symbol, listing.decimals, script.sender)
        contract = script.create(aave30()["TestnetERC20"], *arguments)
    return Token(listing.symbol, listing.decimals, contract, feed)


def _core30(script: _Script, lender: str, tokens: dict[str, Token]) -> Market:
    artifacts = aave30()
    logic = {"BorrowLogic": script.create(artifacts["BorrowLogic"]).address}
    for name in ("BridgeLogic", "EModeLogic", "LiquidationLogic", "PoolLogic", "SupplyLogic", "ConfiguratorLogic"):
        logic[name] = script.create(artifacts[name]).address
    logic["FlashLoanLogic"] = script.create(artifacts["FlashLoanLogic"], libraries=logic).address
    provider, oracle = _foundations(script, artifacts, tokens)
    pool = script.create(artifacts["Pool"], provider.address, libraries=logic)
    configurator = script.create(artifacts["PoolConfigurator"], libraries=logic)
    market = _proxies(script, artifacts, lender, tokens, provider, oracle, pool, configurator)
    curve = [RAY * 80 // 100, 0, RAY * 4 // 100, RAY * 75 // 100]
    stable = [RAY * 5 // 1000, RAY * 75 // 100, RAY // 100, RAY * 8 // 100, RAY * 20 // 100]
    strategy = script.create(artifacts["DefaultReserveInterestRateStrategy"], provider.address, *curve, *stable)
    names = ("AToken", "StableDebtToken", "VariableDebtToken")
    kinds = [script.create(artifacts[name], market.pool.address).address for name in names]
    reserves = [
        (
            *kinds,
            listing.decimals,
            strategy.address,
            tokens[listing.symbol].address,
            lender,
            ZERO,
            *(text.format(listing.symbol) for text in ("Aave {}", "a{}", "Aave variable {}", "variableDebt{}")),
            *(text.format(listing.symbol) for text in ("Aave stable {}", "stableDebt{}")),
            b"",
        )
        for listing in LISTINGS
    ]
    script.call(market.configurator, "initReserves", reserves)
    for category, label in LABELS.items():
        script.call(market.configurator, "setEModeCategory", category, *E_MODE, ZERO, label)
    for listing in LISTINGS:
        _configure(script, market, listing)
        if listing.e_mode:
            asset = tokens[listing.symbol].address
            script.call(market.configurator, "setAssetEModeCategory", asset, listing.e_mode)
    return market


def _core36(script: _Script, lender: str, tokens: dict[str, Token]) -> Market:
    artifacts = aave36()
    logic = {"BorrowLogic": script.create(artifacts["BorrowLogic"]).address}
    for name in ("LiquidationLogic", "PoolLogic", "SupplyLogic", "ConfiguratorLogic"):
        logic[name] = script.create(artifacts[name]).address
    logic["FlashLoanLogic"] = script.create(artifacts["FlashLoanLogic"], libraries=logic).address
    provider, oracle = _foundations(script, artifacts, tokens)
    strategy = script.create(artifacts["DefaultReserveInterestRateStrategyV2"], provider.address)
    pool = script.create(artifacts["PoolInstance"], provider.address, strategy.address, libraries=logic)
    configurator = script.create(artifacts["PoolConfiguratorInstance"], libraries=logic)
    market = _proxies(script, artifacts, lender, tokens, provider, oracle, pool, configurator)
    a_token = script.create(artifacts["ATokenInstance"], market.pool.address, ZERO, lender)
    debt_token = script.create(artifacts["VariableDebtTokenInstance"], market.pool.address, ZERO)
    curve = encode(["uint16", "uint32", "uint32", "uint32"], [8000, 0, 400, 7500])
    reserves = [
        (
            a_token.address,
            debt_token.address,
            tokens[listing.symbol].address,
            *(text.format(listing.symbol) for text in ("Aave {}", "a{}", "Aave variable {}", "variableDebt{}")),
            b"",
            curve,
        )
        for listing in LISTINGS
    ]
    script.call(market.configurator, "initReserves", reserves)
    for category, label in LABELS.items():
        script.call(market.configurator, "setEModeCategory", category, *E_MODE, label)
    for listing in LISTINGS:
        _configure(script, market, listing)
        if listing.e_mode:
            asset = tokens[listing.symbol].address
            script.call(market.configurator, "setAssetCollateralInEMode", asset, listing.e_mode, True)
            script.call(market.configurator, "setAssetBorrowableInEMode", asset, listing.e_mode, True)
    return market


def _foundations(script: _Script, artifacts: Any, tokens: dict[str, Token]) -> tuple[Contract, Contract]:
    provider = script.create(artifacts["PoolAddressesProvider"], "marginline lab", script.sender)
    script.call(provider, "setACLAdmin", script.sender)
    acl = script.create(artifacts["ACLManager"], provider.address)
    script.call(provider, "setACLManager", acl.address)
    script.call(acl, "addPoolAdmin", script.sender)
    script.call(acl, "addEmergencyAdmin", script.sender)
    script.call(acl, "addAssetListingAdmin", script.sender)
    assets = [token.address for token in tokens.values()]
    feeds = [token.feed.address for token in tokens.values()]
    oracle = script.create(artifacts["AaveOracle"], provider.address, assets, feeds, ZERO, ZERO, BASE_UNIT)
    script.call(provider, "setPriceOracle", oracle.address)
    return provider, oracle


def _proxies(
    script: _Script,
    artifacts: Any,
    lender: str,
    tokens: dict[str, Token],
    provider: Contract,
    oracle: Contract,
    pool: Contract,
    configurator: Contract,
) -> Market:
    """The provider creates a proxy for each implementation: its first and second contract (nonces start at 1)."""
    script.call(provider, "setPoolImpl", pool.address)
    script.call(provider, "setPoolConfiguratorImpl", configurator.address)
    proxied = Contract(script.anvil, created_address(provider.address, 1), pool.abi)
    data_provider = script.create(artifacts["AaveProtocolDataProvider"], provider.address)
    script.call(provider, "setPoolDataProvider", data_provider.address)
    weth = tokens["WETH"]
    feeds = (weth.feed.address, weth.feed.address)
    return Market(
        anvil=script.anvil,
        version="3.0" if "StableDebtToken" in artifacts else "3.6",
        admin=script.sender,
        lender=lender,
        addresses_provider=provider.address,
        pool=proxied,
        configurator=Contract(script.anvil, created_address(provider.address, 2), configurator.abi),
        oracle=oracle,
        data_provider=data_provider,
        gateway=script.create(artifacts["WrappedTokenGatewayV3"], weth.address, script.sender, proxied.address),
        ui_data_provider=script.create(artifacts["UiPoolDataProviderV3"], *feeds),
        tokens=tokens,
    )


def _configure(script: _Script, market: Market, listing: Listing) -> None:
    asset = market.tokens[listing.symbol].address
    limits = (listing.ltv, listing.threshold, listing.bonus)
    script.call(market.configurator, "configureReserveAsCollateral", asset, *limits)
    script.call(market.configurator, "setReserveBorrowing", asset, True)
    script.call(market.configurator, "setReserveFlashLoaning", asset, True)
    script.call(market.configurator, "setReserveFactor", asset, listing.reserve_factor)
    script.call(market.configurator, "setLiquidationProtocolFee", asset, 1000)


def _check(market: Market) -> None:
    provider_abi = aave30()["PoolAddressesProvider"].abi
    provider = Contract(market.anvil, market.addresses_provider, provider_abi)
    named: Sequence[str] = [
        to_checksum_address(provider.read(name)) for name in ("getPool", "getPoolConfigurator", "getPriceOracle")
    ]
    if named != [market.pool.address, market.configurator.address, market.oracle.address]:
        raise LookupError(f"the market is not where it should be: {named}")
