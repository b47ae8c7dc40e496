"""A dry run of calls from the wallet, one after another, and the position's health behind them.

Two ways, for no node offers both everywhere. `eth_simulateV1` runs the calls in a block of their own and tells the gas
of each. Where it is missing, or does not say why a call failed, one `eth_call` runs them all: Multicall3's code is
laid over the wallet's own address (a state override), so that every contract sees the wallet as its caller.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from engine.aave import NO_DEBT
from engine.record import record
from providers.errors import Malformed
from providers.evm.aave_account import tokens
from providers.evm.aave_wire import parse_account_data
from providers.evm.abi import MULTICALL3, AbiError, address, words
from providers.evm.rescue.calls import (
    APPROVE,
    REPAY,
    SUPPLY,
    SUPPLY_WITH_PERMIT,
    call,
    encode_aggregate3_value,
    taken_apart,
)
from providers.evm.rescue.ground import Ground
from providers.evm.rescue.reasons import revert_reason
from providers.evm.rpc import RpcFault, hex_bytes, quantity

MOST_GAS = 3_000_000
UNEXPLAINED = revert_reason(b"")
METHOD_MISSING = -32601
PENDING_FIRST = ("pending", "latest")
LAST_BLOCK = ("latest",)


@record
class DryCall:
    """One call of the wallet."""

    to: str
    data: bytes
    value_wei: int = 0


@record
class DryRun:
    """What a dry run said: gas of each call (`None` where the node does not tell), health behind them all.

    `failed` is the index of the first call that reverted and `reason` why; health is then `None`. `has_debt` false
    means that nothing is owed afterwards, so that there is no health factor.
    """

    gas: tuple[int, ...] | None
    health_factor: Decimal | None
    failed: int | None = None
    reason: str = ""
    has_debt: bool = True


def dry_calls(payload: Mapping[str, object]) -> tuple[DryCall, ...]:
    """Return the calls that stand for one step. An unsigned permit cannot run; approving and supplying do the same."""
    to, data, value = str(payload["to"]), bytes.fromhex(str(payload["data"])[2:]), int(str(payload["value"]), 16)
    parts = taken_apart(data)
    if parts is None or parts[0] != SUPPLY_WITH_PERMIT:
        return (DryCall(to, data, value),)
    asset, amount, owner = parts[1][:3]
    token = f"0x{asset:040x}"
    supply = call(SUPPLY, token, amount, owner, 0)
    return DryCall(token, call(APPROVE, to, amount)), DryCall(to, supply)


async def dry_run(
    ground: Ground, pool: str, calls: Sequence[DryCall], on: Sequence[str] = PENDING_FIRST
) -> DryRun | None:
    """Return what `calls` would do now, pending transactions included where the node knows them.

    `on` names the blocks that are tried in order: what replaces a pending transaction runs on the last block alone.
    `None` when the node can do neither kind of simulation; raises `ProviderError`.
    """
    probe = DryCall(pool, call("getUserAccountData(address)", ground.owner))
    run = await _simulated(ground, [*calls, probe], on)
    if run is None or (run.failed is not None and not run.reason):
        replayed = await _overridden(ground, [*calls, probe], on)
        if replayed is not None:
            return replayed
    if run is None:
        return None
    return DryRun(run.gas, run.health_factor, run.failed, run.reason or UNEXPLAINED, run.has_debt)


async def explained(ground: Ground, calls: Sequence[DryCall], run: DryRun) -> str:
    """Return why `run` failed; where the contract gave no reason (WETH9 gives none), what an empty wallet explains."""
    if run.failed is None or run.reason != UNEXPLAINED or run.failed >= len(calls):
        return run.reason
    parts = taken_apart(calls[run.failed].data)
    if parts is None or parts[0] not in (SUPPLY, REPAY) or any(one.value_wei for one in calls):
        return run.reason
    answer = (await ground.reader.read([(address(parts[1][0]), call("balanceOf(address)", ground.wallet))])).answers[0]
    if answer is None or words(answer, 1)[0] >= parts[1][1]:
        return run.reason
    return "insufficient balance: the wallet holds less than that"


async def _simulated(ground: Ground, calls: Sequence[DryCall], on: Sequence[str]) -> DryRun | None:
    """Return what `eth_simulateV1` says (github.com/ethereum/execution-apis), `None` where it is not offered."""
    sent = [
        {
            "from": ground.wallet,
            "to": one.to,
            "data": "0x" + one.data.hex(),
            "value": hex(one.value_wei),
            "gas": hex(MOST_GAS),
        }
        for one in calls
    ]
    body = {"blockStateCalls": [{"calls": sent}], "validation": False}
    for tag in on:
        answer = (await ground.rpc.request([("eth_simulateV1", [body, tag])]))[0]
        if not isinstance(answer, RpcFault):
            break
        if answer.code == METHOD_MISSING:
            return None
    else:
        return None
    block = answer[0] if isinstance(answer, list) and len(answer) == 1 else None
    results = block.get("calls") if isinstance(block, dict) else None
    if not isinstance(results, list) or len(results) != len(calls):
        raise Malformed(ground.venue, "eth_simulateV1: not one result per call")
    gas = []
    for index, result in enumerate(results):
        if not isinstance(result, dict):
            raise Malformed(ground.venue, "eth_simulateV1: a result that is no object")
        gas.append(quantity(ground.venue, "gasUsed", result.get("gasUsed")))
        if result.get("status") != "0x1":
            data = _revert_data(ground.venue, result)
            return DryRun(tuple(gas), None, index, revert_reason(data) if data else "")
    health, has_debt = _health(ground, hex_bytes(ground.venue, "eth_simulateV1", results[-1].get("returnData")))
    return DryRun(tuple(gas[:-1]), health, has_debt=has_debt)


async def _overridden(ground: Ground, calls: Sequence[DryCall], on: Sequence[str]) -> DryRun | None:
    """Return what one `eth_call` under the wallet's address says, `None` where overrides are not offered."""
    code = (await ground.rpc.request([("eth_getCode", [MULTICALL3, "latest"])]))[0]
    if isinstance(code, RpcFault) or code == "0x":
        return None
    data = encode_aggregate3_value([(one.to, one.data, one.value_wei) for one in calls])
    value = sum(one.value_wei for one in calls)
    request = {"from": ground.wallet, "to": ground.wallet, "data": "0x" + data.hex(), "value": hex(value)}
    override = {ground.wallet: {"code": code}}
    for tag in on:
        answer = (await ground.rpc.request([("eth_call", [request, tag, override])]))[0]
        if not isinstance(answer, RpcFault):
            break
    else:
        return None
    try:
        results = _outcomes(hex_bytes(ground.venue, "eth_call", answer), len(calls))
    except AbiError as error:
        raise Malformed(ground.venue, f"the simulation answered {error}") from error
    for index, (succeeded, output) in enumerate(results):
        if not succeeded:
            return DryRun(None, None, index, revert_reason(output))
    health, has_debt = _health(ground, results[-1][1])
    return DryRun(None, health, has_debt=has_debt)


def _outcomes(data: bytes, count: int) -> list[tuple[bool, bytes]]:
    """Return success and output of each call of an `aggregate3Value`, revert data included; raises `AbiError`."""
    start = words(data, 1)[0]
    if words(data[start:], 1)[0] != count:
        raise AbiError(f"not {count} answers")
    base = start + 32
    found = []
    for index in range(count):
        at = base + words(data[base + 32 * index :], 1)[0]
        succeeded, offset = words(data[at:], 2)
        length = words(data[at + offset :], 1)[0]
        begin = at + offset + 32
        if length > len(data) - begin:
            raise AbiError("a length beyond the data")
        found.append((succeeded == 1, data[begin : begin + length]))
    return found


def _revert_data(venue: str, result: Mapping[str, object]) -> bytes:
    error = result.get("error")
    told = error.get("data") if isinstance(error, dict) else None
    for data in (result.get("returnData"), told):
        if isinstance(data, str) and len(data) > 2:
            return hex_bytes(venue, "revert data", data)
    return b""


def _health(ground: Ground, data: bytes) -> tuple[Decimal | None, bool]:
    try:
        wad = parse_account_data(data).health_factor_wad
    except AbiError as error:
        raise Malformed(ground.venue, f"getUserAccountData answered {error}") from error
    return (None, False) if wad == NO_DEBT else (tokens(wad, 18), True)
