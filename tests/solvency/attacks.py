"""Every way we know to cheat, as cases that a verifier must reject; `why` is a word of the reason that ours gives."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

from marginline.solvency.attester import public_key
from marginline.solvency.group import BASE, FIELD, IDENTITY, ORDER, commit, is_point, scalar_bytes
from marginline.solvency.proof import Asked, challenge_of
from marginline.solvency.ranges import BIT_SIZE, Secret, prove_bits
from marginline.solvency.statement import FLOORS, STANDARD, Mode, Proof, digest, weights
from tests.solvency.cases import ETH, SEED, USDC, Case, Story, drawing, signed, standard, unsigned

EARLY = ("commitment", "expires before")
"""Reasons that come before the proof's snapshot is looked at."""
BAD_POINTS = {
    "a field element that is not reduced": (FIELD).to_bytes(32, "little"),
    "a negative field element": (FIELD - 1).to_bytes(32, "little"),
    "the identity with the top bit set": bytes(31) + b"\x80",
    "the base point with the top bit set": BASE[:31] + bytes((BASE[31] | 0x80,)),
    "an even element that encodes no point": next(
        s.to_bytes(32, "little") for s in range(2, 200, 2) if not is_point(s.to_bytes(32, "little"))
    ),
    "all ones": b"\xff" * 32,
}


def patched(story: Story, at: int, part: bytes) -> Case:
    """Return the story with bytes of its proof replaced."""
    data = story.proof.data
    return story.case(proof=replace(story.proof, data=data[:at] + part + data[at + len(part) :]))


def forged(story: Story, collateral: Sequence[int], debt: Sequence[int], mode: Mode, *, checked: bool = True) -> Case:
    """Return what a prover shows whose signed commitments hold these values, whatever they are modulo the order.

    It splits what it can into bits and hopes.
    """
    draw = drawing(b"forged")
    secrets = [tuple(Secret(value % ORDER, draw()) for value in values) for values in (collateral, debt)]
    snapshot = signed(unsigned(*secrets, (ETH, USDC), ranges_checked=checked), SEED, STANDARD)
    floor_bps = story.proof.floor_bps
    of_collateral, of_debt = weights(snapshot, floor_bps)
    weighted = [
        *zip(of_collateral, secrets[0], strict=True),
        *((-weight, secret) for weight, secret in zip(of_debt, secrets[1], strict=True)),
    ]
    total = Secret(
        sum(weight * secret.value for weight, secret in weighted) % ORDER,
        sum(weight * secret.blinding for weight, secret in weighted) % ORDER,
    )
    ranges = [*((one, 64) for one in (*secrets[0], *secrets[1])), (total, 128)] if mode is Mode.FULL else [(total, 128)]
    ask = challenge_of(snapshot, mode, floor_bps, story.proof.made_at_s, story.proof.nonce, STANDARD)
    proof = Proof(
        mode, floor_bps, story.proof.nonce, story.proof.made_at_s, digest(snapshot), prove_bits(ranges, ask, draw)
    )
    return story.case(snapshot=snapshot, proof=proof)


def padded(*values: int) -> list[int]:
    """Return amounts for all 16 places."""
    return [*values, *[0] * (16 - len(values))]


NEGATIVE_DEBT = (padded(10), padded(0, -(10**12)))
NEGATIVE_COLLATERAL = (padded(-1, 10**18), padded())


def wrapped() -> tuple[list[int], list[int]]:
    """Return a collateral that is huge as an integer, and 1 as a surplus once it has wrapped around the order."""
    weight = ETH.price_down * ETH.threshold_bps
    return padded(pow(weight, -1, ORDER)), padded()


def cheap() -> Iterator[Case]:
    """Yield the attacks on a surplus-only proof, and those that fail before any bit is looked at."""
    story = standard(Mode.SURPLUS_ONLY)
    yield from _on_the_statement(story)
    yield from _on_the_proof(story)
    yield from _on_what_was_asked(story)
    yield from _on_the_signature(story)


def _named(case: Case, why: str) -> Case:
    return replace(case, why=why)


def _on_the_statement(story: Story) -> Iterator[Case]:
    def resigned(why: str, **changes: Any) -> Iterator[Case]:
        """Yield the change unsigned, signed again, and signed again with the proof made to name it."""
        yield _named(story.case(snapshot=replace(story.snapshot, **changes)), "signature")
        bent = story.signed(**changes)
        yield _named(story.case(snapshot=bent), why if why in EARLY else "another snapshot")
        yield _named(story.case(snapshot=bent, proof=story.proof_of(bent)), why)

    def eth(**changes: Any) -> dict[str, Any]:
        return {"assets": (replace(ETH, **changes), *story.snapshot.assets[1:])}

    commitments = story.snapshot.collateral
    higher = ETH.price_down + 1
    yield from resigned("add up", **eth(price_down=higher, price_up=higher))
    yield from resigned("add up", **eth(threshold_bps=8301))
    yield from resigned("weight", **eth(price_down=2**56 - 1, price_up=2**56 - 1))
    yield from resigned("challenge", **eth(round_id=1))
    yield from resigned("challenge", **eth(decimals=11))
    yield from resigned("challenge", subject="Fund II")
    yield from resigned("challenge", unit="EUR")
    yield from resigned("challenge", accounts=1)
    yield from resigned("challenge", block=None)
    yield from resigned("challenge", caveats=())
    yield from resigned("challenge", expires_at_s=story.snapshot.expires_at_s + 1)
    yield from resigned("checked the ranges", ranges_checked=False)
    yield from resigned("add up", collateral=(commit(11 * 10**10, 1), *commitments[1:]))
    yield from resigned("add up", debt=(commitments[1], *story.snapshot.debt[1:]))
    yield from resigned("commitment", collateral=(IDENTITY, *commitments[1:]))
    yield from resigned("expires before", expires_at_s=story.snapshot.taken_at_s)
    for bad in BAD_POINTS.values():
        yield from resigned("commitment", collateral=(*commitments[:-1], bad))
    other = standard(Mode.SURPLUS_ONLY, seed=b"other")
    yield _named(story.case(snapshot=other.snapshot), "another snapshot")
    yield _named(story.case(snapshot=other.snapshot, proof=story.proof_of(other.snapshot)), "add up")


def _on_the_proof(story: Story) -> Iterator[Case]:
    data = story.proof.data
    e, first, last = 0, 32, 32 + 127 * BIT_SIZE
    for at in (first, last):
        yield _named(patched(story, at, commit(1, 5)), "add up")
        yield _named(patched(story, at, IDENTITY), "bit commitment")
        for bad in BAD_POINTS.values():
            yield _named(patched(story, at, bad), "bit commitment")
    for at in (e, *(bit + 32 * step for bit in (first, last) for step in (1, 2, 3))):
        value = int.from_bytes(data[at : at + 32], "little")
        yield _named(patched(story, at, scalar_bytes(value + 1)), "challenge")
        yield _named(patched(story, at, bytes(32)), "challenge")
        yield _named(patched(story, at, (value + ORDER).to_bytes(32, "little")), "scalar")
        yield _named(patched(story, at, ORDER.to_bytes(32, "little")), "scalar")
    shifted = data[:32] + data[-BIT_SIZE:] + data[32:-BIT_SIZE]
    for cut in (data[:-1], data + b"\0", data[:-BIT_SIZE], data + data[-BIT_SIZE:], data[:32]):
        yield _named(story.case(proof=replace(story.proof, data=cut)), "bytes")
    yield _named(story.case(proof=replace(story.proof, data=shifted)), "add up")
    for floor_bps in set(FLOORS.values()) - {story.proof.floor_bps}:
        yield _named(story.case(proof=replace(story.proof, floor_bps=floor_bps)), "add up")
    yield _named(story.case(proof=replace(story.proof, mode=Mode.FULL)), "bytes")
    yield _named(story.case(proof=replace(story.proof, made_at_s=story.proof.made_at_s + 1)), "challenge")


def _on_what_was_asked(story: Story) -> Iterator[Case]:
    asked, fresh = story.asked, b"a nonce of today"
    yield _named(story.case(asked=replace(asked, nonce=fresh)), "replayed")
    renamed = replace(story.proof, nonce=fresh)
    yield _named(story.case(proof=renamed, asked=replace(asked, nonce=fresh)), "challenge")
    yield _named(story.case(asked=replace(asked, now_s=story.snapshot.expires_at_s)), "expired")
    yield _named(story.case(asked=replace(asked, now_s=story.snapshot.expires_at_s + 10**6)), "expired")
    yield _named(story.case(asked=replace(asked, floor_bps=15_000)), "floor")
    yield _named(story.case(asked=replace(asked, full=True)), "surplus-only")
    yield _named(story.case(asked=replace(asked, attester=public_key(bytes(32)))), "attester")


def _on_the_signature(story: Story) -> Iterator[Case]:
    own, stranger = story.snapshot, public_key(bytes(32))
    signature = own.signature
    yield _named(story.case(snapshot=replace(own, attester=stranger)), "attester")
    yield _named(
        story.case(snapshot=replace(own, attester=stranger), asked=replace(story.asked, attester=stranger)), "signature"
    )
    swapped = signed(own, bytes(32), STANDARD)
    yield _named(story.case(snapshot=swapped), "attester")
    its_own = replace(story.asked, attester=stranger)
    yield _named(story.case(snapshot=swapped, proof=story.proof_of(swapped), asked=its_own), "challenge")
    s = int.from_bytes(signature[32:], "little")
    for bad in (
        signature[:32] + (s + ORDER).to_bytes(32, "little"),
        signature[:32] + scalar_bytes(s + 1),
        bytes(32) + signature[32:],
        bytes(64),
        signature[32:] + signature[:32],
    ):
        yield _named(story.case(snapshot=replace(own, signature=bad)), "signature")
    for key in small_order_keys():
        # S = 0 and R = the key: without a rule against small orders such a "signature" fits one message in eight.
        bent = replace(own, attester=key, signature=key + bytes(32))
        asked = Asked(key, story.proof.nonce, story.asked.now_s)
        yield _named(story.case(snapshot=bent, proof=story.proof_of(bent), asked=asked), "signature")


def small_order_keys() -> list[bytes]:
    """Return Ed25519 points whose multiples soon repeat: the identity, (0, -1) and one of order four."""
    return [(1).to_bytes(32, "little"), (FIELD - 1).to_bytes(32, "little"), bytes(32)]


def on_ranges() -> Iterator[Case]:
    """Yield commitments to what is no amount, in full mode, and in surplus-only mode without the attester's word."""
    story = standard(Mode.SURPLUS_ONLY)
    for collateral, debt in (NEGATIVE_DEBT, NEGATIVE_COLLATERAL, wrapped()):
        yield _named(forged(story, collateral, debt, Mode.FULL), "add up")
        yield _named(forged(story, collateral, debt, Mode.SURPLUS_ONLY, checked=False), "checked the ranges")
    beyond = padded(2**64), padded()
    yield _named(forged(story, *beyond, Mode.FULL), "add up")
    poor = padded(10**10), padded(0, 15_000 * 10**7)
    yield _named(forged(story, *poor, Mode.SURPLUS_ONLY), "add up")
