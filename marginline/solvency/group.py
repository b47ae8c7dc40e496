"""The group of the proof: ristretto255 (RFC 9496) by libsodium, scalars as integers below its order.

Points are their 32 canonical bytes. Python's integers are not constant-time: whoever can time the prover learns
about its secrets, so prove on your own machine only. `rbcl` is an optional extra and imported when first needed.
"""

import hashlib
import secrets
from functools import cache
from types import ModuleType

from providers.errors import ConfigError

ORDER = 2**252 + 27742317777372353535851937790883648493
FIELD = 2**255 - 19
SIZE = 32
IDENTITY = bytes(SIZE)
BASE = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
H_LABEL = b"marginline/solvency/v1/pedersen-H"
MISSING_EXTRA = "solvency proofs need an extra; install it with: pip install 'marginline[zk]'"


@cache
def _rbcl() -> ModuleType:
    try:
        import rbcl
    except ImportError as error:
        raise ConfigError(MISSING_EXTRA) from error
    found: ModuleType = rbcl
    return found


@cache
def generator_h() -> bytes:
    """Return H, a point whose logarithm to the base nobody knows: the hash of a label, mapped to the group."""
    point: bytes = _rbcl().crypto_core_ristretto255_from_hash(hashlib.sha512(H_LABEL).digest())
    return point


def is_point(encoded: bytes) -> bool:
    """Return whether these are the canonical bytes of a group element (RFC 9496, 4.3.1); the identity's are.

    libsodium ignores the top bit, so range and sign are looked at here.
    """
    element = int.from_bytes(encoded, "little")
    is_canonical = len(encoded) == SIZE and element < FIELD and element % 2 == 0
    return is_canonical and bool(_rbcl().crypto_core_ristretto255_is_valid_point(encoded))


def is_scalar(encoded: bytes) -> bool:
    """Return whether these are the canonical bytes (little-endian, below the order) of a scalar."""
    return len(encoded) == SIZE and int.from_bytes(encoded, "little") < ORDER


def scalar_bytes(value: int) -> bytes:
    """Return `value` modulo the order as 32 little-endian bytes."""
    return (value % ORDER).to_bytes(SIZE, "little")


def add(left: bytes, right: bytes) -> bytes:
    """Return the sum of two points."""
    point: bytes = _rbcl().crypto_core_ristretto255_add(left, right)
    return point


def subtract(left: bytes, right: bytes) -> bytes:
    """Return the difference of two points."""
    point: bytes = _rbcl().crypto_core_ristretto255_sub(left, right)
    return point


def times(factor: int, point: bytes) -> bytes:
    """Return `factor` times `point`."""
    product: bytes = _rbcl().crypto_scalarmult_ristretto255_allow_scalar_zero(scalar_bytes(factor), point)
    return product


def times_base(factor: int) -> bytes:
    """Return `factor` times the base point G."""
    product: bytes = _rbcl().crypto_scalarmult_ristretto255_base_allow_scalar_zero(scalar_bytes(factor))
    return product


def commit(value: int, blinding: int) -> bytes:
    """Return the Pedersen commitment value x G + blinding x H."""
    return add(times_base(value), times(blinding, generator_h()))


def random_scalar() -> int:
    """Return a uniformly random scalar from the system's generator, never 0."""
    return secrets.randbelow(ORDER - 1) + 1
