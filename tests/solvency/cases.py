"""Snapshots, proofs and what a verifier asks for, as both verifiers take them: from a seed, always the same."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from engine.reading import DocumentError
from marginline.solvency.attester import public_key, sign
from marginline.solvency.documents import parse_proof, parse_snapshot, render_proof, render_snapshot
from marginline.solvency.group import ORDER, commit
from marginline.solvency.proof import Asked, Openings, prove, verify
from marginline.solvency.ranges import Secret
from marginline.solvency.statement import (
    FLOORS,
    STANDARD,
    Block,
    ListedAsset,
    Mode,
    NotValid,
    Profile,
    Proof,
    Snapshot,
    digest,
)

SMALL = Profile(2, 1, 4)
PROFILES = {"standard": STANDARD, "small": SMALL}
SEED = bytes(range(32))
NOW_S = 1_800_000_000


def drawing(seed: bytes) -> Callable[[], int]:
    """Return a source of scalars that gives the same ones for the same seed: for vectors and tests only."""
    count = 0

    def draw() -> int:
        nonlocal count
        count += 1
        return int.from_bytes(hashlib.sha512(seed + count.to_bytes(8, "big")).digest(), "little") % ORDER

    return draw


@dataclass(frozen=True)
class Case:
    """Two documents as text, and what is asked of them."""

    snapshot: str
    proof: str
    asked: Asked
    profile: str = "standard"
    why: str = ""

    def line(self) -> str:
        """Return the case as the other verifier reads it."""
        asked: dict[str, Any] = {
            "attester": self.asked.attester.hex(),
            "nonce": self.asked.nonce.hex(),
            "now": str(self.asked.now_s),
            "full": self.asked.full,
        }
        floor = next((text for text, bps in FLOORS.items() if bps == self.asked.floor_bps), None)
        if floor is not None:
            asked["floor"] = floor
        return json.dumps({"profile": self.profile, "snapshot": self.snapshot, "proof": self.proof, "asked": asked})


def why_not(case: Case) -> str:
    """Return why our verifier rejects the case, empty when it accepts."""
    profile = PROFILES[case.profile]
    try:
        verify(parse_snapshot(case.snapshot, profile), parse_proof(case.proof), case.asked, profile)
    except (NotValid, DocumentError) as error:
        return str(error)
    return ""


@dataclass(frozen=True)
class Story:
    """A snapshot with its secrets and a proof; `case` shows it to a verifier, whole or with something changed."""

    snapshot: Snapshot
    openings: Openings
    proof: Proof
    profile: str = "standard"
    seed: bytes = field(default=SEED, repr=False)

    @property
    def asked(self) -> Asked:
        """Return what an honest verifier asks for."""
        return Asked(public_key(self.seed), self.proof.nonce, self.snapshot.taken_at_s + 60)

    def case(
        self, *, snapshot: Snapshot | None = None, proof: Proof | None = None, asked: Asked | None = None, why: str = ""
    ) -> Case:
        """Return this story as documents, with the given parts in place of its own."""
        return Case(
            json.dumps(render_snapshot(snapshot or self.snapshot)),
            json.dumps(render_proof(proof or self.proof)),
            asked or self.asked,
            self.profile,
            why,
        )

    def signed(self, **changes: Any) -> Snapshot:
        """Return the snapshot with changes, signed again: what an attester under the prover's thumb would do."""
        return signed(replace(self.snapshot, **changes), self.seed, PROFILES[self.profile])

    def proof_of(self, snapshot: Snapshot, **changes: Any) -> Proof:
        """Return the proof with changes, made to name another snapshot."""
        return replace(self.proof, snapshot=digest(snapshot, PROFILES[self.profile]), **changes)


def signed(snapshot: Snapshot, seed: bytes, profile: Profile) -> Snapshot:
    """Return the snapshot with the signature of `seed`'s holder."""
    named = replace(snapshot, attester=public_key(seed), signature=b"")
    return replace(named, signature=sign(seed, digest(named, profile)))


def committed(secrets: Sequence[Secret]) -> tuple[bytes, ...]:
    """Return the commitments that `secrets` open."""
    return tuple(commit(secret.value, secret.blinding) for secret in secrets)


ETH = ListedAsset("ETH", 10, 8300, 250_012_345_678, 250_012_345_678, 110680464442257320247)
USDC = ListedAsset("USDC", 7, 7800, 100_000_000_000, 100_000_000_000, None)
WBTC = ListedAsset("WBTC", 11, 7300, 970_005_000_000, 970_005_000_001, 7)


def unsigned(
    collateral: Sequence[Secret], debt: Sequence[Secret], assets: Sequence[ListedAsset], *, ranges_checked: bool = True
) -> Snapshot:
    """Return a snapshot of these secrets that nobody has signed yet."""
    return Snapshot(
        attester=public_key(SEED),
        subject="Fund I",
        unit="USD",
        accounts=2,
        taken_at_s=NOW_S,
        expires_at_s=NOW_S + 86_400,
        block=Block(1, 23_000_000, hashlib.sha256(b"block").digest()),
        ranges_checked=ranges_checked,
        caveats=("oracle of ETH is late",),
        assets=tuple(assets),
        collateral=committed(collateral),
        debt=committed(debt),
    )


def standard(mode: Mode, *, seed: bytes = b"standard", floor_bps: int = 12_500) -> Story:
    """Return 10 ETH against 15,000 USDC on a list of three: health 1.3834."""
    draw = drawing(seed)
    held = [10 * 10**10, *[0] * 15]
    owed = [0, 15_000 * 10**7, *[0] * 14]
    collateral, debt = (tuple(Secret(value, draw()) for value in values) for values in (held, owed))
    snapshot = signed(unsigned(collateral, debt, (ETH, USDC, WBTC)), SEED, STANDARD)
    openings = Openings(digest(snapshot), collateral, debt)
    nonce = hashlib.sha256(seed).digest()
    return Story(snapshot, openings, prove(snapshot, openings, mode, floor_bps, nonce, NOW_S + 30, draw=draw))


def small(dice: Random, mode: Mode | None = None) -> Story:
    """Return a random story of the small profile, every field of the statement varied."""
    draw = drawing(dice.randbytes(16))
    floor_bps = dice.choice(list(FLOORS.values()))
    assets, collateral, debt = _borrowed(dice, floor_bps) if dice.random() < 0.6 else _unborrowed(dice)
    secrets = [tuple(Secret(value, draw()) for value in values) for values in (collateral, debt)]
    taken_at_s = dice.randrange(1, 2**33)
    seed = dice.randbytes(32)
    snapshot = signed(
        Snapshot(
            attester=bytes(32),
            subject=_words(dice, 0, 100),
            unit=_words(dice, 1, 40),
            accounts=dice.randint(1, 1000),
            taken_at_s=taken_at_s,
            expires_at_s=taken_at_s + dice.randrange(61, 10**6),
            block=Block(dice.randrange(1, 2**64), dice.randrange(2**64), dice.randbytes(32))
            if dice.random() < 0.5
            else None,
            ranges_checked=mode is not Mode.FULL,
            caveats=tuple(_words(dice, 1, 200) for _ in range(dice.choice((0, 0, 1, 16)))),
            assets=assets,
            collateral=committed(secrets[0]),
            debt=committed(secrets[1]),
        ),
        seed,
        SMALL,
    )
    openings = Openings(digest(snapshot, SMALL), *secrets)
    chosen = mode or dice.choice((Mode.SURPLUS_ONLY, Mode.SURPLUS_ONLY, Mode.FULL))
    nonce, made_at_s = dice.randbytes(dice.randint(16, 64)), dice.randrange(2**33)
    proof = prove(snapshot, openings, chosen, floor_bps, nonce, made_at_s, profile=SMALL, draw=draw)
    return Story(snapshot, openings, proof, "small", seed)


def _borrowed(dice: Random, floor_bps: int) -> tuple[tuple[ListedAsset, ...], list[int], list[int]]:
    """Return one part of A held and one of B owed, with a threshold that leaves a surplus of 0 to 14."""
    threshold = floor_bps // 2 + dice.randint(0, min(7, 10_000 - floor_bps // 2))
    a, b = (
        ListedAsset(name, dice.randint(0, 36), bps, price, price, dice.choice((None, dice.randrange(2**128))))
        for name, bps, price in ((_words(dice, 1, 39) + "a", threshold, 2), (_words(dice, 1, 39) + "b", 0, 1))
    )
    return (a, b), [1, dice.randint(0, 1)], [0, 1]


def _unborrowed(dice: Random) -> tuple[tuple[ListedAsset, ...], list[int], list[int]]:
    name = _words(dice, 1, 40)
    listed = ListedAsset(name, dice.randint(0, 36), dice.randint(0, 7), 2, dice.randint(2, 3), None)
    return (listed,), [dice.randint(0, 1), dice.randint(0, 1)], [0, dice.randint(0, 1)]


def _words(dice: Random, low: int, high: int) -> str:
    return "".join(chr(dice.randint(32, 126)) for _ in range(dice.randint(low, high)))


def random_standard(dice: Random, mode: Mode) -> Story:
    """Return a random story of the standard profile: 1 to 16 assets, amounts of every size, a floor that holds."""
    draw = drawing(dice.randbytes(16))
    names = dice.sample([f"A{number}" for number in range(99)], dice.randint(1, 16))
    assets = [
        ListedAsset(name, dice.randint(0, 18), dice.randint(0, 10_000), price := dice.randrange(1, 10**12), price)
        for name in names
    ]
    floor_bps = dice.choice(list(FLOORS.values()))
    held, owed = [0] * 16, [0] * 16
    for place, entry in enumerate(assets):
        held[place] = dice.randrange(2 ** dice.randint(1, 64))
        worth = held[place] * entry.price_down * entry.threshold_bps
        owed[place] = min(2**64 - 1, dice.randint(0, worth // (entry.price_up * floor_bps)))
    collateral, debt = (tuple(Secret(value, draw()) for value in values) for values in (held, owed))
    snapshot = signed(unsigned(collateral, debt, assets), SEED, STANDARD)
    openings = Openings(digest(snapshot), collateral, debt)
    proof = prove(snapshot, openings, mode, floor_bps, dice.randbytes(32), NOW_S + 30, draw=draw)
    return Story(snapshot, openings, proof)
