"""The published vectors: made again byte for byte, and judged alike by both verifiers."""

import json
from typing import Any

from marginline.solvency.documents import parse_proof, parse_snapshot
from marginline.solvency.proof import Asked
from marginline.solvency.statement import FLOORS, Mode, digest, message
from tests.solvency import other
from tests.solvency.cases import Case, standard, why_not
from tests.solvency.make_vectors import FOLDER, written


def cases(name: str) -> list[Case]:
    """Return the cases of a file."""
    return [_case(json.loads(line)) for line in (FOLDER / name).read_text().splitlines()]


def _case(line: dict[str, Any]) -> Case:
    asked = line["asked"]
    floor_bps = FLOORS[asked["floor"]] if "floor" in asked else 0
    wanted = Asked(
        bytes.fromhex(asked["attester"]), bytes.fromhex(asked["nonce"]), int(asked["now"]), floor_bps, asked["full"]
    )
    return Case(line["snapshot"], line["proof"], wanted, line["profile"], line.get("why", ""))


def test_the_vectors_are_what_the_prover_makes_from_their_seeds() -> None:
    made = written()
    assert {path.name for path in FOLDER.iterdir()} == {*made, "README.md"}
    for name, content in made.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == content, name


def test_our_verifier_accepts_and_rejects_the_vectors() -> None:
    assert [why_not(case) for case in cases("accepted.jsonl")] == ["", "", ""]
    assert all(why_not(case) for case in cases("rejected.jsonl"))


def test_the_second_verifier_accepts_and_rejects_the_vectors() -> None:
    other.require()
    good, bad = cases("accepted.jsonl"), cases("rejected.jsonl")
    assert len({case.why for case in bad}) == len(bad) > 20
    assert [answer["valid"] for answer in other.ask([*good, *bad])] == [True] * len(good) + [False] * len(bad)


def test_the_documents_carry_the_published_values() -> None:
    known = json.loads((FOLDER / "values.json").read_text())
    snapshot = parse_snapshot((FOLDER / "snapshot.json").read_bytes())
    proof = parse_proof((FOLDER / "proof.json").read_bytes())
    assert message(snapshot).hex() == known["message"]
    assert digest(snapshot).hex() == known["digest"] == proof.snapshot.hex()
    assert proof.data[:32].hex() == known["challenge"]
    assert known["H"] in (FOLDER.parents[2] / "docs" / "solvency-proof.md").read_text()


def test_sizes_are_those_of_the_specification() -> None:
    assert len(standard(Mode.SURPLUS_ONLY).proof.data) == 16_416
    assert json.loads((FOLDER / "values.json").read_text())["full_proof_bytes"] == 278_560


def test_two_proofs_of_one_statement_share_no_bytes() -> None:
    """Blindings and announcements are drawn anew: a repeated one would give the amounts away."""
    from marginline.solvency.proof import prove

    story = standard(Mode.SURPLUS_ONLY)
    one, two = (
        prove(story.snapshot, story.openings, Mode.SURPLUS_ONLY, 12_500, story.proof.nonce, 1).data for _ in range(2)
    )
    parts = [{data[at : at + 32] for at in range(0, len(data), 32)} for data in (one, two)]
    assert len(parts[0]) == len(parts[1]) == len(one) // 32
    assert not parts[0] & parts[1]
