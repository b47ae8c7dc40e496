"""Encrypted key files: Web3 Secret Storage V3 (ethereum.org, "Web3 secret storage", read 2026-11), one per signer.

They live in `signers/NAME.json` beside the config, mode 0600. A key is encrypted with scrypt at geth's standard cost,
which takes about a second: callers on an event loop use a thread. `Secret` carries keys and passwords: it shows
nothing of itself, so that neither a log line, a repr nor a traceback that prints local variables can.
"""

import contextlib
import json
import os
import re
import stat
import time
from pathlib import Path
from typing import Any, Never

from engine.record import record
from providers.errors import ConfigError, Unauthorised

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_HEX_KEY = re.compile(r"0[xX][0-9a-fA-F]{64}")
_LARGEST_FILE = 64 << 10
_PROBLEM = "is not an encrypted V3 key file"
# The order of secp256k1: a key is below it (SEC 2, 2.4.1).
_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


class Secret:
    """Bytes that can be wiped and are never shown. Wiping is best effort.

    What we hold is zeroed; copies that Python, the cipher or the terminal made on the way are beyond our reach until
    their memory is used again.
    """

    __slots__ = ("_bytes",)

    def __init__(self, content: bytes | bytearray) -> None:
        self._bytes = bytearray(content)

    @classmethod
    def of(cls, text: str) -> "Secret":
        """Return the secret that was typed or read as text."""
        return cls(text.encode())

    def reveal(self) -> bytes:
        """Return a copy of the bytes, to be used at once and kept nowhere; empty after `wipe`."""
        return bytes(self._bytes)

    def wipe(self) -> None:
        """Zero the bytes and forget them, in one step each: another thread finds them whole, zero or gone."""
        self._bytes[:] = bytes(len(self._bytes))
        self._bytes.clear()

    def __bool__(self) -> bool:
        return bool(self._bytes)

    def __repr__(self) -> str:
        return "<secret>"

    def __reduce__(self) -> Never:
        raise TypeError("a secret is not copied or stored")


@record
class Entry:
    """One key file: its name in the config (`keystore:NAME`), whose key it holds (0x, checksummed), where it is."""

    name: str
    address: str
    path: Path


def directory(config: Path | None = None) -> Path:
    """Return where key files are kept: `signers` beside the config file."""
    from marginline.config import default_path

    return (config or default_path()).parent / "signers"


def parsed_key(text: Secret, where: str) -> Secret:
    """Return the 32 bytes of a 0x-prefixed hex key and wipe `text`; raises `ConfigError` that shows nothing of it."""
    is_key = False
    with contextlib.suppress(UnicodeDecodeError):
        is_key = _HEX_KEY.fullmatch(text.reveal().decode().strip()) is not None
    key = Secret(bytes.fromhex(text.reveal().decode().strip()[2:])) if is_key else Secret(b"")
    text.wipe()
    if not 0 < int.from_bytes(key.reveal(), "big") < _ORDER:
        raise ConfigError(f"{where}: a key is 0x and 64 hex digits; what was given is not one")
    return key


def address_of(key: Secret) -> str:
    """Return the checksummed address that `key` (32 bytes) signs for."""
    from eth_keys.datatypes import PrivateKey

    return PrivateKey(key.reveal()).public_key.to_checksum_address()


def entries(folder: Path) -> tuple[Entry, ...]:
    """Return every key file of `folder` by name; raises `ConfigError` for one that cannot be read."""
    if not folder.is_dir():
        return ()
    return tuple(entry(folder, path.stem) for path in sorted(folder.glob("*.json")))


def entry(folder: Path, name: str) -> Entry:
    """Return one key file; nothing is decrypted. Raises `ConfigError`."""
    path = _path(folder, name)
    from providers.evm.address import checksummed

    return Entry(name, checksummed("0x" + _address(_content(path), path)), path)


def add(folder: Path, name: str, key: Secret, password: Secret, *, work_factor: int | None = None) -> Entry:
    """Write `key` (32 bytes) encrypted under `password` and return its entry. Slow on purpose; wipes neither.

    `work_factor` is the scrypt cost (a power of two), `None` for the standard one. Raises `ConfigError` for a bad or
    taken name, an empty password or a folder that cannot be written.
    """
    path = _path(folder, name)
    if not password:
        raise ConfigError(f"signer {name}: an empty password protects nothing; choose one")
    if path.exists():
        raise ConfigError(f"{path} exists already; remove that signer first, or choose another name")
    content = _encrypted(key, password, work_factor)
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror})") from error
    return entry(folder, name)


def remove(folder: Path, name: str, now_ns: int | None = None) -> Path:
    """Move a key file aside, out of use but not lost, and return where it is now; raises `ConfigError`."""
    path = _path(folder, name)
    if not path.exists():
        raise ConfigError(f"{path}: there is no such signer")
    seconds = (time.time_ns() if now_ns is None else now_ns) // 1_000_000_000
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(seconds))
    kept = path.with_name(f"{name}.json.removed-{stamp}")
    try:
        os.link(path, kept)  # unlike a rename, a link never replaces a file that was kept before
        path.unlink()
    except OSError as error:
        raise ConfigError(f"{path} cannot be moved to {kept.name} ({error.strerror})") from error
    return kept


def decrypted(folder: Path, name: str, password: Secret) -> Secret:
    """Return the key of a file: 32 bytes. Slow on purpose; `password` stays as it is.

    Raises `Unauthorised` for a wrong password, `ConfigError` for a file that is damaged or readable by others.
    """
    path = _path(folder, name)
    content = _content(path)
    expected = _address(content, path)
    key, said = _opened(content, password)
    if key is None:
        if said == "MAC mismatch":
            raise Unauthorised("signer", f"{name}: wrong password")
        raise ConfigError(f"{path} {_PROBLEM}, or it is damaged")
    if address_of(key)[2:].lower() != expected:
        key.wipe()
        raise ConfigError(f"{path} is damaged: its key is not that of the address that it names")
    return key


def _opened(content: dict[str, Any], password: Secret) -> tuple[Secret | None, str]:
    """Return the key, or why not. No error leaves here: its traceback would hold key and password."""
    from eth_keyfile.keyfile import decode_keyfile_json

    try:
        return Secret(decode_keyfile_json(content, password.reveal())), ""
    except (ValueError, LookupError, TypeError, AttributeError, RuntimeError, ArithmeticError, MemoryError) as error:
        return None, str(error)


def _encrypted(key: Secret, password: Secret, work_factor: int | None) -> str:
    from eth_keyfile.keyfile import create_keyfile_json

    return json.dumps(create_keyfile_json(key.reveal(), password.reveal(), kdf="scrypt", iterations=work_factor))


def _path(folder: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise ConfigError("a signer's name is 1-40 letters, digits, '.', '_' or '-', starting with a letter or digit")
    return folder / f"{name}.json"


def _content(path: Path) -> dict[str, Any]:
    """Return the JSON of a key file that only its owner can read."""
    try:
        status = path.stat()
        if stat.S_IMODE(status.st_mode) & 0o077:
            raise ConfigError(f"{path} is readable by others; run: chmod 600 {path}")
        if status.st_size > _LARGEST_FILE:
            raise ConfigError(f"{path} {_PROBLEM}")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such signer; add it with `marginline signers add {path.stem}`") from error
    except OSError as error:
        raise ConfigError(f"{path} cannot be read ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path} {_PROBLEM}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} {_PROBLEM}")
    return content


def _address(content: dict[str, Any], path: Path) -> str:
    address = str(content.get("address", "")).lower().removeprefix("0x")
    if not re.fullmatch(r"[0-9a-f]{40}", address):
        raise ConfigError(f"{path} {_PROBLEM}: it names no address")
    return address
