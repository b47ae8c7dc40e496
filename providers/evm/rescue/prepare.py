"""One option of a plan as exact transactions, in order: wrap, approve, supply or repay, enable as collateral.

Every payload is an RPC transaction object (hex quantities), so an export can be sent by any wallet. Nothing is
approved beyond what the rescue takes; anyone may supply or repay for the owner (`onBehalfOf`).
"""

from collections.abc import Sequence
from decimal import Decimal

from engine.record import record
from engine.rescue import Means, Option
from providers.errors import Malformed, Refused
from providers.evm.aave_account import tokens
from providers.evm.aave_market import Listed
from providers.evm.aave_wire import parse_price
from providers.evm.abi import AbiError, uint
from providers.evm.rescue.calls import (
    APPROVE,
    DEPOSIT,
    MAX_UINT256,
    REPAY,
    SUPPLY,
    SUPPLY_WITH_PERMIT,
    USE_AS_COLLATERAL,
    VARIABLE_RATE,
    call,
)
from providers.evm.rescue.fees import Fees
from providers.evm.rescue.ground import Ground
from providers.evm.rescue.permit import nonce_call, parse_nonce, typed_data
from providers.evm.rescue.signing import unsigned_size
from providers.evm.rescue.simulate import DryRun, dry_calls, dry_run
from providers.evm.rpc import RpcFault, quantity
from providers.rescue_ports import Step

PERMIT_LASTS_S = 3_600
FEE_TOLERANCE = Decimal(3)
GAS_MARGIN_PERCENT = 50
GAS_EXTRA = 20_000
PERMIT_GAS = 60_000
GAS_WITHOUT_SIMULATION = {
    APPROVE: 80_000,
    DEPOSIT: 60_000,
    SUPPLY: 450_000,
    SUPPLY_WITH_PERMIT: 550_000,
    REPAY: 450_000,
    USE_AS_COLLATERAL: 400_000,
}
DEBT_HEADROOM = 1_000
"""A thousandth more than is owed now is approved for a full close: interest of half a day at 70 % a year."""


@record
class Draft:
    """A call before it has nonce, gas and fees. `permit` is the typed data that must be signed with it."""

    title: str
    to: str
    signature: str
    data: bytes
    value_wei: int = 0
    permit: dict[str, object] | None = None


@record
class Holdings:
    """What the paying wallet has of a token at this moment, in smallest units; `debt` is what the owner owes of it."""

    balance: int
    allowance: int
    debt: int
    timestamp_s: int
    permit_nonce: int | None


async def prepare(ground: Ground, option: Option) -> list[Step]:
    """Return the exact steps of `option` with present fees and nonces.

    Raises `Refused` when it cannot be done, or when fees are three times those of the plan; other `ProviderError`s.
    """
    contracts = await ground.contracts()
    listed = await ground.listed(option.asset)
    held = await holdings(ground, contracts.pool, listed)
    drafts = await _drafts(ground, contracts.pool, listed, option, held)
    fees = await ground.fees()
    run = await _gas(ground, contracts.pool, drafts)
    limits = gas_limits(drafts, run)
    nonce = quantity(
        ground.venue,
        "eth_getTransactionCount",
        (await ground.rpc.request([("eth_getTransactionCount", [ground.wallet, "pending"])]))[0],
    )
    steps = [
        _step(ground, draft, nonce + index, gas, fees)
        for index, (draft, gas) in enumerate(zip(drafts, limits, strict=True))
    ]
    likely = _likely_gas(limits) * fees.expected + (await data_fee_of(ground, steps) or 0)
    await _refuse_dear(ground, contracts.oracle, contracts.base_unit, option, likely)
    return steps


async def data_fee_of(ground: Ground, steps: Sequence[Step]) -> int | None:
    """Return at most what the data of these transactions costs besides gas, in wei; see `Ground.data_fee`."""
    return await ground.data_fee([unsigned_size(step.payload) for step in steps])


async def holdings(ground: Ground, pool: str, listed: Listed) -> Holdings:
    """Return balance, allowance and debt of one token from one block; raises `ProviderError`."""
    got = await ground.reader.read(
        [
            (listed.token, call("balanceOf(address)", ground.wallet)),
            (listed.token, call("allowance(address,address)", ground.wallet, pool)),
            (listed.wire.variable_debt_token, call("balanceOf(address)", ground.owner)),
            nonce_call(listed.token, ground.wallet),
        ]
    )
    balance, allowance, debt, nonce = got.answers
    if balance is None or allowance is None or debt is None:
        raise Malformed(ground.venue, f"{listed.asset} does not tell balance, allowance or debt")
    try:
        return Holdings(uint(balance), uint(allowance), uint(debt), got.timestamp_s, parse_nonce(nonce))
    except AbiError as error:
        raise Malformed(ground.venue, f"{listed.asset} answered {error}") from error


async def _drafts(ground: Ground, pool: str, listed: Listed, option: Option, held: Holdings) -> list[Draft]:
    if option.means not in (Means.SUPPLY, Means.REPAY):
        raise Refused(ground.venue, f"{option.means} is not sent from here")
    amount = option.amount_units
    if amount is None or amount <= 0:
        raise Refused(ground.venue, "the plan names no amount")
    is_native = option.funds is not None and option.funds.is_native
    drafts = []
    if is_native:
        if listed.token != ground.wrapped:
            raise Refused(ground.venue, f"{listed.asset} does not wrap the chain's coin")
        title = f"wrap {_shown(amount, listed)} {ground.native}"
        drafts.append(Draft(title, listed.token, DEPOSIT, call(DEPOSIT), value_wei=amount))
    needed, sent = amount, amount
    if option.means is Means.REPAY and option.is_full_close:
        if held.debt > amount:
            # Who may borrow behind a plan must not decide how much of the wallet it takes.
            owed, planned = _shown(held.debt, listed), _shown(amount, listed)
            raise Refused(ground.venue, f"more is owed than the plan repays: {owed} {listed.asset}, planned {planned}")
        needed = max(amount, held.debt + held.debt // DEBT_HEADROOM + 1)
        sent = MAX_UINT256 if ground.is_owner else needed
    permit = None
    if held.allowance < needed:
        if option.means is Means.SUPPLY and not is_native:
            permit = _permit(ground, pool, listed, needed, held)
        if permit is None:
            drafts += await _approvals(ground, pool, listed, needed, held.allowance)
    drafts.append(_action(ground, pool, listed, option, sent, permit, held))
    needs_enabling = option.facility is not None and option.facility.needs_enabling
    if option.means is Means.SUPPLY and needs_enabling:
        if not ground.is_owner:
            raise Refused(ground.venue, f"only the account's owner can enable {listed.asset} as collateral")
        data = call(USE_AS_COLLATERAL, listed.token, 1)
        drafts.append(Draft(f"use {listed.asset} as collateral", pool, USE_AS_COLLATERAL, data))
    return drafts


def _permit(ground: Ground, pool: str, listed: Listed, amount: int, held: Holdings) -> dict[str, object] | None:
    domain = ground.permit_domain(listed.token)
    # Without a signer of ours the steps are for export, and a Safe or a hardware wallet sends plain transactions.
    if domain is None or held.permit_nonce is None or not ground.can_sign:
        return None
    return typed_data(
        domain,
        owner=ground.wallet,
        spender=pool,
        value=amount,
        nonce=held.permit_nonce,
        deadline=held.timestamp_s + PERMIT_LASTS_S,
    )


async def _approvals(ground: Ground, pool: str, listed: Listed, amount: int, allowance: int) -> list[Draft]:
    """Return one approval, or two where the token only goes from one allowance to another by way of 0 (USDT)."""
    approve = call(APPROVE, pool, amount)
    title = f"approve {_shown(amount, listed)} {listed.asset} for the pool"
    drafts = [Draft(title, listed.token, APPROVE, approve)]
    if allowance:
        asked = {"from": ground.wallet, "to": listed.token, "data": "0x" + approve.hex()}
        if isinstance((await ground.rpc.request([("eth_call", [asked, "latest"])]))[0], RpcFault):
            data = call(APPROVE, pool, 0)
            drafts.insert(0, Draft(f"reset the old approval of {listed.asset}", listed.token, APPROVE, data))
    return drafts


def _action(
    ground: Ground,
    pool: str,
    listed: Listed,
    option: Option,
    amount: int,
    permit: dict[str, object] | None,
    held: Holdings,
) -> Draft:
    behalf = "" if ground.is_owner else " for the account's owner"
    if option.means is Means.REPAY:
        shown = "everything owed in" if option.is_full_close else _shown(amount, listed)
        data = call(REPAY, listed.token, amount, VARIABLE_RATE, ground.owner)
        return Draft(f"repay {shown} {listed.asset}{behalf}", pool, REPAY, data)
    title = f"supply {_shown(amount, listed)} {listed.asset}{behalf}"
    if permit is None:
        data = call(SUPPLY, listed.token, amount, ground.owner, 0)
        return Draft(title, pool, SUPPLY, data)
    deadline = held.timestamp_s + PERMIT_LASTS_S
    data = call(SUPPLY_WITH_PERMIT, listed.token, amount, ground.owner, 0, deadline, 0, 0, 0)
    return Draft(f"{title}, by permit", pool, SUPPLY_WITH_PERMIT, data, permit=permit)


async def _gas(ground: Ground, pool: str, drafts: Sequence[Draft]) -> DryRun | None:
    calls = [one for draft in drafts for one in dry_calls(_bare(draft))]
    return await dry_run(ground, pool, calls)


def gas_limits(drafts: Sequence[Draft], run: DryRun | None) -> list[int]:
    """Return a gas limit per draft: half more than simulated, or a known ceiling where the node did not tell.

    Gas used is told after refunds, which are at most a fifth of it (EIP-3529); the margin covers that and drift.
    """
    left = iter(run.gas if run is not None and run.gas is not None and run.failed is None else ())
    limits = []
    for draft in drafts:
        used = [next(left, None) for _ in dry_calls(_bare(draft))]
        ceiling = GAS_WITHOUT_SIMULATION[draft.signature]
        known = [gas for gas in used if gas is not None]
        if len(known) != len(used):
            limits.append(ceiling)
            continue
        permit = PERMIT_GAS if draft.permit is not None else 0
        limits.append(sum(known) * (100 + GAS_MARGIN_PERCENT) // 100 + GAS_EXTRA + permit)
    return limits


async def _refuse_dear(ground: Ground, oracle: str, base_unit: int, option: Option, wei: int) -> None:
    """Refuse when the steps cost more than three times what the plan said; nothing when either is unknown."""
    if option.cost_usd is None:
        return
    cost = await native_usd(ground, oracle, base_unit, wei)
    if cost is not None and cost > FEE_TOLERANCE * option.cost_usd:
        raise Refused(ground.venue, f"fees rose: about {cost:.2f} USD now, {option.cost_usd:.2f} in the plan")


async def native_usd(ground: Ground, oracle: str, base_unit: int, wei: int) -> Decimal | None:
    """Return what an amount of the chain's coin is worth by the market's oracle, `None` when it has no price there."""
    if not ground.wrapped:
        return None
    answer = (await ground.reader.read([(oracle, call("getAssetPrice(address)", ground.wrapped))])).answers[0]
    return None if answer is None else tokens(wei, 18) * parse_price(answer) / base_unit


def _likely_gas(limits: Sequence[int]) -> int:
    return sum(limits) * 100 // (100 + GAS_MARGIN_PERCENT)


def _bare(draft: Draft) -> dict[str, object]:
    return {"to": draft.to, "data": "0x" + draft.data.hex(), "value": hex(draft.value_wei)}


def _step(ground: Ground, draft: Draft, nonce: int, gas: int, fees: Fees) -> Step:
    chain_id = ground.chain.chain_id
    payload: dict[str, object] = {
        "from": ground.wallet,
        **_bare(draft),
        "chainId": hex(chain_id),
        "nonce": hex(nonce),
        "gas": hex(gas),
        **fees.fields(),
    }
    if draft.permit is not None:
        payload["permit"] = draft.permit
    return Step(draft.title, payload, contract=draft.to, chain_id=chain_id)


def _shown(amount: int, listed: Listed) -> str:
    return f"{tokens(amount, listed.wire.decimals).normalize():f}"
