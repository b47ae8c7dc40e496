"""`AaveRescue`: one configured Aave v3 or Spark account as something that can be rescued.

Satisfies `WalletSource` and `CollateralWriter`. It never decides and never retries: the desk's executor does.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal

from engine.accounts import Account
from engine.rescue import Option, Standing
from providers.errors import Refused
from providers.evm.aave_account import tokens
from providers.evm.abi import AbiError, address, words
from providers.evm.rescue import prepare, signing, wallet
from providers.evm.rescue.calls import call, objection
from providers.evm.rescue.fees import LEAST_BUMP, Fees, bumped
from providers.evm.rescue.finding import Finder
from providers.evm.rescue.ground import Ground
from providers.evm.rescue.send import NonceUsed, Submission
from providers.evm.rescue.simulate import LAST_BLOCK, PENDING_FIRST, dry_calls, dry_run, explained
from providers.evm.rpc import Request, quantity
from providers.ports import AccountOptions
from providers.rescue_ports import Fate, Found, Signed, Signer, Simulation, Step

PERMIT_LEFT_S = 300
"""What a permit must still last to be sent again."""


def make(options: AccountOptions, wallet_address: str | None = None) -> "AaveRescue":
    """Return the rescue of one configured account, paid and signed by `wallet_address`; `None` is read-only.

    Raises `ConfigError` naming the setting that cannot be used.
    """
    return AaveRescue(options, wallet_address)


class AaveRescue:
    """Reads, prepares, simulates, signs, sends and finds rescues of one account; `clock_ns` is UTC."""

    def __init__(
        self, options: AccountOptions, wallet_address: str | None, *, clock_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._ground = Ground(options, wallet_address)
        self._submission = Submission(options, self._ground.venue)
        self._finder = Finder(self._ground, options.confirmations)
        self._clock_ns = clock_ns

    async def standing(self, account: Account) -> Standing:
        """Return funds, facilities, fees and problems of one block; raises `ProviderError`."""
        return await wallet.standing(self._ground, account.name, self._clock_ns())

    async def prepare(self, account: Account, option: Option) -> Sequence[Step]:
        """Return the exact steps of `option` with present fees and nonces.

        Raises `Refused` when it cannot be done or costs thrice what the plan said; other `ProviderError`s.
        """
        return await prepare.prepare(self._ground, option)

    async def verify(self, account: Account, steps: Sequence[Step]) -> str:
        """Return "" when every step is what a rescue of this account may send now, else the reason to refuse.

        Checked: chain id of the nodes and of each step, the pool against the addresses provider at this moment, code
        at every contract, what each call would do and for whom, sender, nonces, fees and gas. Raises `ProviderError`.
        """
        return await self._verified(steps, "pending", _nonce_objection)

    async def why_not_replaced(self, step: Step) -> str:
        """Return "" when `step` may be sent in place of what waits under its nonce, else the reason to refuse.

        The same is checked as by `verify`, but that its nonce is the next to be mined; then it is run on the last
        block, where what it replaces has not happened. Raises `ProviderError`.
        """
        reason = await self._verified((step,), "latest", _turn_objection)
        if reason:
            return reason
        permit = step.payload.get("permit")
        if isinstance(permit, Mapping):
            head = (await self._ground.rpc.request([("eth_getBlockByNumber", ["latest", False])]))[0]
            stamp = head.get("timestamp") if isinstance(head, dict) else None
            if int(permit["message"]["deadline"]) < quantity(self._ground.venue, "timestamp", stamp) + PERMIT_LEFT_S:
                return f"{step.title}: its permit ends too soon to send it again"
        return (await self._ran((step,), LAST_BLOCK)).refused

    async def fee_usd(self, step: Step) -> Decimal | None:
        """Return what the step's gas and data cost at most, in the market's currency; `None` where no price tells."""
        contracts = await self._ground.contracts()
        data_fee = await prepare.data_fee_of(self._ground, (step,))
        if data_fee is None:
            return None
        wei = int(str(step.payload["gas"]), 16) * _offered(step) + data_fee
        return await prepare.native_usd(self._ground, contracts.oracle, contracts.base_unit, wei)

    async def _verified(
        self, steps: Sequence[Step], counted: str, nonce_objection: Callable[[Sequence[Step], int], str]
    ) -> str:
        ground = self._ground
        contracts = await ground.contracts()
        # One answer per line; the chain id is asked although every node was checked when it was first used.
        targets = sorted({contracts.pool, *(str(step.contract).lower() for step in steps)})
        requests: list[Request] = [
            ("eth_chainId", []),
            ("eth_call", [{"to": ground.provider, "data": "0x" + call("getPool()").hex()}, "latest"]),
            ("eth_getTransactionCount", [ground.wallet, counted]),
            ("eth_getBalance", [ground.wallet, "latest"]),
            *(("eth_getCode", [target, "latest"]) for target in targets),
        ]
        chain, pool, nonce, balance, *codes = await ground.rpc.request(requests)
        if quantity(ground.venue, "eth_chainId", chain) != ground.chain.chain_id:
            return f"the node is not on chain {ground.chain.chain_id}"
        try:
            told = address(words(bytes.fromhex(str(pool)[2:]), 1)[0])
        except (AbiError, ValueError):
            return "the addresses provider does not name a pool"
        if told != contracts.pool:
            return f"the market's pool is now {told}, not {contracts.pool}"
        for target, code in zip(targets, codes, strict=True):
            if not isinstance(code, str) or len(code) <= 2:
                return f"there is no contract at {target}"
        tokens_listed = [listed.token for listed in contracts.reserves.values()]
        for step in steps:
            reason = self._objection(step, contracts.pool, tokens_listed)
            if reason:
                return f"{step.title}: {reason}"
        reason = nonce_objection(steps, quantity(ground.venue, "eth_getTransactionCount", nonce))
        if reason:
            return reason
        data_fee = await prepare.data_fee_of(ground, steps) or 0
        has = quantity(ground.venue, "eth_getBalance", balance)
        return _gas_objection(steps, await ground.fees(), data_fee, has, ground.native)

    async def simulate(self, account: Account, steps: Sequence[Step]) -> Simulation:
        """Return what all steps together would do now, without a signature.

        `refused` names the step that would fail and why. With nothing owed afterwards health is infinite.
        """
        return await self._ran(steps, PENDING_FIRST)

    async def _ran(self, steps: Sequence[Step], on: Sequence[str]) -> Simulation:
        contracts = await self._ground.contracts()
        parts = [dry_calls(step.payload) for step in steps]
        calls = [one for part in parts for one in part]
        run = await dry_run(self._ground, contracts.pool, calls, on)
        if run is None:
            return Simulation(None, "the node can simulate neither by eth_simulateV1 nor by state overrides")
        if run.failed is not None:
            owners = [step.title for step, part in zip(steps, parts, strict=True) for _ in part]
            title = owners[run.failed] if run.failed < len(owners) else "reading the account"
            return Simulation(None, f"{title}: {await explained(self._ground, calls, run)}")
        health = run.health_factor if run.has_debt else Decimal("Infinity")
        return Simulation(health, gas_used=None if run.gas is None else sum(run.gas))

    def sign(self, step: Step, signer: Signer) -> Signed:
        """Return the signed step; no I/O. Raises `Refused` for another signer than the step's sender."""
        return signing.sign(step, signer)

    async def send(self, signed: Signed) -> None:
        """Hand it over; raises `Refused` when it was certainly not taken, `Unreachable` when nobody knows."""
        try:
            await self._submission.hand_over(signed)
        except NonceUsed as error:
            found = await self.find(signed.reference, signed.nonce, signed.owner)
            if found.fate is Fate.REJECTED and not found.evidence.startswith("reverted"):
                raise Refused(error.venue, found.evidence) from error

    async def find(self, signed_reference: str, nonce: int | None, owner: str) -> Found:
        """Return what became of it, by reading only; raises `ProviderError`."""
        return await self._finder.find(signed_reference, nonce, owner)

    async def speed_up(self, step: Step) -> Step:
        """Return the same step with the same nonce at fees that replace it and that are right for now."""
        return replacement(step, LEAST_BUMP, await self._ground.fees())

    async def aclose(self) -> None:
        """Close every connection; the next request opens new ones."""
        await self._ground.aclose()
        await self._submission.aclose()

    def _objection(self, step: Step, pool: str, tokens_listed: Sequence[str]) -> str:
        ground, payload = self._ground, step.payload
        to = str(payload["to"]).lower()
        if step.chain_id != ground.chain.chain_id or int(str(payload["chainId"]), 16) != ground.chain.chain_id:
            return f"it is for another chain than {ground.chain.chain_id}"
        if str(step.contract).lower() != to:
            return "it names one contract and calls another"
        if str(payload["from"]).lower() != ground.wallet:
            return f"it is to be sent by {payload['from']}, not by {ground.wallet}"
        return objection(
            to,
            bytes.fromhex(str(payload["data"])[2:]),
            int(str(payload["value"]), 16),
            pool=pool,
            owner=ground.owner,
            wrapped=ground.wrapped,
            tokens=tokens_listed,
        )


def replacement(step: Step, fee_bump: Decimal = LEAST_BUMP, present: Fees | None = None) -> Step:
    """Return `step` with its nonce and fees raised by `fee_bump` (at least one eighth), or to `present` if higher."""
    raised = dict(step.payload)
    floor = {} if present is None else present.fields()
    for key in ("gasPrice", "maxFeePerGas", "maxPriorityFeePerGas"):
        if key in raised:
            wanted = int(floor[key], 16) if key in floor else 0
            raised[key] = hex(max(bumped(int(str(raised[key]), 16), fee_bump), wanted))
    return replace(step, payload=raised)


def _nonce_objection(steps: Sequence[Step], pending: int) -> str:
    for index, step in enumerate(steps):
        nonce = int(str(step.payload["nonce"]), 16)
        if nonce != pending + index:
            return f"{step.title}: nonce {nonce} is not the next one ({pending + index}); the wallet was used elsewhere"
    return ""


def _turn_objection(steps: Sequence[Step], mined: int) -> str:
    for step in steps:
        nonce = int(str(step.payload["nonce"]), 16)
        if nonce < mined:
            return f"{step.title}: nonce {nonce} is used: it has landed, or something else has; reconcile"
        if nonce > mined:
            return f"{step.title}: it waits behind transaction {mined} of the wallet, which must land first"
    return ""


def _offered(step: Step) -> int:
    return int(str(step.payload.get("maxFeePerGas", step.payload.get("gasPrice"))), 16)


def _gas_objection(steps: Sequence[Step], fees: Fees, data_fee_wei: int, balance_wei: int, native: str) -> str:
    needed = data_fee_wei
    for step in steps:
        payload = step.payload
        offered = _offered(step)
        if offered < fees.base_fee:
            return f"fees rose beyond what {step.title} offers: {offered} wei per gas, the block asks {fees.base_fee}"
        needed += int(str(payload["gas"]), 16) * offered + int(str(payload["value"]), 16)
    if needed > balance_wei:
        return f"insufficient {native} for gas: needs up to {tokens(needed, 18)}, has {tokens(balance_wei, 18)}"
    return ""
