"""Aave v3 and Spark Lend accounts, read from their chain: provider "aave-v3" (3.0 to 3.7) and "spark" (a 3.0 fork).

Everything of one reading comes from one block. Contracts: github.com/aave-dao/aave-v3-origin,
github.com/sparkdotfi/sparklend-v1-core (read 2026-11).
"""

import asyncio
import random
import time
from collections.abc import AsyncIterator, Callable, Mapping
from decimal import Context, Decimal

from engine.aave import legs
from engine.aave_math import AaveVersion
from engine.accounts import Kind
from engine.prices import OraclePrice
from providers.errors import ConfigError, ProviderError, RateLimited, Refused
from providers.evm.aave_account import account
from providers.evm.aave_borrowers import MarketBook, read_borrowers
from providers.evm.aave_market import AaveMarket, UserReading
from providers.evm.abi import AbiError, encode_call, words
from providers.evm.address import checked_address
from providers.evm.address_book import Chain, chain_of, market_of
from providers.evm.chainlink import (
    Source,
    feed_calls,
    oracle_price,
    overdue,
    parse_feeds,
    parse_probes,
    probe_calls,
)
from providers.evm.multicall import BlockReader, Call
from providers.evm.rpc import Rpc, block_number
from providers.ports import AccountOptions, LinkChange, LinkState, ProviderInfo, Reading

WIDE = Context(prec=78)
NS = 1_000_000_000
LOCAL_CHAINS = frozenset({1337, 31337})
"""Chain ids of development nodes, which make a block only when there is a transaction."""
SCAN_EVERY_S = 45.0
FIND_EVERY_S = 600.0
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 30.0

INFO = ProviderInfo(
    name="aave-v3",
    title="Aave v3 (3.0 to 3.7) and Spark Lend",
    kinds=frozenset({Kind.LOAN}),
    reads=("collateral", "debt", "thresholds", "eMode", "oracle sources"),
    rescues=("supply", "repay"),
    required=frozenset({"address", "rpc_url"}),
    settings=frozenset(
        {
            *("chain", "chain_id", "market", "addresses_provider", "poll_s", "stale_after_s", "tls_ca", "oracles"),
            *("submit_rpc_url", "submit_fallback", "confirmations"),
        }
    ),
    live="poll of every block",
    permissions={"rescue": "a wallet that pays, as signer; the account's own key is not needed"},
)


def source(options: AccountOptions) -> "AaveV3Source":
    """Return the source of one configured account; raises `ConfigError` naming the key that cannot be used."""
    where = f"account {options.name}"
    if options.address is None:
        raise ConfigError(f"{where}: address is missing")
    if not options.rpc_urls:
        raise ConfigError(f'{where}: rpc_url is missing, e.g. rpc_url = "env:ETH_RPC_URL"')
    user = checked_address(options.address, f"{where}: address")
    chain = chain_of(options.chain, options.chain_id, where)
    if options.addresses_provider is not None:
        provider = checked_address(options.addresses_provider, f"{where}: addresses_provider")
        short = chain.name
    else:
        market = market_of(options.provider, chain, options.market, where)
        provider, short = market.addresses_provider, market.short
    return AaveV3Source(options, chain, user, provider, f"{options.provider} {short}")


class AaveV3Source:
    """One user of one market; satisfies `PositionSource`. `clock_ns` is UTC."""

    def __init__(
        self,
        options: AccountOptions,
        chain: Chain,
        user: str,
        addresses_provider: str,
        venue: str,
        *,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self._options = options
        self._chain = chain
        self._user = user
        self._venue = venue
        self._clock_ns = clock_ns
        self._rpc = Rpc(options.rpc_urls, chain.chain_id, tls_ca=options.tls_ca)
        self._reader = BlockReader(self._rpc, venue)
        # Spark numbers its revisions by itself; its arithmetic is that of the family it forked.
        family = AaveVersion.V3_0 if options.provider == "spark" else None
        self._market = AaveMarket(self._reader, venue, chain.chain_id, addresses_provider, family)
        self._sources: Mapping[str, Source] = {}
        self._scanned_at = self._found_at = float("-inf")
        self._is_watching = False

    @property
    def name(self) -> str:
        """Return the configured account name."""
        return self._options.name

    @property
    def stale_after_s(self) -> float:
        """Return the age beyond which a reading no longer vouches: five blocks, at least 30 s."""
        if self._options.stale_after_s is not None:
            return self._options.stale_after_s
        return max(30.0, 5 * (self._chain.block_s or 0.0))

    @property
    def poll_s(self) -> float:
        """Return how often the chain is asked for a new block."""
        return self._options.poll_s if self._options.poll_s is not None else self._chain.poll_s

    async def read(self) -> Reading:
        """Return one reading of the latest block; raises `ProviderError`."""
        try:
            return await self._read()
        finally:
            if not self._is_watching:
                await self.aclose()

    async def watch(self) -> AsyncIterator[Reading | LinkChange]:
        """Yield a reading at start and at every new block, or when the last one is half way to stale; link changes too.

        Raises `Refused` when the chain or a contract is not what the config says.
        """
        state: LinkState | None = None
        pause_s = FIRST_PAUSE_S
        self._is_watching = True
        try:
            yield self._change(LinkState.CONNECTING)
            seen, read_at = -1, float("-inf")
            while True:
                try:
                    reading = None
                    due = time.monotonic() - read_at >= self.stale_after_s / 2
                    if due or await self._head() != seen:
                        reading = await self._read()
                except Refused:
                    raise
                except ProviderError as error:
                    wait_s = random.uniform(0.5, 1.0) * pause_s
                    if isinstance(error, RateLimited) and error.retry_after_s is not None:
                        wait_s = error.retry_after_s
                    pause_s = min(2 * pause_s, LONGEST_PAUSE_S)
                    state = LinkState.DOWN
                    yield self._change(state, str(error), retry_in_s=wait_s)
                    await asyncio.sleep(wait_s)
                    continue
                if reading is not None:
                    pause_s = FIRST_PAUSE_S
                    seen, read_at = reading.block_number or 0, time.monotonic()
                    now = LinkState.DEGRADED if reading.degraded else LinkState.LIVE
                    if now != state:
                        state = now
                        yield self._change(state, "; ".join(reading.degraded))
                    yield reading
                await asyncio.sleep(self.poll_s)
        finally:
            self._is_watching = False
            await self.aclose()

    async def borrowers(self, since: int = 0) -> MarketBook:
        """Return all who borrowed in this account's market from block `since` on; raises `ProviderError`."""
        try:
            return await read_borrowers(self._rpc, self._reader, self._market, self._venue, since)
        finally:
            await self.aclose()

    async def aclose(self) -> None:
        """Close every connection; the next reading opens new ones."""
        await self._rpc.aclose()

    async def _head(self) -> int:
        answer = (await self._rpc.request([("eth_blockNumber", [])]))[0]
        return block_number(self._venue, answer)

    async def _read(self) -> Reading:
        await self._rpc.compare()
        now = time.monotonic()
        if now - self._found_at >= FIND_EVERY_S:
            self._market.forget()
            self._found_at = now
        scan = now - self._scanned_at >= SCAN_EVERY_S
        if scan:
            self._sources = {}
        calls = self._extra_calls()
        got = await self._market.read(self._user, scan=scan, extra=calls)
        if not frozenset(got.sources.values()) <= frozenset(self._sources):
            await self._follow(got.sources)
            calls = self._extra_calls()
            got = await self._market.read(self._user, scan=False, extra=calls)
        if scan:
            self._scanned_at = now
        return self._reading(got)

    async def _follow(self, sources: Mapping[str, str]) -> None:
        """Find out what every price source is."""
        wanted = sorted(frozenset(sources.values()))
        probed = parse_probes(wanted, (await self._reader.read(probe_calls(wanted))).answers)
        ordered = list(probed.values())
        calls = feed_calls(ordered)
        answers = (await self._reader.read(calls)).answers if calls else ()
        self._sources = parse_feeds(ordered, answers)

    def _extra_calls(self) -> list[Call]:
        calls = [call for one in self._sources.values() for call in one.calls()]
        if self._chain.sequencer_feed is not None:
            calls.append((self._chain.sequencer_feed, encode_call("latestRoundData()")))
        return calls

    def _reading(self, got: UserReading) -> Reading:
        block_time_ns = got.timestamp_s * NS
        oracles, sequencer = self._oracles(got, block_time_ns)
        problems = [*got.problems, *overdue(oracles), *self._rpc.problems]
        if sequencer is not None:
            problems.append(sequencer)
        observed_at_ns = self._clock_ns()
        if self._chain.block_s is not None:
            age_s = (observed_at_ns - block_time_ns) / NS
            if age_s > max(60.0, 10 * self._chain.block_s):
                problems.append(f"the newest block of {self._chain.name} is {age_s:.0f} s old")
        contracts = self._market.contracts
        found = account(
            self.name,
            got.user,
            got.reported,
            oracles,
            provider=self._options.provider,
            chain_id=self._chain.chain_id,
            venue=self._venue,
            note="" if contracts is None else f"pool revision {contracts.revision}",
            degraded=tuple(problems),
        )
        return Reading(
            source=self.name,
            accounts=(found,),
            observed_at_ns=observed_at_ns,
            block_number=got.block,
            block_time_ns=block_time_ns,
            degraded=found.degraded,
            marks=oracles,
            blocks_on_demand=self._chain.chain_id in LOCAL_CHAINS,
        )

    def _oracles(self, got: UserReading, block_time_ns: int) -> tuple[dict[str, OraclePrice], str | None]:
        """Return trigger prices by asset, and what is wrong with the chain's sequencer, if anything."""
        left = iter(got.extra)
        answers = {at: [next(left) for _ in one.calls()] for at, one in self._sources.items()}
        sequencer = _sequencer(next(left)) if self._chain.sequencer_feed is not None else None
        prices = {}
        for leg in legs(got.user):
            asset, at = leg.reserve.asset, got.sources[leg.reserve.asset]
            price = WIDE.divide(Decimal(leg.price), Decimal(got.user.base_unit))
            override = self._options.oracle_rules.get(asset)
            prices[asset] = oracle_price(
                asset,
                price,
                self._sources[at],
                answers[at],
                chain_id=self._chain.chain_id,
                block_time_ns=block_time_ns,
                override=override,
            )
        return prices, sequencer

    def _change(self, state: LinkState, detail: str = "", *, retry_in_s: float | None = None) -> LinkChange:
        now = self._clock_ns()
        retry_at_ns = None if retry_in_s is None else now + int(retry_in_s * NS)
        return LinkChange(self.name, state, now, detail, retry_at_ns)


def _sequencer(answer: bytes | None) -> str | None:
    """Return what Chainlink's uptime feed of an L2 says when it is not "up" (answer 0)."""
    if answer is None:
        return "the sequencer's uptime feed does not answer"
    try:
        is_down = words(answer, 5)[1] != 0
    except AbiError:
        return "the sequencer's uptime feed cannot be read"
    return "the chain's sequencer is down: no price can be updated, no rescue can land" if is_down else None
