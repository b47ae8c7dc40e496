"""Many contract reads from one block: one `eth_call` of Multicall3, or a batch pinned to a block number without it.

Multicall3 stands at one address on every chain (github.com/mds1/multicall3); one `eth_call` sees one block, so no
figure of a reading can be older than another.
"""

from collections.abc import Sequence

from engine.record import record
from providers.errors import Malformed
from providers.evm.abi import (
    ARB_SYS,
    MULTICALL3,
    AbiError,
    decode_aggregate3,
    encode_aggregate3,
    encode_call,
    uint,
)
from providers.evm.rpc import MAX_BLOCK, Request, Rpc, RpcFault, block_number, hex_bytes, quantity

ARBITRUM = 42161
MAX_TIMESTAMP_S = 2**34

Call = tuple[str, bytes]
"""A target address and call data."""


@record
class BlockAnswers:
    """What contracts answered at one block, in the order of the calls; `None` where a call failed or said nothing."""

    number: int
    timestamp_s: int
    answers: tuple[bytes | None, ...]


class BlockReader:
    """Reads calls from one block of a chain, by Multicall3 where there is one."""

    def __init__(self, rpc: Rpc, venue: str) -> None:
        self._rpc = rpc
        self._venue = venue
        self._has_multicall = True

    async def read(self, calls: Sequence[Call]) -> BlockAnswers:
        """Return the answers to `calls` at the latest block; raises `ProviderError`."""
        if self._has_multicall:
            found = await self._aggregate(calls)
            if found is not None:
                return found
        return await self._pinned(calls)

    async def _aggregate(self, calls: Sequence[Call]) -> BlockAnswers | None:
        """Return what Multicall3 gathered; `None` when it is not there or could not do it."""
        # Inside an Arbitrum contract block.number is that of Ethereum; its own stands in a precompile.
        on_arbitrum = self._rpc.chain_id == ARBITRUM
        number = (
            (ARB_SYS, encode_call("arbBlockNumber()"))
            if on_arbitrum
            else (
                MULTICALL3,
                encode_call("getBlockNumber()"),
            )
        )
        whole = [number, (MULTICALL3, encode_call("getCurrentBlockTimestamp()")), *calls]
        request = ("eth_call", [_call(MULTICALL3, encode_aggregate3(whole)), "latest"])
        answer = (await self._rpc.request([request]))[0]
        if isinstance(answer, RpcFault):
            return None
        data = hex_bytes(self._venue, "Multicall3", answer)
        if not data:
            self._has_multicall = False
            return None
        try:
            head, stamp, *answers = decode_aggregate3(data, len(whole))
            if head is None or stamp is None:
                return None
            return self._checked(uint(head), uint(stamp), tuple(answers))
        except AbiError as error:
            raise Malformed(self._venue, f"Multicall3 answered {error}") from error

    async def _pinned(self, calls: Sequence[Call]) -> BlockAnswers:
        block = (await self._rpc.request([("eth_getBlockByNumber", ["latest", False])]))[0]
        if not isinstance(block, dict):
            raise Malformed(self._venue, "eth_getBlockByNumber: not a block")
        number = block_number(self._venue, block.get("number"))
        stamp = quantity(self._venue, "block timestamp", block.get("timestamp"))
        requests: list[Request] = [("eth_call", [_call(target, data), hex(number)]) for target, data in calls]
        answers = await self._rpc.request(requests) if requests else []
        return self._checked(number, stamp, tuple(self._answer(answer) for answer in answers))

    def _answer(self, answer: object) -> bytes | None:
        return None if isinstance(answer, RpcFault) else hex_bytes(self._venue, "eth_call", answer) or None

    def _checked(self, number: int, timestamp_s: int, answers: tuple[bytes | None, ...]) -> BlockAnswers:
        if number >= MAX_BLOCK or timestamp_s >= MAX_TIMESTAMP_S:
            raise Malformed(self._venue, "a block number or time that no chain has")
        return BlockAnswers(number, timestamp_s, answers)


def _call(target: str, data: bytes) -> dict[str, str]:
    return {"to": target, "data": "0x" + data.hex()}
