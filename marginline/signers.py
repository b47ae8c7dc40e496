"""Signers: who signs a rescue, from an encrypted key file or from a reference; the key is held only while armed.

`keystore:NAME` is an encrypted file (`marginline.keystore`) and needs its password. `env:`, `cmd:`, `file:` and
`keyring:` references give a 0x-prefixed hex key. Nothing here puts a key or a password into an error, a log or a repr.
"""

import asyncio
import getpass
from collections.abc import Callable
from pathlib import Path
from typing import Never

from marginline import keystore
from marginline.keystore import Entry, Secret
from marginline.secrets import SCHEMES, resolve
from providers.errors import ConfigError, Unauthorised

KEYSTORE = "keystore"
Reader = Callable[[], Secret]


def typed(prompt: str) -> Reader:
    """Return a reader that asks on the terminal, without echo."""
    return lambda: Secret.of(_ask(prompt))


def typed_twice(prompt: str) -> Reader:
    """Return a reader that asks for a new password twice; raises `ConfigError` when they differ."""

    def read() -> Secret:
        first, second = Secret.of(_ask(prompt)), Secret.of(_ask("again: "))
        same = first.reveal() == second.reveal()
        second.wipe()
        if not same:
            first.wipe()
            raise ConfigError("the two passwords differ; nothing was written")
        return first

    return read


def referred(reference: str, where: str) -> Reader:
    """Return a reader of what an `env:`, `cmd:`, `file:` or `keyring:` reference gives."""
    return lambda: Secret.of(resolve(reference, where))


def add(name: str, key_reader: Reader, password_reader: Reader, *, folder: Path | None = None) -> Entry:
    """Encrypt the key that `key_reader` gives (0x and 64 hex digits) into a new file; raises `ConfigError`."""
    where = f"signer {name}"
    key = keystore.parsed_key(key_reader(), where)
    password = Secret(b"")
    try:
        password = password_reader()
        return keystore.add(folder or keystore.directory(), name, key, password)
    finally:
        key.wipe()
        password.wipe()


def listed(folder: Path | None = None) -> tuple[Entry, ...]:
    """Return every encrypted signer, by name."""
    return keystore.entries(folder or keystore.directory())


def remove(name: str, confirm: Callable[[Entry], bool], *, folder: Path | None = None) -> Path | None:
    """Move a signer's file aside if `confirm` says so; return where it is kept, `None` when it stays in use."""
    folder = folder or keystore.directory()
    found = keystore.entry(folder, name)
    return keystore.remove(folder, name) if confirm(found) else None


class SignerBox:
    """Signs for one address while it is unlocked; a `providers.rescue_ports.SignerBox`. One box per reference.

    `reference` is what the config says, `where` names the config key in errors. Not safe for two threads at once.
    """

    __slots__ = ("_address", "_folder", "_key", "_reference", "_where")

    def __init__(self, reference: str, where: str, *, folder: Path | None = None) -> None:
        scheme, _, rest = reference.partition(":")
        if not rest or scheme not in (*SCHEMES, KEYSTORE):
            forms = ", ".join(f"{name}:..." for name in (KEYSTORE, *SCHEMES))
            raise ConfigError(f"{where}: a signer is a reference: {forms}")
        self._reference, self._where = reference, where
        self._folder = folder or keystore.directory()
        self._key: Secret | None = None
        self._address = keystore.entry(self._folder, rest).address if scheme == KEYSTORE else ""

    @property
    def reference(self) -> str:
        """Return what the config says, for people: it names a place, never a key."""
        return self._reference

    @property
    def name(self) -> str:
        """Return what the owner calls it: the key file's name, or the reference itself."""
        return self._reference.partition(":")[2] if self.needs_password else self._reference

    @property
    def needs_password(self) -> bool:
        """Return whether `unlock` wants a password."""
        return self._reference.startswith(f"{KEYSTORE}:")

    @property
    def is_locked(self) -> bool:
        """Return whether nothing can be signed now."""
        return self._key is None

    @property
    def address(self) -> str:
        """Return the checksummed address that it signs for; "" for a reference that nobody has looked at yet."""
        return self._address

    async def learn_address(self) -> str:
        """Return the address, reading a reference for it and forgetting the key at once; raises `ConfigError`."""
        if not self._address:
            key = await asyncio.to_thread(self._referred)
            self._address = await asyncio.to_thread(keystore.address_of, key)
            key.wipe()
        return self._address

    async def unlock(self, password: Secret | str | None = None) -> None:
        """Hold the key until `lock`; the slow part runs in a thread. A `Secret` password is wiped.

        Raises `Unauthorised` for a wrong or missing password, `ConfigError` for a key that cannot be used.
        """
        given = Secret.of(password) if isinstance(password, str) else password or Secret(b"")
        password = None
        try:
            if not self.needs_password:
                key = await asyncio.to_thread(self._referred)
            elif not given:
                raise Unauthorised("signer", f"{self._reference} needs its password")
            else:
                name = self._reference.partition(":")[2]
                key = await asyncio.to_thread(keystore.decrypted, self._folder, name, given)
        finally:
            given.wipe()
        address = await asyncio.to_thread(keystore.address_of, key)
        if self._address and address != self._address:
            key.wipe()
            raise ConfigError(f"{self._where}: the key is of {address}, not of {self._address}; restart to use it")
        self.lock()
        self._key, self._address = key, address

    def lock(self) -> None:
        """Wipe the key. What Python or the signing library copied meanwhile cannot be wiped by us."""
        key, self._key = self._key, None
        if key is not None:
            key.wipe()

    def sign_digest(self, digest: bytes) -> tuple[int, int, int]:
        """Return (v, r, s) of a 32-byte digest, v 27 or 28, s in the lower half; raises `Unauthorised` when locked."""
        if self._key is None:
            raise Unauthorised("signer", f"{self._reference} is locked; arm first")
        if len(digest) != 32:
            raise ValueError(f"a digest has 32 bytes, not {len(digest)}")
        key = self._key.reveal()
        if not any(key):  # wiped by another thread between the two lines
            raise Unauthorised("signer", f"{self._reference} is locked; arm first")
        return _signature(key, digest)

    def _referred(self) -> Secret:
        return keystore.parsed_key(Secret.of(resolve(self._reference, self._where)), self._where)

    def __repr__(self) -> str:
        state = "locked" if self.is_locked else "unlocked"
        return f"<SignerBox {self._reference.partition(':')[0]} {self._address or 'address not read'} {state}>"

    def __reduce__(self) -> Never:
        raise TypeError("a signer is not copied or stored")


def _signature(key: bytes, digest: bytes) -> tuple[int, int, int]:
    from eth_keys.datatypes import PrivateKey

    signed = PrivateKey(key).sign_msg_hash(digest)
    return signed.v + 27, signed.r, signed.s


def _ask(prompt: str) -> str:
    try:
        return getpass.getpass(prompt)
    except (EOFError, OSError) as error:
        raise ConfigError("no terminal to ask on; give a reference (env:, cmd:, file:) instead") from error
