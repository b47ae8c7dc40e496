"""A venue's API key as a signer: it reads all the time, and signs what moves money only while armed."""

import asyncio
from typing import Never

from providers.credentials import Credentials
from providers.errors import Unauthorised


class VenueKey:
    """The key of one configured account; a `providers.rescue_ports.KeySigner` and `SignerBox`.

    `owner` is the account's name. Locking does not forget the key, which reading needs; it stops its use for money.
    """

    __slots__ = ("_credentials", "_is_open", "_owner")

    def __init__(self, owner: str, credentials: Credentials) -> None:
        self._owner, self._credentials, self._is_open = owner, credentials, False

    @property
    def name(self) -> str:
        """Return what its owner sees: whose key it is."""
        return f"key of {self._owner}"

    @property
    def needs_password(self) -> bool:
        """Return `False`: the config refers to the key."""
        return False

    @property
    def address(self) -> str:
        """Return the end of the key, enough to tell it from another."""
        return self._credentials.hint

    async def learn_address(self) -> str:
        """Return `address`, looking the key up off the loop; raises `ConfigError`."""
        return await asyncio.to_thread(lambda: self._credentials.hint)

    async def unlock(self, password: str | None = None) -> None:
        """Allow its use for money until `lock`; raises `ConfigError` when a reference gives nothing."""
        await asyncio.to_thread(self._credentials.reveal_secret)
        self._is_open = True

    def lock(self) -> None:
        """Stop its use for money at once."""
        self._is_open = False

    def credentials(self) -> Credentials:
        """Return what requests are signed with; raises `Unauthorised` when locked."""
        if not self._is_open:
            raise Unauthorised("signer", f"{self.name} is locked; arm first")
        return self._credentials

    def sign_digest(self, digest: bytes) -> Never:
        """Raise `Unauthorised`: an API key signs requests, never a chain's digests."""
        raise Unauthorised("signer", f"{self.name} signs requests of its venue only")

    def __repr__(self) -> str:
        return f"<VenueKey of {self._owner} {'unlocked' if self._is_open else 'locked'}>"

    def __reduce__(self) -> Never:
        raise TypeError("a signer is not copied or stored")
