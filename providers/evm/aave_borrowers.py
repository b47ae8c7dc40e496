"""Every borrower of one Aave v3 market: who borrowed, by the pool's `Borrow` events, and what they owe, by multicall.

Events: github.com/aave-dao/aave-v3-origin, `IPool.Borrow(address indexed reserve, address user, address indexed
onBehalfOf, uint256 amount, uint8 interestRateMode, uint256 borrowRate, uint16 indexed referralCode)`; the debtor is
`onBehalfOf` (debt tokens do not move). Figures are those of `getUserAccountData`, in the market's base currency.
"""

from collections.abc import Sequence
from typing import Any

from engine.aave import AaveAccountData
from engine.record import record
from providers.errors import Malformed, Refused
from providers.evm.aave_market import AaveMarket
from providers.evm.aave_wire import parse_account_data
from providers.evm.abi import AbiError, encode_call
from providers.evm.multicall import BlockReader
from providers.evm.rpc import Rpc, RpcFault, block_number

BORROW_TOPIC = "0xb3d084820fb1a9decffb176436bd02558d15fac9b0ddfed8c465bc7359d7dce0"
"""keccak-256 of the event's signature."""
SPAN = 10_000
"""Blocks asked for at once; halved while a node refuses that many."""
USERS_A_CALL = 200
MOST_USERS = 2_000_000


@record
class Borrower:
    """One debtor: the address (lower case) and the contract's own figures at `MarketBook.last_block` or before."""

    address: str
    data: AaveAccountData


@record
class MarketBook:
    """All who owe. `unit` is the base currency's (10^8 for USD); figures are of blocks `first_block` to `last_block`.

    `ever` counts the addresses that borrowed since `since`; debts that are older are not known.
    """

    borrowers: tuple[Borrower, ...]
    unit: int
    ever: int
    since: int
    first_block: int
    last_block: int


async def read_borrowers(rpc: Rpc, reader: BlockReader, market: AaveMarket, venue: str, since: int) -> MarketBook:
    """Return all who borrowed in `market` from block `since` on and owe something now; raises `ProviderError`."""
    contracts = await market.find()
    head = block_number(venue, (await rpc.request([("eth_blockNumber", [])]))[0])
    found = await _debtors(rpc, venue, contracts.pool, since, head)
    owing: list[Borrower] = []
    blocks: list[int] = []
    for at in range(0, len(found), USERS_A_CALL):
        some = found[at : at + USERS_A_CALL]
        answers = await reader.read([(contracts.pool, encode_call("getUserAccountData(address)", who)) for who in some])
        blocks.append(answers.number)
        for who, answer in zip(some, answers.answers, strict=True):
            if answer is None:
                raise Malformed(venue, f"getUserAccountData of {who[:10]} failed or answered nothing")
            try:
                data = parse_account_data(answer)
            except AbiError as error:
                raise Malformed(venue, f"getUserAccountData of {who[:10]} answered {error}") from error
            if data.total_debt_base:
                owing.append(Borrower(who, data))
    span = (min(blocks), max(blocks)) if blocks else (head, head)
    return MarketBook(tuple(owing), contracts.base_unit, len(found), since, *span)


async def _debtors(rpc: Rpc, venue: str, pool: str, since: int, head: int) -> list[str]:
    """Return the debtors of all events, each once, in the order of their first loan."""
    found: dict[str, None] = {}
    at, span = since, SPAN
    while at <= head:
        until = min(at + span - 1, head)
        wanted = {"address": pool, "topics": [BORROW_TOPIC], "fromBlock": hex(at), "toBlock": hex(until)}
        answer = (await rpc.request([("eth_getLogs", [wanted])]))[0]
        if isinstance(answer, RpcFault):
            if span == 1:
                raise Refused(venue, f"eth_getLogs of block {at}: {answer.message}")
            span = max(1, span // 2)
            continue
        found |= dict.fromkeys(parse_debtors(venue, answer))
        if len(found) > MOST_USERS:
            raise Malformed(venue, f"more than {MOST_USERS:,} borrowers")
        at = until + 1
    return list(found)


def parse_debtors(venue: str, answer: object) -> Sequence[str]:
    """Return the `onBehalfOf` of every event of an `eth_getLogs` answer; raises `Malformed`."""
    if not isinstance(answer, list):
        raise Malformed(venue, "eth_getLogs: not a list of events")
    return [_debtor(venue, event) for event in answer if not (isinstance(event, dict) and event.get("removed") is True)]


def _debtor(venue: str, event: Any) -> str:
    topics = event.get("topics") if isinstance(event, dict) else None
    if not isinstance(topics, list) or len(topics) != 4 or topics[0] != BORROW_TOPIC:
        raise Malformed(venue, "eth_getLogs: an event that is no Borrow")
    word = topics[2]
    try:
        value = int(word, 16)
    except (TypeError, ValueError):
        value = -1
    if not isinstance(word, str) or len(word) != 66 or not 0 < value < 1 << 160:
        raise Malformed(venue, "eth_getLogs: a Borrow of nobody")
    return "0x" + word[26:].lower()
