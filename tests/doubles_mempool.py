"""A chain in memory whose transactions wait until a test mines them, and can be replaced at higher fees."""

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from engine.accounts import Account
from engine.rescue import Option
from providers.errors import Refused
from providers.rescue_ports import Fate, Found, Signed, Signer, Step
from tests.doubles_rescue import Chain

FIRST_FEE = 16


class Mempool(Chain):
    """Every reference names its nonce and fee: `tx-NONCE-FEE`. Of one nonce one transaction is mined at most.

    `objection` is what speaks against a replacement, `price` what one unit of fee is in USD (`None`: unknown).
    `mines_at_once` holds titles that never wait.
    """

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.waiting: dict[int, Signed] = {}
        self.mined: dict[int, str] = {}
        self.objection = ""
        self.price: Decimal | None = Decimal(1)
        self.mines_at_once: set[str] = set()
        self.reverts = False

    async def prepare(self, account: Account, option: Option) -> Sequence[Step]:
        steps = await super().prepare(account, option)
        return [replace(step, payload={**step.payload, "fee": FIRST_FEE}) for step in steps]

    def sign(self, step: Step, signer: Signer) -> Signed:
        signed = super().sign(step, signer)
        return replace(signed, reference=f"tx-{signed.nonce}-{step.payload['fee']}")

    async def send(self, signed: Signed) -> None:
        await self._at("send")
        assert signed.nonce is not None
        if signed.nonce in self.mined:
            raise Refused("chain", f"nonce {signed.nonce} was used by {self.mined[signed.nonce]}")
        held = self.waiting.get(signed.nonce)
        if held is not None and _fee(signed.reference) * 8 < _fee(held.reference) * 9:
            raise Refused("chain", "not taken: replacement transaction underpriced")
        self.sent.append(signed.reference)
        self.waiting[signed.nonce] = signed
        if signed.raw.split(":")[0] in self.mines_at_once:
            self.mine(signed.reference)

    def mine(self, reference: str) -> None:
        """Let one transaction land: whatever else has its nonce never will."""
        nonce = int(reference.split("-")[1])
        assert nonce not in self.mined
        signed = self.waiting.pop(nonce)
        self.mined[nonce] = reference
        do, name, amount, *_ = signed.raw.split(":")
        if do == "supply" and not self.reverts:
            account = self.accounts[name]
            (leg,) = account.collateral
            self.accounts[name] = replace(account, collateral=(replace(leg, amount=leg.amount + Decimal(amount)),))
        self.block += 1
        self.nonce += 1

    async def find(self, signed_reference: str, nonce: int | None, owner: str) -> Found:
        await self._at("find")
        assert nonce is not None
        landed = self.mined.get(nonce)
        if landed == signed_reference:
            return Found(Fate.REJECTED, "reverted") if self.reverts else Found(Fate.CONFIRMED, "block 101")
        if landed is not None:
            return Found(Fate.REJECTED, f"nonce {nonce} was used by {landed}")
        return Found(Fate.PENDING, "waits" if signed_reference in self.sent else "no node shows it yet")

    async def speed_up(self, step: Step) -> Step:
        await self._at("speed_up")
        fee = step.payload["fee"]
        assert isinstance(fee, int)
        return replace(step, payload={**step.payload, "fee": fee * 9 // 8 + 1})

    async def fee_usd(self, step: Step) -> Decimal | None:
        return None if self.price is None else self.price * Decimal(str(step.payload["fee"]))

    async def why_not_replaced(self, step: Step) -> str:
        await self._at("why_not_replaced")
        return "its nonce is used" if step.payload["nonce"] in self.mined else self.objection


def _fee(reference: str) -> int:
    return int(reference.split("-")[2])
