"""Proving and verifying one statement over one snapshot (`docs/solvency-proof.md`, 6 to 8)."""

import hashlib
from collections.abc import Callable, Sequence

from engine.record import record
from marginline.solvency import attester
from marginline.solvency.group import (
    BASE,
    IDENTITY,
    ORDER,
    add,
    commit,
    generator_h,
    is_point,
    random_scalar,
    subtract,
    times,
)
from marginline.solvency.ranges import Range, Secret, prove_bits, verify_bits
from marginline.solvency.statement import (
    FLOORS,
    STANDARD,
    Mode,
    NotValid,
    Profile,
    Proof,
    Snapshot,
    digest,
    message,
    text_bytes,
    weights,
)

PROOF_LABEL = b"marginline/solvency/v1/proof"
MIN_NONCE, MAX_NONCE = 16, 64
_MODE_BYTE = {Mode.FULL: b"\x00", Mode.SURPLUS_ONLY: b"\x01"}


class Unprovable(Exception):
    """The openings do not show what was to be proven; the message says why."""


@record
class Openings:
    """The secrets behind a snapshot (`snapshot` is its digest): whoever has them knows every amount."""

    snapshot: bytes
    collateral: tuple[Secret, ...]
    debt: tuple[Secret, ...]


@record
class Asked:
    """What a verifier wants: whose word, for which nonce, now, at least which floor, and whether in full mode."""

    attester: bytes
    nonce: bytes
    now_s: int
    floor_bps: int = 0
    full: bool = False


def challenge_of(
    snapshot: Snapshot, mode: Mode, floor_bps: int, made_at_s: int, nonce: bytes, profile: Profile
) -> Callable[[bytes], int]:
    """Return what turns bit commitments and announcements into the challenge that binds the whole statement."""
    signed = message(snapshot, profile)
    head = b"".join(
        (
            text_bytes(PROOF_LABEL),
            len(signed).to_bytes(4, "big"),
            signed,
            _MODE_BYTE[mode],
            floor_bps.to_bytes(2, "big"),
            made_at_s.to_bytes(8, "big"),
            len(nonce).to_bytes(1, "big"),
            nonce,
            BASE,
            generator_h(),
        )
    )
    return lambda heard: int.from_bytes(hashlib.sha512(head + heard).digest(), "little") % ORDER


def prove(
    snapshot: Snapshot,
    openings: Openings,
    mode: Mode,
    floor_bps: int,
    nonce: bytes,
    made_at_s: int,
    *,
    profile: Profile = STANDARD,
    draw: Callable[[], int] = random_scalar,
) -> Proof:
    """Return the proof that the snapshot's accounts have health of at least `floor_bps`; raises `Unprovable`."""
    _require_openings(snapshot, openings, profile)
    if mode is Mode.SURPLUS_ONLY and not snapshot.ranges_checked:
        raise Unprovable("the attester did not check the ranges of the amounts; prove in full mode")
    of_collateral, of_debt = weights(snapshot, floor_bps, profile)
    weighted = [
        *zip(of_collateral, openings.collateral, strict=True),
        *((-weight, secret) for weight, secret in zip(of_debt, openings.debt, strict=True)),
    ]
    left = sum(weight * secret.value for weight, secret in weighted)
    if left < 0:
        raise Unprovable(f"health at the stated prices is below {floor_bps / 10_000:g}")
    if left >= 1 << profile.surplus_bits:
        raise Unprovable("the surplus is too large for this proof")
    blinding = sum(weight * secret.blinding for weight, secret in weighted) % ORDER
    ranges = [(Secret(left, blinding), profile.surplus_bits)]
    if mode is Mode.FULL:
        amounts = (*openings.collateral, *openings.debt)
        ranges = [*((secret, profile.amount_bits) for secret in amounts), *ranges]
    challenge = challenge_of(snapshot, mode, floor_bps, made_at_s, nonce, profile)
    return Proof(mode, floor_bps, nonce, made_at_s, digest(snapshot, profile), prove_bits(ranges, challenge, draw))


def _require_openings(snapshot: Snapshot, openings: Openings, profile: Profile) -> None:
    if openings.snapshot != digest(snapshot, profile):
        raise Unprovable("the openings belong to another snapshot")
    pairs = zip((*openings.collateral, *openings.debt), (*snapshot.collateral, *snapshot.debt), strict=True)
    for secret, commitment in pairs:
        if not 0 <= secret.value < 1 << profile.amount_bits:
            raise Unprovable("an amount is out of range")
        if commit(secret.value, secret.blinding) != commitment:
            raise Unprovable("an opening does not open its commitment")


def verify_snapshot(snapshot: Snapshot, key: bytes, now_s: int, profile: Profile = STANDARD) -> None:
    """Return when the attester with public key `key` vouches for `snapshot` now; raises `NotValid`."""
    if snapshot.attester != key:
        raise NotValid("the snapshot is not of the attester you named")
    if not attester.is_signed(key, digest(snapshot, profile), snapshot.signature):
        raise NotValid("the attester's signature does not fit the snapshot")
    if snapshot.taken_at_s >= snapshot.expires_at_s:
        raise NotValid("the snapshot expires before it was taken")
    if now_s >= snapshot.expires_at_s:
        raise NotValid("the snapshot has expired")
    for commitment in (*snapshot.collateral, *snapshot.debt):
        if not is_point(commitment) or commitment == IDENTITY:
            raise NotValid("a commitment is not a canonical point, or is the identity")


def verify(snapshot: Snapshot, proof: Proof, asked: Asked, profile: Profile = STANDARD) -> None:
    """Return when `proof` shows the floor for `snapshot` to whoever asked; raises `NotValid` with the first reason."""
    verify_snapshot(snapshot, asked.attester, asked.now_s, profile)
    if proof.snapshot != digest(snapshot, profile):
        raise NotValid("the proof is over another snapshot")
    if not MIN_NONCE <= len(proof.nonce) <= MAX_NONCE or proof.nonce != asked.nonce:
        raise NotValid("the nonce is not the one you asked for: the proof was made for someone else, or replayed")
    if proof.floor_bps not in FLOORS.values():
        raise NotValid("the floor is not on the grid")
    if proof.floor_bps < asked.floor_bps:
        raise NotValid("the floor is below the one you asked for")
    if proof.mode is Mode.SURPLUS_ONLY:
        if asked.full:
            raise NotValid("the proof is surplus-only, you asked for full")
        if not snapshot.ranges_checked:
            raise NotValid("a surplus-only proof needs an attester who checked the ranges of the amounts")
    ranges = [Range(surplus(snapshot, proof.floor_bps, profile), profile.surplus_bits)]
    if proof.mode is Mode.FULL:
        ranges = [*(Range(one, profile.amount_bits) for one in (*snapshot.collateral, *snapshot.debt)), *ranges]
    challenge = challenge_of(snapshot, proof.mode, proof.floor_bps, proof.made_at_s, proof.nonce, profile)
    verify_bits(ranges, proof.data, challenge)


def surplus(snapshot: Snapshot, floor_bps: int, profile: Profile) -> bytes:
    """Return the commitment to the surplus, which the verifier computes itself from the signed commitments."""
    of_collateral, of_debt = weights(snapshot, floor_bps, profile)
    return subtract(_weighted(of_collateral, snapshot.collateral), _weighted(of_debt, snapshot.debt))


def _weighted(factors: Sequence[int], points: Sequence[bytes]) -> bytes:
    total = IDENTITY
    for factor, point in zip(factors, points, strict=True):
        total = add(total, times(factor, point))
    return total
