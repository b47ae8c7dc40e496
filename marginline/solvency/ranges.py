"""Range proofs: a commitment split into committed bits, each proven to be 0 or 1 without saying which.

Each bit is a one-of-two proof (Cramer, Damgard, Schoenmakers 1994) of two Schnorr proofs: B or B - G is a multiple of
H. All bits of all ranges share one challenge, so that each is bound to the whole statement.
"""

from collections.abc import Callable, Sequence
from dataclasses import field

from engine.record import record
from marginline.solvency.group import (
    BASE,
    IDENTITY,
    ORDER,
    SIZE,
    add,
    commit,
    generator_h,
    is_point,
    is_scalar,
    scalar_bytes,
    subtract,
    times,
)
from marginline.solvency.statement import NotValid

BIT_SIZE = 4 * SIZE


@record
class Range:
    """A commitment whose value is said to lie within 0 and 2**bits."""

    commitment: bytes
    bits: int


@record
class Secret:
    """What opens a commitment."""

    value: int = field(repr=False)
    blinding: int = field(repr=False)


@record
class _Bit:
    """One committed bit on the prover's side: `false_e` and `false_z` answer for the branch that is not true."""

    value: int = field(repr=False)
    blinding: int = field(repr=False)
    point: bytes
    true_w: int = field(repr=False)
    false_e: int = field(repr=False)
    false_z: int = field(repr=False)


def prove_bits(
    ranges: Sequence[tuple[Secret, int]], challenge: Callable[[bytes], int], draw: Callable[[], int]
) -> bytes:
    """Return the proof that every secret lies within its bits; `challenge` hashes bit commitments and announcements.

    `draw` gives random scalars. The caller makes sure that every value is in range.
    """
    bits: list[_Bit] = []
    heard: list[bytes] = []
    for secret, size in ranges:
        for bit in _split(secret, size, draw):
            announced = times(bit.true_w, generator_h())
            other = bit.point if bit.value else subtract(bit.point, BASE)
            faked = _announcement(bit.false_z, bit.false_e, other)
            bits.append(bit)
            heard += (bit.point, faked, announced) if bit.value else (bit.point, announced, faked)
    e = challenge(b"".join(heard))
    return scalar_bytes(e) + b"".join(_answer(bit, e) for bit in bits)


def _split(secret: Secret, size: int, draw: Callable[[], int]) -> list[_Bit]:
    blindings = [0, *(draw() for _ in range(size - 1))]
    blindings[0] = (secret.blinding - sum(blinding << place for place, blinding in enumerate(blindings))) % ORDER
    found = []
    for place, blinding in enumerate(blindings):
        bit = secret.value >> place & 1
        found.append(_Bit(bit, blinding, commit(bit, blinding), draw(), draw(), draw()))
    return found


def _answer(bit: _Bit, e: int) -> bytes:
    true_e = (e - bit.false_e) % ORDER
    true_z = bit.true_w + true_e * bit.blinding
    e0, z0, z1 = (bit.false_e, bit.false_z, true_z) if bit.value else (true_e, true_z, bit.false_z)
    return bit.point + scalar_bytes(e0) + scalar_bytes(z0) + scalar_bytes(z1)


def _announcement(z: int, e: int, point: bytes) -> bytes:
    return subtract(times(z, generator_h()), times(e, point))


def verify_bits(ranges: Sequence[Range], data: bytes, challenge: Callable[[bytes], int]) -> None:
    """Return when `data` proves every range; raises `NotValid` with the reason otherwise."""
    expected = SIZE + BIT_SIZE * sum(one.bits for one in ranges)
    if len(data) != expected:
        raise NotValid(f"the proof has {len(data)} bytes, {expected} are needed")
    scalars = [data[:SIZE]]
    parts: list[bytes] = []
    for at in range(SIZE, expected, BIT_SIZE):
        point = data[at : at + SIZE]
        if not is_point(point) or point == IDENTITY:
            raise NotValid("a bit commitment is not a canonical point, or is the identity")
        parts.append(point)
        scalars += (data[at + step : at + step + SIZE] for step in range(SIZE, BIT_SIZE, SIZE))
    if not all(is_scalar(scalar) for scalar in scalars):
        raise NotValid("a scalar is not below the group's order")
    e, *answers = (int.from_bytes(scalar, "little") for scalar in scalars)
    _require_sums(ranges, parts)
    heard: list[bytes] = []
    for place, point in enumerate(parts):
        e0, z0, z1 = answers[3 * place : 3 * place + 3]
        first = _announcement(z0, e0, point)
        second = _announcement(z1, e - e0, subtract(point, BASE))
        heard += (point, first, second)
    if challenge(b"".join(heard)) != e:
        raise NotValid("the challenge does not follow from the statement and the answers")


def _require_sums(ranges: Sequence[Range], points: Sequence[bytes]) -> None:
    at = 0
    for one in ranges:
        total = IDENTITY
        for point in reversed(points[at : at + one.bits]):
            total = add(add(total, total), point)
        if total != one.commitment:
            raise NotValid("bit commitments do not add up to what they should split")
        at += one.bits
