"""One Aave v3 market on one chain: its contracts found, its reserves named, and one user read from one block."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from engine.aave import AaveAccountData, AaveEMode, AaveHolding, AaveUser
from engine.aave_math import NEWEST_POOL_REVISION, AaveVersion, version_of_revision
from engine.record import record
from providers.errors import Malformed, Refused
from providers.evm.aave_wire import (
    ReserveWire,
    borrows,
    parse_account_data,
    parse_emode,
    parse_old_emode,
    parse_price,
    parse_reserve,
    reserve_ids,
    uses_as_collateral,
)
from providers.evm.abi import AbiError, address, addresses, encode_call, text, uint, words
from providers.evm.multicall import BlockAnswers, BlockReader, Call
from providers.text import inert

NO_ADDRESS = "0x" + "0" * 40
MAX_SYMBOL = 12
MAX_REREADS = 4
WRAPPED_NATIVE = {"WETH": "ETH", "WAVAX": "AVAX", "WPOL": "POL", "WMATIC": "POL", "WXDAI": "XDAI"}
NATIVE_OF_CHAIN = {137: "POL", 43114: "AVAX", 100: "XDAI"}


@record
class Listed:
    """One reserve of the market: the token, our name for it, and its a/debt tokens (addresses lower case)."""

    token: str
    asset: str
    wire: ReserveWire


@record
class MarketContracts:
    """What the addresses provider leads to. `revision` is the pool's own; `reserves` are by reserve id."""

    pool: str
    oracle: str
    revision: int
    version: AaveVersion
    base_unit: int
    reserves: Mapping[int, Listed]


@record
class UserReading:
    """One user at one block: the engine's view, the contract's own figures, price sources by asset, extra answers."""

    block: int
    timestamp_s: int
    user: AaveUser
    reported: AaveAccountData
    sources: Mapping[str, str]
    extra: tuple[bytes | None, ...]
    problems: tuple[str, ...] = ()


class Cursor:
    """Hands out answers in the order of the calls; a missing one becomes `Malformed` that names it."""

    def __init__(self, venue: str, answers: Sequence[bytes | None]) -> None:
        self._venue = venue
        self._left = iter(answers)

    def take(self) -> bytes | None:
        """Return the next answer, `None` where the call failed."""
        return next(self._left)

    def need(self, what: str) -> bytes:
        """Return the next answer; raises `Malformed` when the call failed."""
        answer = next(self._left)
        if answer is None:
            raise Malformed(self._venue, f"{what} failed or answered nothing")
        return answer


class AaveMarket:
    """Reads users of the market behind `addresses_provider`; finds its contracts when asked the first time."""

    def __init__(
        self, reader: BlockReader, venue: str, chain_id: int, addresses_provider: str, family: AaveVersion | None
    ) -> None:
        self._reader = reader
        self._venue = venue
        self._chain_id = chain_id
        self._provider = addresses_provider
        self._family = family
        self.contracts: MarketContracts | None = None
        self._known: dict[str, frozenset[int]] = {}
        self._emodes: dict[str, tuple[int, str]] = {}

    def forget(self) -> None:
        """Find everything anew at the next reading."""
        self.contracts = None

    async def find(self) -> MarketContracts:
        """Return the market's contracts, found when not known yet; raises `Refused` where there is no Aave market."""
        if self.contracts is None:
            try:
                self.contracts = await self._find()
            except AbiError as error:
                raise Malformed(self._venue, f"the market's contracts answered {error}") from error
        return self.contracts

    async def read(self, user: str, *, scan: bool, extra: Sequence[Call] = ()) -> UserReading:
        """Return `user` at the latest block; raises `ProviderError`.

        `scan` looks at every reserve, so that supply which is not used as collateral is found, and at where the
        market's contracts are; otherwise only the reserves known to matter are read. `extra` calls are answered at
        the same block.
        """
        for _ in range(MAX_REREADS):
            contracts = await self.find()
            try:
                reading = await self._read(contracts, user, scan=scan, extra=extra)
            except AbiError as error:
                raise Malformed(self._venue, f"a contract answered {error}") from error
            if reading is not None:
                return reading
            # What was scanned is remembered; a market that had to be found anew is scanned anew.
            scan = scan and self.contracts is None
        raise Malformed(self._venue, "the account changes faster than it can be read")

    async def _find(self) -> MarketContracts:
        ask = self._reader.read
        first = await ask(
            [(self._provider, encode_call("getPool()")), (self._provider, encode_call("getPriceOracle()"))]
        )
        if first.answers[0] is None or first.answers[1] is None:
            raise Refused(
                self._venue,
                f"no Aave addresses provider at {self._provider} on chain {self._chain_id}; check chain and address",
            )
        pool, oracle = (address(words(answer, 1)[0]) for answer in first.answers if answer is not None)
        second = await ask(
            [
                (pool, encode_call("POOL_REVISION()")),
                (pool, encode_call("getReservesList()")),
                (oracle, encode_call("BASE_CURRENCY_UNIT()")),
            ]
        )
        if second.answers[0] is None or second.answers[1] is None:
            raise Refused(self._venue, f"the pool {pool} of chain {self._chain_id} is not an Aave v3 pool")
        revision, tokens = uint(second.answers[0], 16), addresses(second.answers[1])
        base_unit = uint(second.answers[2], 64) if second.answers[2] is not None else 10**8
        if base_unit == 0 or revision == 0:
            raise AbiError("a base unit or revision of 0")
        calls = [
            call
            for token in tokens
            for call in ((pool, encode_call("getReserveData(address)", token)), (token, encode_call("symbol()")))
        ]
        cursor = Cursor(self._venue, (await ask(calls)).answers)
        listed, taken = {}, set[str]()
        for token in tokens:
            wire = parse_reserve(cursor.need("getReserveData"))
            asset = asset_name(cursor.take(), token, taken)
            taken.add(asset)
            listed[wire.reserve_id] = Listed(token, asset, wire)
        version = self._family or version_of_revision(revision)
        return MarketContracts(pool, oracle, revision, version, base_unit, listed)

    async def _read(
        self, contracts: MarketContracts, user: str, *, scan: bool, extra: Sequence[Call]
    ) -> UserReading | None:
        """Return the reading, or `None` when it showed that other questions must be asked."""
        known = self._known.get(user, frozenset()) & frozenset(contracts.reserves)
        scan = scan or user not in self._known
        category, price_source = self._emodes.get(user, (0, NO_ADDRESS))
        questions = self._questions(contracts, user, known, category, price_source, scan=scan)
        got = await self._reader.read([*questions, *extra])
        cursor = Cursor(self._venue, got.answers)
        if uint(cursor.need("POOL_REVISION"), 16) != contracts.revision:
            self.forget()
            return None
        reported = parse_account_data(cursor.need("getUserAccountData"))
        configuration = words(cursor.need("getUserConfiguration"), 1)[0]
        in_category = uint(cursor.need("getUserEMode"), 8)
        if in_category != category:
            self._emodes[user] = (in_category, NO_ADDRESS)
            return None
        emode, source_now = self._emode(contracts.version, category, price_source, cursor)
        if source_now != price_source:
            self._emodes[user] = (category, source_now)
            return None
        holdings, sources = [], {}
        for reserve_id in sorted(known):
            holding, source = self._holding(contracts, reserve_id, configuration, cursor)
            holdings.append(holding)
            sources[holding.reserve.asset] = source
        needed = known | reserve_ids(configuration)
        if scan:
            if not self._is_same_market(contracts, cursor):
                self.forget()
                return None
            needed = reserve_ids(configuration) | self._held(contracts, cursor)
        if not needed <= frozenset(contracts.reserves):
            self.forget()
            return None
        self._known[user] = needed
        if not needed <= known:
            return None
        extra_answers = got.answers[len(questions) :]
        return self._reading(contracts, got, holdings, emode, reported, sources, extra_answers)

    def _questions(
        self,
        contracts: MarketContracts,
        user: str,
        known: frozenset[int],
        category: int,
        price_source: str,
        *,
        scan: bool,
    ) -> list[Call]:
        pool, version = contracts.pool, contracts.version
        calls = [
            (pool, encode_call("POOL_REVISION()")),
            (pool, encode_call("getUserAccountData(address)", user)),
            (pool, encode_call("getUserConfiguration(address)", user)),
            (pool, encode_call("getUserEMode(address)", user)),
        ]
        if category and version < AaveVersion.V3_2:
            calls.append((pool, encode_call("getEModeCategoryData(uint8)", category)))
            if price_source != NO_ADDRESS:
                calls.append((contracts.oracle, encode_call("getAssetPrice(address)", price_source)))
        elif category:
            calls += [(pool, encode_call(signature, category)) for signature in _emode_getters(version)]
        for reserve_id in sorted(known):
            listed = contracts.reserves[reserve_id]
            calls += [
                (pool, encode_call("getReserveData(address)", listed.token)),
                (contracts.oracle, encode_call("getAssetPrice(address)", listed.token)),
                (contracts.oracle, encode_call("getSourceOfAsset(address)", listed.token)),
                (listed.wire.a_token, encode_call("scaledBalanceOf(address)", user)),
                (listed.wire.variable_debt_token, encode_call("scaledBalanceOf(address)", user)),
            ]
            if _has_stable_debt(version, listed.wire):
                calls.append((listed.wire.stable_debt_token, encode_call("balanceOf(address)", user)))
            elif version == AaveVersion.V3_3:
                calls.append((listed.wire.variable_debt_token, encode_call("balanceOf(address)", user)))
        if scan:
            calls += [(self._provider, encode_call("getPool()")), (self._provider, encode_call("getPriceOracle()"))]
            calls.append((pool, encode_call("getReservesList()")))
            calls += [
                (listed.wire.a_token, encode_call("scaledBalanceOf(address)", user))
                for listed in contracts.reserves.values()
            ]
        return calls

    def _emode(
        self, version: AaveVersion, category: int, price_source: str, cursor: Cursor
    ) -> tuple[AaveEMode | None, str]:
        """Return the user's eMode and, up to 3.1, the address of its price source."""
        if category == 0:
            return None, NO_ADDRESS
        if version < AaveVersion.V3_2:
            emode, source = parse_old_emode(category, cursor.need("getEModeCategoryData"))
            price = cursor.take() if price_source != NO_ADDRESS else None
            return replace(emode, price=None if price is None else uint(price, 128) or None), source
        config, collateral, borrowable = (cursor.need("eMode category") for _ in range(3))
        label = cursor.take()
        ltv_zero = cursor.need("eMode ltvzero bitmap") if version >= AaveVersion.V3_6 else None
        isolated = cursor.need("eMode isolated") if version >= AaveVersion.V3_7 else None
        emode = parse_emode(category, config, collateral, borrowable, ltv_zero, isolated)
        return replace(emode, label="" if label is None else text(label)), NO_ADDRESS

    def _holding(
        self, contracts: MarketContracts, reserve_id: int, configuration: int, cursor: Cursor
    ) -> tuple[AaveHolding, str]:
        listed, version = contracts.reserves[reserve_id], contracts.version
        wire = parse_reserve(cursor.need(f"getReserveData of {listed.asset}"))
        price = parse_price(cursor.need(f"getAssetPrice of {listed.asset}"))
        source = cursor.take()
        scaled_supply = uint(cursor.need(f"aToken balance of {listed.asset}"), 128)
        scaled_debt = uint(cursor.need(f"debt token balance of {listed.asset}"), 128)
        stable_debt, discounted = 0, None
        if _has_stable_debt(version, listed.wire):
            stable_debt = uint(cursor.need(f"stable debt of {listed.asset}"), 128)
        elif version == AaveVersion.V3_3:
            balance = uint(cursor.need(f"debt balance of {listed.asset}"), 128)
            discounted = None if wire.has_virtual_accounting else balance
        holding = AaveHolding(
            reserve=wire.reserve(listed.asset, price),
            scaled_supply=scaled_supply,
            scaled_debt=scaled_debt,
            stable_debt=stable_debt,
            is_collateral=uses_as_collateral(configuration, reserve_id),
            is_borrowing=borrows(configuration, reserve_id),
            debt_balance=discounted,
        )
        return holding, NO_ADDRESS if source is None else address(words(source, 1)[0])

    def _is_same_market(self, contracts: MarketContracts, cursor: Cursor) -> bool:
        pool, oracle = (address(words(cursor.need(what), 1)[0]) for what in ("getPool", "getPriceOracle"))
        tokens = addresses(cursor.need("getReservesList"))
        is_listed = len(tokens) == len(contracts.reserves)
        return (pool, oracle) == (contracts.pool, contracts.oracle) and is_listed

    def _held(self, contracts: MarketContracts, cursor: Cursor) -> frozenset[int]:
        return frozenset(
            reserve_id
            for reserve_id, listed in contracts.reserves.items()
            if uint(cursor.need(f"aToken balance of {listed.asset}"), 128)
        )

    def _reading(
        self,
        contracts: MarketContracts,
        got: BlockAnswers,
        holdings: Sequence[AaveHolding],
        emode: AaveEMode | None,
        reported: AaveAccountData,
        sources: Mapping[str, str],
        extra: tuple[bytes | None, ...],
    ) -> UserReading:
        if any(holding.reserve.last_update_s > got.timestamp_s for holding in holdings):
            raise AbiError("a reserve updated after the block it was read from")
        problems: tuple[str, ...] = ()
        if self._family is None and contracts.revision > NEWEST_POOL_REVISION:
            problems = (
                f"pool revision {contracts.revision} is newer than this program knows ({NEWEST_POOL_REVISION})",
            )
        user = AaveUser(contracts.version, got.timestamp_s, contracts.base_unit, tuple(holdings), emode)
        return UserReading(got.number, got.timestamp_s, user, reported, sources, extra, problems)


def asset_name(symbol: bytes | None, token: str, taken: set[str]) -> str:
    """Return our name of a token: its symbol made inert, the native asset's for its wrapped form.

    A symbol that is missing or already `taken` in this market gets a short piece of the token's address.
    """
    try:
        shown = inert(text(symbol), MAX_SYMBOL).replace(" ", "") if symbol is not None else ""
    except AbiError:
        shown = ""
    if not shown:
        return f"token-{token[2:8]}"
    name = WRAPPED_NATIVE.get(shown, shown)
    return f"{name}-{token[2:8]}" if name in taken else name


def _has_stable_debt(version: AaveVersion, wire: ReserveWire) -> bool:
    return version < AaveVersion.V3_2 and wire.stable_debt_token != NO_ADDRESS


def _emode_getters(version: AaveVersion) -> tuple[str, ...]:
    getters: tuple[str, ...] = (
        "getEModeCategoryCollateralConfig(uint8)",
        "getEModeCategoryCollateralBitmap(uint8)",
        "getEModeCategoryBorrowableBitmap(uint8)",
        "getEModeCategoryLabel(uint8)",
    )
    if version >= AaveVersion.V3_6:
        getters = (*getters, "getEModeCategoryLtvzeroBitmap(uint8)")
    return (*getters, "getIsEModeCategoryIsolated(uint8)") if version >= AaveVersion.V3_7 else getters
