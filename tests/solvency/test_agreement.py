"""Both verifiers give the same verdict on random and on mutated proofs: 1,000 of each small, and some of full size."""

from collections.abc import Sequence
from dataclasses import replace
from random import Random

import pytest

from marginline.solvency.attester import public_key
from marginline.solvency.statement import FLOORS, Mode
from tests.solvency import other
from tests.solvency.cases import Case, Story, small, standard, why_not

COUNT = 1000


def verdicts(cases: Sequence[Case]) -> tuple[list[bool], list[bool]]:
    """Return whether our verifier and the second one accept each case."""
    return [not why_not(case) for case in cases], [answer["valid"] for answer in other.ask(cases)]


def flipped(data: bytes, dice: Random) -> bytes:
    """Return `data` with one bit changed."""
    at = dice.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << dice.randrange(8),)) + data[at + 1 :]


def mutated(story: Story, dice: Random) -> Case:
    """Return the story with one thing changed that makes it false, or another's."""
    own, proof, asked = story.snapshot, story.proof, story.asked
    match dice.randrange(9):
        case 0 | 1 | 2:
            return story.case(proof=replace(proof, data=flipped(proof.data, dice)))
        case 3:
            bent = replace(own, signature=flipped(own.signature, dice))
            return story.case(snapshot=bent)
        case 4:
            entry = replace(own.assets[0], threshold_bps=own.assets[0].threshold_bps ^ 1)
            bent = story.signed(assets=(entry, *own.assets[1:]))
            return story.case(snapshot=bent, proof=story.proof_of(bent))
        case 5:
            bent = story.signed(debt=(flipped(own.debt[0], dice), *own.debt[1:]))
            return story.case(snapshot=bent, proof=story.proof_of(bent))
        case 6:
            late = replace(asked, now_s=own.expires_at_s + dice.randrange(2))
            strange = replace(asked, attester=public_key(dice.randbytes(32)))
            old = replace(asked, nonce=flipped(asked.nonce, dice))
            return story.case(asked=dice.choice((late, strange, old)))
        case 7:
            other_floor = dice.choice([bps for bps in FLOORS.values() if bps != proof.floor_bps])
            return story.case(proof=replace(proof, floor_bps=other_floor))
        case _:
            mode = Mode.FULL if proof.mode is Mode.SURPLUS_ONLY else Mode.SURPLUS_ONLY
            return story.case(proof=replace(proof, mode=mode))


def scribbled(story: Story, dice: Random) -> Case:
    """Return the story with one character of its documents replaced, left out or put in."""
    whole = story.case()
    name = dice.choice(("snapshot", "proof"))
    text = getattr(whole, name)
    at, character = dice.randrange(len(text)), chr(dice.randrange(32, 127))
    texts = (text[:at] + character + text[at + 1 :], text[:at] + text[at + 1 :], text[:at] + character + text[at:])
    return replace(whole, **{name: dice.choice(texts)})


@pytest.fixture(scope="module")
def stories() -> list[Story]:
    dice = Random(20261127)
    return [small(dice) for _ in range(COUNT)]


def test_both_accept_a_thousand_random_proofs(stories: list[Story]) -> None:
    other.require()
    ours, theirs = verdicts([story.case() for story in stories])
    assert all(ours)
    assert all(theirs)
    assert {story.proof.mode for story in stories} == set(Mode)
    assert {story.proof.floor_bps for story in stories} == set(FLOORS.values())


def test_both_reject_a_thousand_mutated_proofs(stories: list[Story]) -> None:
    other.require()
    dice = Random(7)
    cases = [mutated(story, dice) for story in stories]
    ours, theirs = verdicts(cases)
    assert not any(ours)
    assert not any(theirs)


def test_both_agree_on_scribbled_documents(stories: list[Story]) -> None:
    """A changed blank may leave a document what it was; then both still accept it."""
    other.require()
    dice = Random(11)
    ours, theirs = verdicts([scribbled(story, dice) for story in stories[:300]])
    assert ours == theirs
    assert 0 < sum(ours) < 30


def test_both_agree_on_proofs_of_full_size() -> None:
    other.require()
    dice = Random(3)
    honest = [standard(Mode.SURPLUS_ONLY, seed=bytes((i,)), floor_bps=12_500 if i else 11_000) for i in range(3)]
    whole = standard(Mode.FULL)
    bent = [story.case(proof=replace(story.proof, data=flipped(story.proof.data, dice))) for story in honest]
    first = flipped(whole.proof.data[32:64], dice)
    bit = whole.case(proof=replace(whole.proof, data=whole.proof.data[:32] + first + whole.proof.data[64:]))
    ours, theirs = verdicts([*(story.case() for story in (*honest, whole)), *bent, bit])
    assert ours == theirs == [True] * 4 + [False] * 4
