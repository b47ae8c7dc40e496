"""Make the test vectors: `python -m tests.solvency.make_vectors` writes `tests/fixtures/solvency/`."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

from marginline.solvency.attester import public_key
from marginline.solvency.documents import render_proof, render_snapshot
from marginline.solvency.group import BASE, FIELD, IDENTITY, ORDER, generator_h, scalar_bytes
from marginline.solvency.proof import surplus
from marginline.solvency.statement import STANDARD, Mode, digest, message
from tests.solvency.cases import SEED, Case, Story, small, standard

FOLDER = Path(__file__).resolve().parents[1] / "fixtures" / "solvency"


def values() -> dict[str, Any]:
    """Return the intermediate values of the standard vectors, for whoever writes a verifier step by step."""
    story, whole = standard(Mode.SURPLUS_ONLY), standard(Mode.FULL)
    return {
        "G": BASE.hex(),
        "H": generator_h().hex(),
        "attester_seed": SEED.hex(),
        "attester": public_key(SEED).hex(),
        "message": message(story.snapshot).hex(),
        "digest": digest(story.snapshot).hex(),
        "floor": "1.25",
        "V": surplus(story.snapshot, story.proof.floor_bps, STANDARD).hex(),
        "challenge": story.proof.data[:32].hex(),
        "amounts": {
            side: [str(secret.value) for secret in getattr(story.openings, side)] for side in ("collateral", "debt")
        },
        "full_proof_bytes": len(whole.proof.data),
        "full_proof_sha256": hashlib.sha256(whole.proof.data).hexdigest(),
    }


def accepted() -> list[Case]:
    """Return proofs that hold: one standard, and small ones in both modes."""
    dice = Random(1)
    stories = [standard(Mode.SURPLUS_ONLY), small(dice, Mode.SURPLUS_ONLY), small(dice, Mode.FULL)]
    return [story.case() for story in stories]


def rejected() -> list[Case]:
    """Return small proofs that do not hold, each for one reason."""
    story = small(Random(2), Mode.SURPLUS_ONLY)
    return [*_by_statement(story), *_by_proof(story), *_by_shape(story)]


def _by_statement(story: Story) -> Iterator[Case]:
    own, asked = story.snapshot, story.asked
    entry = own.assets[0]
    dearer = story.signed(assets=(replace(entry, price_down=entry.price_up + 1, price_up=entry.price_up + 1),))
    heavy = story.signed(assets=(replace(entry, price_down=2**56 - 1, price_up=2**56 - 1),))
    unchecked = story.signed(ranges_checked=False)
    bare = story.signed(collateral=(IDENTITY, own.collateral[1]))
    for bent, why in (
        (dearer, "the snapshot was signed again with another price"),
        (heavy, "a weight is 2^56 or more"),
        (unchecked, "surplus-only without the attester's word on ranges"),
        (bare, "a commitment is the identity"),
    ):
        yield story.case(snapshot=bent, proof=story.proof_of(bent), why=why)
    yield story.case(snapshot=replace(own, unit=own.unit[:-1] + "!"), why="the snapshot was changed after signing")
    s = int.from_bytes(own.signature[32:], "little") + ORDER
    above = own.signature[:32] + s.to_bytes(32, "little")
    yield story.case(snapshot=replace(own, signature=above), why="the signature's S is not below the order")
    yield story.case(asked=replace(asked, now_s=own.expires_at_s), why="the snapshot has expired")
    yield story.case(asked=replace(asked, attester=public_key(bytes(32))), why="another attester was asked for")
    yield story.case(asked=replace(asked, nonce=bytes(16)), why="the nonce is another verifier's")
    yield story.case(asked=replace(asked, full=True), why="a full proof was asked for")


def _by_proof(story: Story) -> Iterator[Case]:
    proof = story.proof
    data = proof.data

    def patched(at: int, part: bytes, why: str) -> Case:
        return story.case(proof=replace(proof, data=data[:at] + part + data[at + len(part) :]), why=why)

    z0 = int.from_bytes(data[96:128], "little")
    yield patched(96, scalar_bytes(z0 + 1), "a response was changed")
    yield patched(96, (z0 + ORDER).to_bytes(32, "little"), "a scalar is not below the order")
    yield patched(32, IDENTITY, "a bit commitment is the identity")
    yield patched(32, (FIELD - 1).to_bytes(32, "little"), "a bit commitment is negative")
    yield patched(32, data[32:63] + bytes((data[63] | 0x80,)), "a bit commitment has the top bit set")
    yield patched(32, data[160:192], "a bit commitment was changed")
    yield story.case(proof=replace(proof, data=data + bytes(1)), why="the proof is too long")
    yield story.case(proof=replace(proof, mode=Mode.FULL), why="surplus-only is shown as full")
    other_floor = 11_000 if proof.floor_bps != 11_000 else 12_500
    yield story.case(proof=replace(proof, floor_bps=other_floor), why="the floor was changed")
    yield story.case(proof=replace(proof, made_at_s=proof.made_at_s + 1), why="the time of the proof was changed")
    yield story.case(proof=replace(proof, snapshot=bytes(64)), why="the proof names another snapshot")


def _by_shape(story: Story) -> Iterator[Case]:
    whole = story.case()
    accounts = f'"accounts": "{story.snapshot.accounts}"'
    for text, bent, why in (
        (accounts, accounts.replace(': "', ': "0'), "an integer has a leading zero"),
        (accounts, accounts.replace('"accounts"', '"account"'), "a key is unknown"),
        (accounts, f"{accounts}, {accounts}", "a key is given twice"),
        (whole.snapshot[-30:-2], whole.snapshot[-30:-2].upper(), "bytes are in upper case"),
    ):
        yield replace(whole, snapshot=whole.snapshot.replace(text, bent), why=why)


def written() -> dict[str, str]:
    """Return name and content of every file."""
    whole = standard(Mode.SURPLUS_ONLY)
    return {
        "values.json": json.dumps(values(), indent=1) + "\n",
        "snapshot.json": json.dumps(render_snapshot(whole.snapshot), indent=1) + "\n",
        "proof.json": json.dumps(render_proof(whole.proof), indent=1) + "\n",
        "accepted.jsonl": "".join(case.line() + "\n" for case in accepted()),
        "rejected.jsonl": "".join(
            json.dumps({"why": case.why} | json.loads(case.line())) + "\n" for case in rejected()
        ),
    }


def main() -> None:
    """Write the files."""
    for name, content in written().items():
        (FOLDER / name).write_text(content, encoding="utf-8")


if __name__ == "__main__":
    main()
