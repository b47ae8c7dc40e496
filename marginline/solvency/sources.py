"""Where an attester or a verifier reads accounts by itself: a chain through the config, or a portfolio document."""

import asyncio
import time
from collections.abc import Sequence

from engine.accounts import Kind
from engine.document import Portfolio
from engine.reading import SECOND_NS
from marginline.compose import account_options, build_source
from marginline.config import AccountConfig, Config
from marginline.rescue import account_of
from marginline.solvency.attesting import Read
from marginline.solvency.statement import Block
from providers.errors import ConfigError, Malformed, Unreachable
from providers.ports import Reading

_TRIES = 3


def from_portfolio(portfolio: Portfolio, names: Sequence[str], number: int | None, hash_: bytes | None) -> Read:
    """Return the named accounts of a document, at the block that the attester states; raises `ConfigError`."""
    known = {account.name: account for account in portfolio.accounts}
    missing = [name for name in names if name not in known]
    if missing:
        raise ConfigError(f'there is no account "{missing[0][:60]}"; there are: {", ".join(known) or "none"}')
    accounts = tuple(known[name] for name in names)
    block = None
    if number is not None and hash_ is not None:
        chains = {account.chain_id for account in accounts}
        chain_id = chains.pop()
        if chains or chain_id is None or not 1 <= chain_id < 2**64:
            raise ConfigError("--block: the accounts must be of one chain and say its chain_id")
        block = Block(chain_id, number, hash_)
    if portfolio.as_of_ns < 0:
        raise ConfigError("as_of: is before 1970; a statement cannot be of that time")
    return Read(accounts, portfolio.prices, portfolio.as_of_ns // SECOND_NS, block)


async def from_config(config: Config, names: Sequence[str], timeout_s: float) -> Read:
    """Return the named accounts read now, all from one block when they are on a chain.

    Raises `ConfigError` for accounts that share no block, `ProviderError` when reading fails.
    """
    configured = list({account.name: account for account in (account_of(config, name) for name in names)}.values())
    try:
        async with asyncio.timeout(timeout_s):
            readings = await _same_block(configured)
            block = await _block(configured[0], readings[0])
    except TimeoutError as error:
        raise Unreachable(configured[0].name, f"was not read within {timeout_s:g} s") from error
    by_name = {account.name: account for reading in readings for account in reading.accounts}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise ConfigError(f'there is no account "{missing[0][:60]}"; there are: {", ".join(by_name) or "none"}')
    moment_ns = min(reading.block_time_ns or reading.observed_at_ns for reading in readings)
    degraded = tuple(reason for reading in readings for reason in reading.degraded)
    return Read(tuple(by_name[name] for name in names), {}, moment_ns // SECOND_NS, block, degraded)


async def _same_block(configured: Sequence[AccountConfig]) -> list[Reading]:
    """Return one reading per configured account; several on a chain must be of one block, which may take more tries."""
    for _ in range(_TRIES):
        readings = await asyncio.gather(*(build_source(account, time.time_ns).read() for account in configured))
        chains = {account.chain_id for reading in readings for account in reading.accounts}
        blocks = {reading.block_number for reading in readings}
        if len(chains) > 1 or (None in blocks and len(blocks) > 1):
            raise ConfigError("the accounts are not of one chain; a snapshot is of one block, so attest them apart")
        if len(blocks) == 1:
            return list(readings)
    raise ConfigError(f"the accounts were read at different blocks {_TRIES} times; try again, or attest them apart")


async def _block(configured: AccountConfig, reading: Reading) -> Block | None:
    """Return the block of a reading with its hash, asked of the same nodes; `None` for what is on no chain."""
    number = reading.block_number
    chain_id = next((account.chain_id for account in reading.accounts), None)
    if number is None or chain_id is None:
        return None
    found, moment_s = await _asked_block(configured, chain_id, number)
    if moment_s * SECOND_NS != reading.block_time_ns:
        raise Malformed(configured.name, f"block {number}: is not the block that was read any more; try again")
    return Block(chain_id, number, found)


async def _asked_block(configured: AccountConfig, chain_id: int, number: int) -> tuple[bytes, int]:
    """Return hash and epoch seconds of a block, asked of an account's nodes; raises `ProviderError`."""
    from providers.evm.rpc import Rpc, hex_bytes, quantity

    options = account_options(configured)
    rpc = Rpc(options.rpc_urls, chain_id, tls_ca=options.tls_ca)
    try:
        answer = (await rpc.request([("eth_getBlockByNumber", [hex(number), False])]))[0]
    finally:
        await rpc.aclose()
    what = f"block {number}"
    if not isinstance(answer, dict):
        raise Malformed(configured.name, f"{what}: the node does not know it")
    found = hex_bytes(configured.name, f"{what}: hash", answer.get("hash"))
    moment_s = quantity(configured.name, f"{what}: timestamp", answer.get("timestamp"))
    if len(found) != 32:
        raise Malformed(configured.name, f"{what}: its hash has {len(found)} bytes")
    return found, moment_s


async def known_loans(config: Config, stated: Block | None, timeout_s: float) -> Read:
    """Return every loan of a verifier's own config, read now, to compare prices and thresholds; raises `AppError`.

    Its block is the `stated` one as the config's own node of that chain knows it, `None` when there is no such node.
    """
    if not config.accounts:
        raise ConfigError(f"{config.path}: there is no [[account]] whose prices could be compared")
    sources = [build_source(account, time.time_ns) for account in config.accounts]
    try:
        async with asyncio.timeout(timeout_s):
            readings = await asyncio.gather(*(source.read() for source in sources))
            block = None if stated is None else await _known_block(config, readings, stated)
    except TimeoutError as error:
        raise Unreachable(str(config.path), f"was not read within {timeout_s:g} s") from error
    loans = tuple(account for reading in readings for account in reading.accounts if account.kind is Kind.LOAN)
    return Read(loans, {}, min(reading.observed_at_ns for reading in readings) // SECOND_NS, block)


async def _known_block(config: Config, readings: Sequence[Reading], stated: Block) -> Block | None:
    for configured, reading in zip(config.accounts, readings, strict=True):
        if reading.block_number is not None and stated.chain_id in {account.chain_id for account in reading.accounts}:
            found, _ = await _asked_block(configured, stated.chain_id, stated.number)
            return Block(stated.chain_id, stated.number, found)
    return None
