"""One deployed Aave market on a node, and what its people do there: supply, borrow, repay, liquidate, move prices.

Amounts are integers in the token's smallest unit (`units` makes them); prices are integers with eight decimals.
Every account is unlocked, so a user is just an address with some ether.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Context, Decimal
from typing import NamedTuple

from eth_utils.address import to_checksum_address
from eth_utils.crypto import keccak

from tests.chain.contracts import Contract, own
from tests.chain.node import Anvil, Receipt, Tx

MAX_UINT256 = 2**256 - 1
VARIABLE_RATE = 2
WIDE = Context(prec=78)


class AccountData(NamedTuple):
    """What the pool's `getUserAccountData` answers: base amounts with eight decimals, bps, and health with 18."""

    collateral_base: int
    debt_base: int
    available_borrows_base: int
    liquidation_threshold_bps: int
    ltv_bps: int
    health_factor_wad: int


@dataclass(frozen=True, slots=True)
class Token:
    """A reserve's underlying token and the settable feed that prices it."""

    symbol: str
    decimals: int
    contract: Contract
    feed: Contract

    @property
    def address(self) -> str:
        """Return the token's checksummed address."""
        return self.contract.address


@dataclass(frozen=True, slots=True)
class Market:
    """A market of Aave `version` "3.0" or "3.6"; `admin` owns everything in it and `lender` provides its liquidity."""

    anvil: Anvil
    version: str
    admin: str
    lender: str
    addresses_provider: str
    pool: Contract
    configurator: Contract
    oracle: Contract
    data_provider: Contract
    gateway: Contract
    ui_data_provider: Contract
    tokens: Mapping[str, Token]

    @property
    def not_liquidatable(self) -> str:
        """Return the reason with which `liquidate` reverts at health factor 1 and above."""
        return "45" if self.version == "3.0" else "HealthFactorNotBelowThreshold"

    def units(self, symbol: str, amount: Decimal | str | int) -> int:
        """Return an amount of whole tokens in the token's smallest unit; raises `ValueError` for a fraction of it."""
        scaled = WIDE.scaleb(Decimal(amount), self.tokens[symbol].decimals)
        if scaled != int(scaled):
            raise ValueError(f"{amount} {symbol} has too many decimals")
        return int(scaled)

    def user(self, label: str) -> str:
        """Return the address that belongs to `label`, with 100 ether in it; the same label gives the same address."""
        address = to_checksum_address(keccak(text=f"marginline lab: {label}")[12:])
        self.anvil.rpc.call("anvil_setBalance", address, hex(100 * 10**18))
        return address

    def account_data(self, user: str, *, block: str | int = "latest") -> AccountData:
        """Return the contract's own figures of `user`."""
        return AccountData(*self.pool.read("getUserAccountData", user, block=block))

    def price(self, symbol: str) -> int:
        """Return the price that the market's oracle names, eight decimals."""
        return int(self.oracle.read("getAssetPrice", self.tokens[symbol].address))

    def fund_txs(self, user: str, symbol: str, amount: int) -> list[Tx]:
        """Return the transactions that give `user` tokens and let the pool take them."""
        token = self.tokens[symbol].contract
        return [
            token.tx("mint", user, amount, sender=self.admin),
            token.tx("approve", self.pool.address, MAX_UINT256, sender=user),
        ]

    def supply_txs(self, user: str, symbol: str, amount: int) -> list[Tx]:
        """Return the transactions of `supply`."""
        supply = self.pool.tx("supply", self.tokens[symbol].address, amount, user, 0, sender=user)
        return [*self.fund_txs(user, symbol, amount), supply]

    def borrow_tx(self, user: str, symbol: str, amount: int) -> Tx:
        """Return the transaction of `borrow`."""
        return self.pool.tx("borrow", self.tokens[symbol].address, amount, VARIABLE_RATE, 0, user, sender=user)

    def emode_tx(self, user: str, category: int) -> Tx:
        """Return the transaction of `set_emode`."""
        return self.pool.tx("setUserEMode", category, sender=user)

    def collateral_tx(self, user: str, symbol: str, enabled: bool) -> Tx:
        """Return the transaction of `set_collateral`."""
        return self.pool.tx("setUserUseReserveAsCollateral", self.tokens[symbol].address, enabled, sender=user)

    def price_tx(self, symbol: str, price: int) -> Tx:
        """Return the transaction of `set_price`, to bundle with what must happen at that price in the same block."""
        return self.tokens[symbol].feed.tx("setAnswer", price, sender=self.admin)

    def liquidation_tx(self, liquidator: str, collateral: str, debt: str, user: str, amount: int = MAX_UINT256) -> Tx:
        """Return the liquidation call alone, without its funding."""
        pair = (self.tokens[collateral].address, self.tokens[debt].address)
        return self.pool.tx("liquidationCall", *pair, user, amount, False, sender=liquidator)

    def supply(self, user: str, symbol: str, amount: int) -> Receipt:
        """Mint `amount` to `user` and supply it; the first supply of a reserve enables it as collateral."""
        return self.anvil.bundle(self.supply_txs(user, symbol, amount))[-1]

    def withdraw(self, user: str, symbol: str, amount: int = MAX_UINT256) -> Receipt:
        """Withdraw `amount`, or everything."""
        return self.pool.send("withdraw", self.tokens[symbol].address, amount, user, sender=user)

    def borrow(self, user: str, symbol: str, amount: int) -> Receipt:
        """Borrow `amount` at the variable rate."""
        return self.anvil.send(self.borrow_tx(user, symbol, amount))

    def repay(self, user: str, symbol: str, amount: int) -> Receipt:
        """Mint `amount` to `user` and repay with it."""
        repay = self.pool.tx("repay", self.tokens[symbol].address, amount, VARIABLE_RATE, user, sender=user)
        return self.anvil.bundle([*self.fund_txs(user, symbol, amount), repay])[-1]

    def lend_out(self, percent: int) -> None:
        """Let the lender borrow `percent` of its own supply of every reserve, so that interest is more than dust.

        The rates then follow from the curve: 4 % a year at 80 % lent out, and steeply more beyond.
        """
        borrows = []
        for symbol, token in self.tokens.items():
            available = token.contract.read("balanceOf", self.a_token(symbol))
            borrows.append(self.borrow_tx(self.lender, symbol, available * percent // 100))
        self.anvil.bundle(borrows)

    def a_token(self, symbol: str) -> str:
        """Return the address of the reserve's aToken, which holds its liquidity."""
        return str(self.data_provider.read("getReserveTokensAddresses", self.tokens[symbol].address)[0])

    def set_emode(self, user: str, category: int) -> Receipt:
        """Put `user` into an eMode: 1 for ETH-correlated assets, 2 for stablecoins, 0 for none."""
        return self.anvil.send(self.emode_tx(user, category))

    def set_collateral(self, user: str, symbol: str, enabled: bool) -> Receipt:
        """Enable or disable what `user` supplied as collateral."""
        return self.anvil.send(self.collateral_tx(user, symbol, enabled))

    def set_price(self, symbol: str, price: int) -> Receipt:
        """Write a new round of the token's feed, eight decimals."""
        return self.anvil.send(self.price_tx(symbol, price))

    def liquidate(
        self, collateral: str, debt: str, user: str, amount: int = MAX_UINT256, *, timestamp_s: int | None = None
    ) -> Receipt:
        """Liquidate as much as the pool lets, up to `amount` of debt; raises `Reverted`."""
        liquidator = self.user("liquidator")
        funding = self.fund_txs(liquidator, debt, self.units(debt, 10**9))
        call = self.liquidation_tx(liquidator, collateral, debt, user, amount)
        return self.anvil.bundle([*funding, call], timestamp_s=timestamp_s)[-1]

    def use_ratio_source(self, symbol: str, base: str, ratio_wad: int, maximum_wad: int) -> Contract:
        """Price `symbol` as `base` feed times a capped exchange ratio, as correlated assets are on mainnet.

        Returns the adapter; `setRatio(ratio, maximum)` moves it. The token's own feed is read no more.
        """
        artifact = own()["RatioAdapter"]
        arguments = (self.tokens[base].feed.address, ratio_wad, maximum_wad, f"Capped {symbol} / {base} / USD")
        created = self.anvil.send(Tx(self.admin, None, artifact.creation(arguments))).contract
        if created is None:
            raise LookupError("the adapter was not created")
        adapter = Contract(self.anvil, to_checksum_address(created), artifact.abi)
        self.oracle.send("setAssetSources", [self.tokens[symbol].address], [adapter.address], sender=self.admin)
        return adapter
