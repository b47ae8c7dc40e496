"""What a transaction costs now, and when it lands: from fee history and block times.

EIP-1559: a base fee may rise by one eighth per block, so a fee that must survive n full blocks is base x (9/8)^n
(eips.ethereum.org/EIPS/eip-1559). The tip is what recent blocks paid at their 75th percentile.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from engine.record import record
from providers.errors import Malformed
from providers.evm.rpc import Request, Rpc, RpcFault, quantity

HISTORY_BLOCKS = 20
PERCENTILE = 75
SURVIVED_BLOCKS = 8
LEAST_BUMP = Decimal("1.125")
FULL_BLOCK = 0.95
RECENT = 5
BLOCKS_TO_LAND = 2
DATA_FEE_ORACLE = "0x420000000000000000000000000000000000000f"
"""GasPriceOracle, where OP-stack chains (Optimism, Base) have it: they charge for a transaction's data beside its gas.

`getL1FeeUpperBound(unsigned size)` bounds it (specs.optimism.io, Fjord, predeploys; read 2026-11). An operator fee,
where an operator takes one, is not in it.
"""


@record
class Fees:
    """Fees per gas in wei. `max_fee` and `tip` are what a transaction offers, `expected` is what it likely pays.

    `tip` is `None` on a chain without EIP-1559: `max_fee` is then its gas price. `block_s` are seconds between recent
    blocks, `None` when unknown; `blocks_to_land` grows with how many recent blocks were full.
    """

    max_fee: int
    tip: int | None
    expected: int
    base_fee: int = 0
    block_s: Decimal | None = None
    blocks_to_land: int = BLOCKS_TO_LAND

    @property
    def time_to_land_s(self) -> Decimal | None:
        """Return seconds until one transaction with these fees is in a block; `None` when unknown."""
        return None if self.block_s is None else self.block_s * self.blocks_to_land

    def fields(self) -> dict[str, str]:
        """Return the fee fields of a transaction as RPC quantities."""
        if self.tip is None:
            return {"type": "0x0", "gasPrice": hex(self.max_fee)}
        return {"type": "0x2", "maxFeePerGas": hex(self.max_fee), "maxPriorityFeePerGas": hex(self.tip)}


def survived(base_fee: int, blocks: int) -> int:
    """Return the highest base fee that `blocks` full blocks can make of `base_fee`."""
    for _ in range(blocks):
        base_fee += max(base_fee // 8, 1)
    return base_fee


def bumped(fee: int, bump: Decimal = LEAST_BUMP) -> int:
    """Return `fee` x `bump` rounded up, at least what replaces a pending transaction (one eighth more)."""
    return max(int(fee * bump), -(-fee * 9 // 8)) + 1


async def present_fees(rpc: Rpc, venue: str, *, block_s: Decimal | None) -> Fees:
    """Return the fees of this moment; raises `ProviderError`. `block_s` is the chain's usual block time, if known."""
    requests: list[Request] = [
        ("eth_feeHistory", [hex(HISTORY_BLOCKS), "latest", [PERCENTILE]]),
        ("eth_gasPrice", []),
        ("eth_getBlockByNumber", ["latest", False]),
    ]
    history, price, head = await rpc.request(requests)
    base = head.get("baseFeePerGas") if isinstance(head, dict) else None
    if isinstance(history, RpcFault) or base is None or not isinstance(history, dict):
        paid = quantity(venue, "eth_gasPrice", price)
        return Fees(max_fee=survived(paid, SURVIVED_BLOCKS), tip=None, expected=paid, block_s=block_s)
    return parse_fee_history(venue, history, block_s)


def parse_fee_history(venue: str, history: Mapping[str, Any], block_s: Decimal | None) -> Fees:
    """Return the fees that an answer of `eth_feeHistory` asks for; raises `Malformed`."""
    bases = [quantity(venue, "base fee", value) for value in _list(venue, history, "baseFeePerGas")]
    if not bases:
        raise Malformed(venue, "eth_feeHistory: no base fee")
    rewards = history.get("reward")
    tips = sorted(
        quantity(venue, "reward", block[0]) for block in (rewards if isinstance(rewards, list) else []) if block
    )
    ratios = history.get("gasUsedRatio")
    recent = [
        ratio for ratio in (ratios if isinstance(ratios, list) else [])[-RECENT:] if isinstance(ratio, int | float)
    ]
    full = sum(ratio >= FULL_BLOCK for ratio in recent)
    tip = max(tips[len(tips) * 3 // 4] if tips else 0, 1)
    return Fees(
        max_fee=survived(bases[-1], SURVIVED_BLOCKS) + tip,
        tip=tip,
        expected=bases[-1] + tip,
        base_fee=bases[-1],
        block_s=block_s,
        blocks_to_land=BLOCKS_TO_LAND + full,
    )


async def observed_block_s(rpc: Rpc, venue: str, span: int = 32) -> Decimal | None:
    """Return the mean seconds between recent blocks; `None` on a chain too young to tell; raises `ProviderError`."""
    head = (await rpc.request([("eth_getBlockByNumber", ["latest", False])]))[0]
    number, stamp = _place(venue, head)
    if number < span:
        return None
    past = (await rpc.request([("eth_getBlockByNumber", [hex(number - span), False])]))[0]
    return Decimal(stamp - _place(venue, past)[1]) / span


def _place(venue: str, block: object) -> tuple[int, int]:
    if not isinstance(block, dict):
        raise Malformed(venue, "eth_getBlockByNumber: not a block")
    return quantity(venue, "block", block.get("number")), quantity(venue, "timestamp", block.get("timestamp"))


def _list(venue: str, history: Mapping[str, Any], key: str) -> Sequence[object]:
    found = history.get(key)
    if not isinstance(found, list):
        raise Malformed(venue, f"eth_feeHistory: no {key}")
    return found
