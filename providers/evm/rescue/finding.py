"""What became of a transaction, by reading only: its receipt, the mempool, and who used its nonce.

Nothing is concluded from silence: a transaction is rejected only when its receipt says so, or when the transaction
that used its nonce was found and is another one.
"""

from collections.abc import Mapping

from providers.errors import Malformed
from providers.evm.rescue.ground import Ground
from providers.evm.rescue.reasons import revert_reason
from providers.evm.rpc import Request, RpcFault, quantity
from providers.rescue_ports import Fate, Found

SEARCHED_BLOCKS = 256


class Finder:
    """Follows transactions of one account; remembers what it saw, so that a reorganisation or a drop is told as one.

    `confirmations` is how many blocks, its own included, must stand on a transaction before it counts as confirmed.
    """

    def __init__(self, ground: Ground, confirmations: int) -> None:
        self._ground = ground
        self._confirmations = max(confirmations, 1)
        self._mined: dict[str, str] = {}
        self._waiting: set[str] = set()

    async def find(self, reference: str, nonce: int | None, owner: str) -> Found:
        """Return what became of the transaction with hash `reference`; raises `ProviderError`.

        `PENDING` while it may still happen, `UNKNOWN` when it was there and no node has it any more. `nonce` and
        `owner` are those it was signed with.
        """
        requests: list[Request] = [
            ("eth_getTransactionReceipt", [reference]),
            ("eth_getTransactionByHash", [reference]),
            ("eth_blockNumber", []),
        ]
        receipt, known, head = await self._ground.rpc.request(requests)
        if isinstance(receipt, dict) and receipt.get("blockNumber") is not None:
            return await self._of_receipt(reference, receipt, quantity(self._ground.venue, "eth_blockNumber", head))
        lost = self._mined.get(reference, "")
        if isinstance(known, dict):
            self._waiting.add(reference)
            where = "in the mempool"
            return Found(Fate.PENDING, f"block {lost} that held it was reorganised; {where} again" if lost else where)
        if isinstance(receipt, RpcFault) or isinstance(known, RpcFault):
            raise Malformed(self._ground.venue, "the node does not tell about transactions")
        return await self._without_trace(reference, nonce, owner, lost)

    async def _of_receipt(self, reference: str, receipt: Mapping[str, object], head: int) -> Found:
        venue = self._ground.venue
        block = quantity(venue, "receipt block", receipt.get("blockNumber"))
        self._mined[reference] = str(block)
        depth = head - block + 1
        if depth < self._confirmations:
            return Found(Fate.PENDING, f"in block {block}, {max(depth, 1)} of {self._confirmations} confirmations")
        status = receipt.get("status")
        if status == "0x1":
            gas = quantity(venue, "gas used", receipt.get("gasUsed"))
            return Found(Fate.CONFIRMED, f"in block {block}, gas {gas}")
        if status != "0x0":
            raise Malformed(venue, "a receipt without status")
        return Found(Fate.REJECTED, f"reverted in block {block}: {await self._why(reference, block)}")

    async def _why(self, reference: str, block: int) -> str:
        """Return why a mined transaction reverted, from running it again on the block before and on its own."""
        sent = (await self._ground.rpc.request([("eth_getTransactionByHash", [reference])]))[0]
        if not isinstance(sent, dict):
            return "the reason is not known any more"
        call = {key: sent[key] for key in ("from", "to", "value", "gas") if sent.get(key) is not None}
        call["data"] = sent.get("input", "0x")
        for at in (block - 1, block):
            answer = (await self._ground.rpc.request([("eth_call", [call, hex(at)])]))[0]
            if isinstance(answer, RpcFault) and answer.data:
                return revert_reason(answer.data)
        return "out of gas, or a reason that does not show when it is run again"

    async def _without_trace(self, reference: str, nonce: int | None, owner: str, lost: str) -> Found:
        if nonce is None or not owner:
            return Found(Fate.UNKNOWN, "no node knows it")
        answer = (await self._ground.rpc.request([("eth_getTransactionCount", [owner, "latest"])]))[0]
        count = quantity(self._ground.venue, "eth_getTransactionCount", answer)
        if count > nonce:
            return await self._replaced(reference, nonce, owner)
        free = f"nonce {nonce} is still free"
        if lost:
            return Found(Fate.UNKNOWN, f"block {lost} that held it was reorganised and no node has it; {free}")
        if reference in self._waiting:
            return Found(Fate.UNKNOWN, f"dropped: no node has it any more; {free}")
        return Found(Fate.PENDING, f"no node shows it yet; {free}")

    async def _replaced(self, reference: str, nonce: int, owner: str) -> Found:
        head = quantity(
            self._ground.venue, "eth_blockNumber", (await self._ground.rpc.request([("eth_blockNumber", [])]))[0]
        )
        found = await self._user_of(nonce, owner, head)
        if found is None:
            return Found(Fate.UNKNOWN, f"nonce {nonce} is used, by a transaction that was not found")
        other, block = found
        if other == reference.lower():
            return Found(Fate.PENDING, "mined; its receipt is not there yet")
        depth = head - block + 1
        if depth < self._confirmations:  # a reorganisation may still take it out, and let ours in
            said = f"{depth} of {self._confirmations} confirmations"
            return Found(Fate.PENDING, f"nonce {nonce} was used by {other}, {said}")
        return Found(Fate.REJECTED, f"nonce {nonce} was used by {other}")

    async def _user_of(self, nonce: int, owner: str, high: int) -> tuple[str, int] | None:
        """Return hash and block of the transaction that used `nonce`, by halving the blocks up to `high`, or `None`."""
        ground = self._ground
        low = max(high - SEARCHED_BLOCKS, -1)
        if low >= 0 and await self._count_at(owner, low) > nonce:
            return None
        while high - low > 1:
            middle = (low + high) // 2
            if await self._count_at(owner, middle) > nonce:
                high = middle
            else:
                low = middle
        block = (await ground.rpc.request([("eth_getBlockByNumber", [hex(high), True])]))[0]
        listed = block.get("transactions") if isinstance(block, dict) else None
        for one in listed if isinstance(listed, list) else []:
            if not isinstance(one, dict) or str(one.get("from", "")).lower() != owner.lower():
                continue
            if quantity(ground.venue, "nonce", one.get("nonce")) == nonce:
                name = str(one.get("hash", "")).lower()
                return (name, high) if name else None
        return None

    async def _count_at(self, owner: str, block: int) -> int:
        answer = (await self._ground.rpc.request([("eth_getTransactionCount", [owner, hex(block)])]))[0]
        if isinstance(answer, RpcFault):
            # A node without old state cannot tell; the nonce then counts as used that early, and nothing is found.
            return 1 << 64
        return quantity(self._ground.venue, "eth_getTransactionCount", answer)
