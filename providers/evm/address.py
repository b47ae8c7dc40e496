"""Addresses as people write them: shape and EIP-55 checksum."""

import re

from providers.errors import ConfigError

_SHAPE = re.compile(r"0[xX][0-9a-fA-F]{40}")


def checksummed(address: str) -> str:
    """Return a 0x-address in EIP-55 spelling (eips.ethereum.org/EIPS/eip-55)."""
    from eth_hash.auto import keccak

    digits = address[2:].lower()
    digest = keccak(digits.encode()).hex()
    return "0x" + "".join(c.upper() if int(digest[i], 16) >= 8 else c for i, c in enumerate(digits))


def checked_address(value: str, key: str) -> str:
    """Return `value` in lower case; raises `ConfigError` naming `key` for a wrong shape or a wrong checksum.

    All-lower and all-upper spellings carry no checksum and pass.
    """
    if not _SHAPE.fullmatch(value):
        raise ConfigError(f"{key}: an address is 0x and 40 hex digits, this is not: {value[:50]!r}")
    digits = value[2:]
    is_mixed = digits != digits.lower() and digits != digits.upper()
    if is_mixed and "0x" + digits != (right := checksummed(value)):
        raise ConfigError(f"{key}: the address checksum of {value} is wrong; if every digit is right it is {right}")
    return "0x" + digits.lower()


def shortened(address: str) -> str:
    """Return an address short enough for a line ("0x5424…215e")."""
    return f"{address[:6]}…{address[-4:]}"
