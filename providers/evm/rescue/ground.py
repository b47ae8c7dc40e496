"""What every part of a rescue stands on: one market, one position's owner, one paying wallet, one chain."""

import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

from engine.aave_math import AaveVersion
from providers.errors import ConfigError, Refused
from providers.evm.aave_market import NATIVE_OF_CHAIN, AaveMarket, Listed, MarketContracts
from providers.evm.abi import AbiError, uint
from providers.evm.address import checked_address
from providers.evm.address_book import chain_of, market_of
from providers.evm.multicall import BlockReader
from providers.evm.rescue.calls import DEPOSIT, call
from providers.evm.rescue.fees import DATA_FEE_ORACLE, Fees, observed_block_s, present_fees
from providers.evm.rescue.permit import PROBES, PermitDomain, parse_domain, probe_calls
from providers.evm.rpc import Rpc, RpcFault
from providers.ports import AccountOptions

LOCAL_CHAINS = frozenset({1337, 31337})
ON_DEMAND_BLOCK_S = Decimal(1)
FIND_EVERY_S = 600.0


class Ground:
    """The market, owner and wallet behind one configured account; finds contracts and permits when first asked.

    `owner` is whose position it is, `wallet` who pays and signs (the owner when no other is named); both lower case.
    `can_sign` says that a signer is configured for `wallet`. Raises `ConfigError` for settings that cannot be used.
    """

    def __init__(
        self, options: AccountOptions, wallet_address: str | None, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        where = f"account {options.name}"
        if options.address is None:
            raise ConfigError(f"{where}: address is missing")
        self.options = options
        self.owner = checked_address(options.address, f"{where}: address")
        self.wallet = self.owner if wallet_address is None else checked_address(wallet_address, f"{where}: signer")
        self.can_sign = wallet_address is not None
        self.chain = chain_of(options.chain, options.chain_id, where)
        if options.addresses_provider is not None:
            self.provider = checked_address(options.addresses_provider, f"{where}: addresses_provider")
            self.venue = f"{options.provider} {self.chain.name}"
        else:
            market = market_of(options.provider, self.chain, options.market, where)
            self.provider, self.venue = market.addresses_provider, f"{options.provider} {market.short}"
        self.rpc = Rpc(options.rpc_urls, self.chain.chain_id, tls_ca=options.tls_ca)
        self.reader = BlockReader(self.rpc, self.venue)
        family = AaveVersion.V3_0 if options.provider == "spark" else None
        self.market = AaveMarket(self.reader, self.venue, self.chain.chain_id, self.provider, family)
        self._clock = clock
        self._found_at = float("-inf")
        self._known_for: MarketContracts | None = None
        self._permits: Mapping[str, PermitDomain] = {}
        self._wrapped = ""
        self._block_s: Decimal | None = None
        self._charges_data: bool | None = None

    @property
    def is_owner(self) -> bool:
        """Return whether the paying wallet is the position's owner."""
        return self.wallet == self.owner

    @property
    def native(self) -> str:
        """Return the chain's own coin by our name for it."""
        return NATIVE_OF_CHAIN.get(self.chain.chain_id, "ETH")

    async def contracts(self) -> MarketContracts:
        """Return the market's contracts, found anew every ten minutes; raises `ProviderError`."""
        if self._clock() - self._found_at >= FIND_EVERY_S:
            self.market.forget()
        found = await self.market.find()
        if found is not self._known_for:
            await self._learn(found)
            self._known_for, self._found_at = found, self._clock()
        return found

    async def fees(self) -> Fees:
        """Return the fees of this moment; raises `ProviderError`."""
        if self._block_s is None:
            if self.chain.chain_id in LOCAL_CHAINS:
                self._block_s = ON_DEMAND_BLOCK_S
            elif self.chain.block_s is not None:
                self._block_s = Decimal(str(self.chain.block_s))
            else:
                self._block_s = await observed_block_s(self.rpc, self.venue)
        return await present_fees(self.rpc, self.venue, block_s=self._block_s)

    async def data_fee(self, sizes: Sequence[int]) -> int | None:
        """Return at most what the data of transactions of such unsigned sizes costs besides gas, in wei.

        0 on a chain that charges for gas alone, `None` where the oracle does not tell; raises `ProviderError`.
        """
        if self._charges_data is None:
            code = (await self.rpc.request([("eth_getCode", [DATA_FEE_ORACLE, "latest"])]))[0]
            self._charges_data = isinstance(code, str) and len(code) > 2
        if not self._charges_data or not sizes:
            return 0
        asked = [(DATA_FEE_ORACLE, call("getL1FeeUpperBound(uint256)", size)) for size in sizes]
        answers = (await self.reader.read(asked)).answers
        try:
            return sum(uint(answer) for answer in answers if answer is not None) if all(answers) else None
        except AbiError:
            return None

    @property
    def wrapped(self) -> str:
        """Return the token that wraps the chain's coin, "" where the market has none; known after `contracts`."""
        return self._wrapped

    def permit_domain(self, token: str) -> PermitDomain | None:
        """Return the domain of a token whose permits we can sign; known after `contracts`."""
        return self._permits.get(token)

    async def listed(self, asset: str) -> Listed:
        """Return the market's reserve that we call `asset`; raises `Refused` without one."""
        for one in (await self.contracts()).reserves.values():
            if one.asset == asset:
                return one
        raise Refused(self.venue, f"the market has no reserve {asset}")

    async def aclose(self) -> None:
        """Close every connection; the next request opens new ones."""
        await self.rpc.aclose()

    async def _learn(self, found: MarketContracts) -> None:
        tokens = [listed.token for listed in found.reserves.values()]
        answers = (await self.reader.read([one for token in tokens for one in probe_calls(token)])).answers
        self._permits = {
            token: domain
            for index, token in enumerate(tokens)
            if (domain := parse_domain(self.chain.chain_id, token, answers[index * PROBES : (index + 1) * PROBES]))
        }
        self._wrapped = ""
        for listed in found.reserves.values():
            if listed.asset == self.native and await self._wraps(listed.token):
                self._wrapped = listed.token

    async def _wraps(self, token: str) -> bool:
        """Return whether a deposit of nothing goes through, as it does in WETH9 and in no bridged token."""
        asked = {"from": self.wallet, "to": token, "data": "0x" + call(DEPOSIT).hex()}
        return not isinstance((await self.rpc.request([("eth_call", [asked, "latest"])]))[0], RpcFault)
