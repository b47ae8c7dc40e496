"""A venue's API key: looked up when first needed, kept in memory only, never shown, logged, copied or stored."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable
from typing import Never

from providers.errors import ConfigError

Reveal = Callable[[], str]


class Credentials:
    """What one account signs its requests with. Each part is looked up once, by its reference in the config.

    `where` names the account in errors. A part that the config leaves out raises `ConfigError` when it is asked for.
    """

    __slots__ = ("_held", "_parts", "_where")

    def __init__(
        self,
        where: str,
        key: Reveal | None = None,
        secret: Reveal | None = None,
        passphrase: Reveal | None = None,
    ) -> None:
        self._where = where
        self._parts = {"key": key, "secret": secret, "passphrase": passphrase}
        self._held: dict[str, str] = {}

    @property
    def key(self) -> str:
        """Return the key's public part, which goes into headers; still nobody else's business."""
        return self._part("key")

    @property
    def passphrase(self) -> str:
        """Return what some venues want beside key and secret."""
        return self._part("passphrase")

    @property
    def hint(self) -> str:
        """Return what tells the owner which key it is: its last four letters."""
        return f"key ..{self.key[-4:]}"

    def hidden_in(self, text: str) -> str:
        """Return what a venue said without any part of this key: some repeat in an error what was signed."""
        for held in self._held.values():
            text = text.replace(held, "...") if held else text
        return text

    def has(self, part: str) -> bool:
        """Return whether the config names `part` ("key", "secret", "passphrase")."""
        return self._parts[part] is not None

    def load(self) -> None:
        """Look every part up that the config names; raises `ConfigError`. It may run a command, and so take a while."""
        for name, reveal in self._parts.items():
            if reveal is not None:
                self._part(name)

    def hmac_sha256(self, message: bytes) -> bytes:
        """Return HMAC-SHA-256 of `message` under the secret."""
        return hmac.new(self._part("secret").encode(), message, hashlib.sha256).digest()

    def hmac_sha512_of_base64(self, message: bytes) -> bytes:
        """Return HMAC-SHA-512 of `message` under the secret, which is base64; raises `ConfigError` if it is not."""
        try:
            secret = base64.b64decode(self._part("secret"), validate=True)
        except (binascii.Error, ValueError):
            raise ConfigError(f"{self._where}: secret is not base64; copy it again from the venue") from None
        return hmac.new(secret, message, hashlib.sha512).digest()

    def reveal_secret(self) -> str:
        """Return the secret itself, for the venues that want it in a header or a log-in over TLS."""
        return self._part("secret")

    def _part(self, name: str) -> str:
        held = self._held.get(name)
        if held is None:
            reveal = self._parts[name]
            if reveal is None:
                raise ConfigError(f'{self._where}: {name} is not set; write where it is: {name} = "env:NAME"')
            held = self._held[name] = reveal()
        return held

    def __repr__(self) -> str:
        return f"<Credentials of {self._where}>"

    def __reduce__(self) -> Never:
        raise TypeError("credentials are not copied or stored")
