"""The demo's signer: it has no key, signs nothing that anybody would take, and is unlocked by arming alone."""

from providers.errors import Unauthorised

VENUE = "simulated"
SIGNER_NAME = "demo"
ADDRESS = "0x" + "51" * 20
"""An address that nobody has."""


class DemoSigner:
    """A `SignerBox` without a key: armed or not is all that it knows."""

    def __init__(self) -> None:
        self._is_locked = True

    @property
    def name(self) -> str:
        """Return what screens call it."""
        return SIGNER_NAME

    @property
    def address(self) -> str:
        """Return an address that nobody has."""
        return ADDRESS

    @property
    def needs_password(self) -> bool:
        """Return that there is none."""
        return False

    @property
    def is_locked(self) -> bool:
        """Return whether it would sign."""
        return self._is_locked

    async def unlock(self, password: str | None = None) -> None:
        """Make it sign."""
        self._is_locked = False

    def lock(self) -> None:
        """Make it refuse."""
        self._is_locked = True

    def sign_digest(self, digest: bytes) -> tuple[int, int, int]:
        """Return numbers that look like a signature; raises `Unauthorised` when locked."""
        if self._is_locked:
            raise Unauthorised(VENUE, "the demo signer is locked; arm first")
        return 27, int.from_bytes(digest, "big") or 1, 1
