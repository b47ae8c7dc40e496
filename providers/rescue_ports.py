"""What the desk asks of the outside world when money is to move; apart from `ports.py`: watching needs none of it."""

from collections.abc import Mapping, Sequence
from dataclasses import field
from decimal import Decimal
from enum import StrEnum
from typing import Protocol

from engine.accounts import Account
from engine.record import record
from engine.rescue import Option, Standing
from providers.credentials import Credentials


@record
class Step:
    """One thing to be signed and sent. `payload` is plain JSON data: what an export writes, and what the signer signs.

    `contract` is the address that is called (for the allow-list), `chain_id` the chain it must be on; both `None` for
    a venue without chain. `value_usd` is what leaves the wallet for good or into the account.
    """

    title: str
    payload: Mapping[str, object]
    contract: str | None = None
    chain_id: int | None = None


@record
class Simulation:
    """What a dry run of every step said: the health it would give, or why it fails. `None` health = not simulated.

    Where nothing would be owed any more, health is infinite (`Decimal("Infinity")`).
    """

    health_factor: Decimal | None
    refused: str = ""
    gas_used: int | None = None


@record
class Signed:
    """A signed step: `reference` is how it will be found again (transaction hash, nonce); `raw` is what is sent."""

    reference: str
    raw: str = field(repr=False)
    nonce: int | None = None
    owner: str = ""


class Fate(StrEnum):
    """What became of something that was sent, as chain or venue tells it now."""

    PENDING = "pending"
    CONFIRMED = "confirmed"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


@record
class Found:
    """The fate of one reference, and one line of evidence (block, revert reason, the venue's words)."""

    fate: Fate
    evidence: str = ""


class Signer(Protocol):
    """Signs for one address while it is unlocked; the key never leaves it."""

    @property
    def address(self) -> str:
        """Return the address that it signs for."""

    def sign_digest(self, digest: bytes) -> tuple[int, int, int]:
        """Return (v, r, s) of a 32-byte digest, v 27 or 28; raises `Unauthorised` when locked."""


class SignerBox(Signer, Protocol):
    """A signer that is locked until its owner arms; `address` is known while it is locked."""

    @property
    def name(self) -> str:
        """Return what the owner calls it ("rescue"); several accounts may share one."""

    @property
    def needs_password(self) -> bool:
        """Return whether unlocking asks for a password; a reference to a key needs none."""

    async def unlock(self, password: str | None) -> None:
        """Make it sign; slow work runs off the loop. Raises `Unauthorised` (wrong password) or `ConfigError`."""

    def lock(self) -> None:
        """Forget the key at once; nothing happens when it is locked already."""


class KeySigner(Signer, Protocol):
    """An API key of a venue as a signer: it gives its credentials only while armed."""

    def credentials(self) -> Credentials:
        """Return what requests are signed with; raises `Unauthorised` when locked."""


class WalletSource(Protocol):
    """Reads what a rescuer could use for an account."""

    async def standing(self, account: Account) -> Standing:
        """Return funds, facilities, fees and problems at this moment; raises `ProviderError`."""


class CollateralWriter(Protocol):
    """Turns one option into signed messages. Never decides and never retries: the desk's executor does."""

    async def prepare(self, account: Account, option: Option) -> Sequence[Step]:
        """Return the exact steps of `option` with present fees and nonces; raises `ProviderError`."""

    async def verify(self, account: Account, steps: Sequence[Step]) -> str:
        """Return "" when chain id, contract code and allow-list hold for every step, else the reason to refuse."""

    async def simulate(self, account: Account, steps: Sequence[Step]) -> Simulation:
        """Return what all steps together would do now, without signing anything."""

    def sign(self, step: Step, signer: Signer) -> Signed:
        """Return the signed step; no I/O."""

    async def send(self, signed: Signed) -> None:
        """Hand it over; raises `Refused` when it was certainly not taken, `Unreachable` when nobody knows."""

    async def find(self, signed_reference: str, nonce: int | None, owner: str) -> Found:
        """Return what became of it, by reading only."""


class FeeRaiser(Protocol):
    """What a writer can do besides, where something that was sent and waits can be overtaken by itself at higher fees.

    Both carry one nonce, so that at most one of them ever happens.
    """

    async def speed_up(self, step: Step) -> Step:
        """Return the same step with the same nonce at fees that replace it and are right for now; `ProviderError`."""

    async def fee_usd(self, step: Step) -> Decimal | None:
        """Return what the step's own fees cost at most, `None` when no price tells; raises `ProviderError`."""

    async def why_not_replaced(self, step: Step) -> str:
        """Return "" when `step` may be sent in place of what waits under its nonce, else the reason to refuse.

        Checked as by `verify` and by a dry run on the last block, where what waits has not happened; signs nothing.
        """
