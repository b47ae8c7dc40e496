"""The attester's word: Ed25519 over a snapshot's digest, by libsodium's strict rules (PyNaCl, an optional extra)."""

from types import ModuleType

from marginline.solvency.group import MISSING_EXTRA
from providers.errors import ConfigError

KEY_SIZE = 32
SIGNATURE_SIZE = 64


def _signing() -> ModuleType:
    try:
        import nacl.signing
    except ImportError as error:
        raise ConfigError(MISSING_EXTRA) from error
    return nacl.signing


def public_key(seed: bytes) -> bytes:
    """Return the public key of a 32-byte seed."""
    return bytes(_signing().SigningKey(seed).verify_key)


def sign(seed: bytes, digest: bytes) -> bytes:
    """Return the 64-byte signature of `digest`."""
    signature: bytes = _signing().SigningKey(seed).sign(digest).signature
    return signature


def is_signed(key: bytes, digest: bytes, signature: bytes) -> bool:
    """Return whether `signature` is the holder of `key`'s over `digest`; a key or signature that is none is not."""
    signing = _signing()
    from nacl.exceptions import CryptoError

    try:
        signing.VerifyKey(key).verify(digest, signature)
    except (CryptoError, ValueError, TypeError):
        return False
    return True
