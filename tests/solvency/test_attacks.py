"""Known attacks on the solvency proof, each rejected by our verifier and by the second one, for the reason meant."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from marginline.solvency.proof import Unprovable, prove
from marginline.solvency.statement import Mode
from tests.solvency import other
from tests.solvency.attacks import NEGATIVE_DEBT, cheap, forged, on_ranges, wrapped
from tests.solvency.cases import Case, standard, why_not


def _rejected(cases: Sequence[Case]) -> None:
    for case in cases:
        reason = why_not(case)
        assert case.why, "an attack without an expected reason"
        assert case.why in reason, (case.why, reason)


@pytest.fixture(scope="module")
def attacks() -> list[Case]:
    return list(cheap())


@pytest.fixture(scope="module")
def bad_ranges() -> list[Case]:
    return list(on_ranges())


def test_every_attack_is_rejected_for_its_own_reason(attacks: list[Case]) -> None:
    assert len(attacks) > 100
    _rejected(attacks)


def test_what_is_no_amount_is_rejected(bad_ranges: list[Case]) -> None:
    _rejected(bad_ranges)


def test_the_second_verifier_rejects_every_attack(attacks: list[Case], bad_ranges: list[Case]) -> None:
    other.require()
    honest = standard(Mode.SURPLUS_ONLY).case()
    answers = other.ask([honest, *attacks, *bad_ranges])
    assert answers[0] == {"valid": True, "reason": ""}
    accepted = [case.why for case, answer in zip((*attacks, *bad_ranges), answers[1:], strict=True) if answer["valid"]]
    assert not accepted


def test_a_surplus_only_proof_rests_on_the_attester_for_ranges() -> None:
    """The limit that the specification states: with a false word of the attester both verifiers accept."""
    story = standard(Mode.SURPLUS_ONLY)
    lies = [forged(story, *values, Mode.SURPLUS_ONLY, checked=True) for values in (NEGATIVE_DEBT, wrapped())]
    assert [why_not(case) for case in lies] == ["", ""]
    other.require()
    assert all(answer["valid"] for answer in other.ask(lies))


def test_a_surplus_only_proof_is_not_taken_for_a_full_one() -> None:
    small_proof, large_proof = standard(Mode.SURPLUS_ONLY), standard(Mode.FULL)
    assert why_not(large_proof.case(asked=replace(large_proof.asked, full=True))) == ""
    shown_as_full = replace(large_proof.proof, data=small_proof.proof.data)
    assert "bytes" in why_not(large_proof.case(proof=shown_as_full))
    relabelled = replace(small_proof.proof, mode=Mode.FULL, data=large_proof.proof.data)
    assert "challenge" in why_not(small_proof.case(proof=replace(relabelled, made_at_s=1)))
    as_small = replace(large_proof.proof, mode=Mode.SURPLUS_ONLY)
    assert "bytes" in why_not(large_proof.case(proof=as_small))


def test_the_prover_refuses_what_is_not_so() -> None:
    story = standard(Mode.SURPLUS_ONLY)

    def attempt(**changes: object) -> str:
        given = {"snapshot": story.snapshot, "openings": story.openings, "floor_bps": 12_500} | changes
        with pytest.raises(Unprovable) as raised:
            prove(mode=Mode.SURPLUS_ONLY, nonce=bytes(16), made_at_s=1, **given)  # type: ignore[arg-type]
        return str(raised.value)

    first, *rest = story.openings.collateral
    richer = replace(story.openings, collateral=(replace(first, value=first.value * 2), *rest))
    assert "below 1.5" in attempt(floor_bps=15_000)
    assert "does not open" in attempt(openings=richer)
    assert "another snapshot" in attempt(snapshot=standard(Mode.SURPLUS_ONLY, seed=b"other").snapshot)
    unchecked = story.signed(ranges_checked=False)
    named = replace(story.openings, snapshot=story.proof_of(unchecked).snapshot)
    assert "full mode" in attempt(snapshot=unchecked, openings=named)
