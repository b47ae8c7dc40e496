"""One way to write each value: what is written is read back the same, and every other way to write it is refused."""

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.reading import DocumentError
from marginline.solvency import group
from marginline.solvency.documents import (
    parse_openings,
    parse_proof,
    parse_snapshot,
    render_openings,
    render_proof,
    render_snapshot,
)
from marginline.solvency.proof import Openings
from marginline.solvency.ranges import Secret
from marginline.solvency.statement import STANDARD, Block, ListedAsset, Mode, Proof, Snapshot, message
from tests.solvency import other
from tests.solvency.attacks import BAD_POINTS
from tests.solvency.cases import SMALL, Case, Story, small, standard

ascii_text = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40)
words = ascii_text.filter(bool)
seconds = st.integers(0, 2**33)
points = st.binary(min_size=32, max_size=32)
scalars = st.integers(0, group.ORDER - 1)


@st.composite
def listed(draw: Callable[..., Any]) -> ListedAsset:
    price = draw(st.integers(1, 2**56 - 1))
    rounds = st.none() | st.integers(0, 2**128 - 1)
    up = price + draw(st.integers(0, 1))
    return ListedAsset(draw(words), draw(st.integers(0, 36)), draw(st.integers(0, 10_000)), price, up, draw(rounds))


snapshots = st.builds(
    Snapshot,
    attester=points,
    subject=ascii_text,
    unit=words,
    accounts=st.integers(1, 1000),
    taken_at_s=seconds,
    expires_at_s=seconds,
    block=st.none()
    | st.builds(Block, chain_id=st.integers(1, 2**64 - 1), number=st.integers(0, 2**64 - 1), hash=points),
    ranges_checked=st.booleans(),
    caveats=st.lists(words, max_size=16).map(tuple),
    assets=st.lists(listed(), min_size=1, max_size=16, unique_by=lambda entry: entry.asset).map(tuple),
    collateral=st.tuples(*[points] * 16),
    debt=st.tuples(*[points] * 16),
    signature=st.binary(min_size=64, max_size=64),
)
proofs = st.builds(
    Proof,
    mode=st.sampled_from(Mode),
    floor_bps=st.sampled_from([11_000, 12_500, 15_000, 20_000]),
    nonce=st.binary(min_size=16, max_size=64),
    made_at_s=seconds,
    snapshot=st.binary(min_size=64, max_size=64),
    data=st.binary(min_size=1, max_size=300),
)
secrets = st.builds(Secret, value=st.integers(0, 2**64 - 1), blinding=scalars)
openings = st.builds(
    Openings,
    snapshot=st.binary(min_size=64, max_size=64),
    collateral=st.tuples(*[secrets] * 16),
    debt=st.tuples(*[secrets] * 16),
)


@given(snapshots)
def test_a_snapshot_is_read_back_as_it_was_written(snapshot: Snapshot) -> None:
    assert parse_snapshot(json.dumps(render_snapshot(snapshot))) == snapshot


@given(proofs)
def test_a_proof_is_read_back_as_it_was_written(proof: Proof) -> None:
    assert parse_proof(json.dumps(render_proof(proof))) == proof


@given(openings, seconds)
def test_openings_are_read_back_as_they_were_written(secret: Openings, at_s: int) -> None:
    assert parse_openings(json.dumps(render_openings(secret, at_s))) == secret
    assert not any(str(one.value) in repr(secret) for one in secret.collateral if one.value > 10**6)


@given(snapshots, snapshots)
def test_two_snapshots_share_a_message_only_if_they_differ_in_nothing_but_the_signature(
    one: Snapshot, two: Snapshot
) -> None:
    bare_one, bare_two = replace(one, signature=b""), replace(two, signature=b"")
    assert (message(one) == message(two)) == (bare_one == bare_two)


@given(scalars)
def test_a_scalar_is_written_one_way_below_the_order(value: int) -> None:
    written = group.scalar_bytes(value)
    assert int.from_bytes(written, "little") == value
    assert group.is_scalar(written)
    assert not group.is_scalar((value + group.ORDER).to_bytes(32, "little"))
    assert group.scalar_bytes(value + group.ORDER) == written


@given(scalars)
def test_a_point_is_written_one_way(value: int) -> None:
    point = group.times_base(value)
    assert group.is_point(point)
    element = int.from_bytes(point, "little")
    for same in (element + 2**255 - 19, element + 2**255, (2**255 - 19 - element) % (2**255 - 19)):
        if same < 2**256 and same != element:
            assert not group.is_point(same.to_bytes(32, "little"))


@pytest.mark.parametrize("name", BAD_POINTS)
def test_what_encodes_no_point_is_none(name: str) -> None:
    assert not group.is_point(BAD_POINTS[name])


def test_bytes_of_another_length_are_neither_point_nor_scalar() -> None:
    for size in (0, 31, 33, 64):
        assert not group.is_point(bytes(size))
        assert not group.is_scalar(bytes(size))


@given(scalars, scalars, st.integers(0, 2**64), st.integers(0, 2**64))
def test_commitments_add_up(r: int, s: int, v: int, w: int) -> None:
    assert group.add(group.commit(v, r), group.commit(w, s)) == group.commit(v + w, r + s)


def _changes(document: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return (path, value) pairs, each of which spoils a rendered snapshot or proof."""
    spoiled: list[tuple[str, Any]] = [(f"{key}", None) for key in document if key != "block"]
    spoiled += [("unheard", 1), ("as_of", "2027-01-15T08:00:00.0Z"), ("as_of", "2027-02-30T08:00:00Z")]
    spoiled += [("as_of", "2027-01-15 08:00:00Z"), ("as_of", "2027-01-15T24:00:00Z"), ("as_of", 1_800_000_000)]
    spoiled += [("as_of", "1969-12-31T23:59:59Z"), ("schema", "marginline.portfolio/1"), ("degraded", "none")]
    return spoiled


def _snapshot_changes(document: dict[str, Any]) -> list[tuple[str, Any]]:
    integers = ["accounts", "assets.0.decimals", "assets.0.threshold_bps", "assets.0.price_down", "assets.0.price_up"]
    integers += ["assets.0.round_id", "block.chain_id", "block.number"]
    bad_integers = ["", "01", "+1", "-1", "1.0", "1e3", " 1", "0x1", "١", 1, 1.5, True, "9" * 40]
    hexes = ["attester", "signature", "block.hash", "collateral.0", "debt.1"]
    bad_hexes = ["", "0x" + "ab" * 32, "AB" * 32, "ab" * 31, "ab" * 33, "ab" * 31 + "a", "zz" * 32, 7, ["ab" * 32]]
    spoiled = _changes(document)
    spoiled += [(path, value) for path in integers for value in bad_integers]
    spoiled += [(path, value) for path in hexes for value in bad_hexes]
    spoiled += [(path, value) for path in ("subject", "unit") for value in ("é", "a\n", "\x1b[31m", 5, "x" * 101)]
    spoiled += [("unit", ""), ("accounts", "0"), ("accounts", "1001"), ("block.chain_id", "0"), ("block", {})]
    spoiled += [("assets.0.threshold_bps", "10001"), ("assets.0.decimals", "37"), ("assets.0.asset", "")]
    spoiled += [("assets.0.price_up", str(int(document["assets"][0]["price_down"]) + 2)), ("assets", [])]
    spoiled += [("assets.0.more", "1"), ("block.more", "1"), ("ranges_checked", 1), ("ranges_checked", "true")]
    spoiled += [("assets", [document["assets"][0]] * 2), ("collateral", document["collateral"][:1])]
    spoiled += [("debt", [*document["debt"], document["debt"][0]]), ("degraded", ["x"] * 17), ("degraded", [""])]
    return spoiled


def _proof_changes(document: dict[str, Any]) -> list[tuple[str, Any]]:
    spoiled = [*_changes(document), ("degraded", ["late"]), ("proof", ""), ("proof", document["proof"].upper())]
    spoiled += [("floor", value) for value in ("1.10", "1.3", "12500", 1.25, "", "toString")]
    spoiled += [("mode", value) for value in ("Full", "", 0, "toString", "surplus_only")]
    spoiled += [("nonce", value) for value in ("ab" * 15, "ab" * 65, "", "0x" + "ab" * 16)]
    return spoiled


def _with(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    bent = deepcopy(document)
    *parents, last = path.split(".")
    node: Any = bent
    for step in parents:
        node = node[int(step)] if step.isdigit() else node[step]
    node[int(last) if last.isdigit() else last] = value
    return bent


def _without(document: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in document.items() if name != key}


def _story() -> Story:
    dice = Random(5)
    story = small(dice, Mode.SURPLUS_ONLY)
    first = replace(story.snapshot.assets[0], round_id=5)
    return replace(story, snapshot=replace(story.snapshot, block=Block(1, 2, bytes(32)), assets=(first,)))


def spoiled_snapshots(story: Story) -> list[str]:
    """Return documents that are almost the story's snapshot, each wrong in one place."""
    own = render_snapshot(story.snapshot)
    texts = [json.dumps(_with(own, path, value)) for path, value in _snapshot_changes(own)]
    texts += [json.dumps(_without(own, key)) for key in own]
    whole = json.dumps(own)
    texts += [whole.replace('"unit"', '"unit": "USD", "unit"', 1), whole + "x", "[]", "null", "", "{", whole + whole]
    return texts


def spoiled_proofs(story: Story) -> list[str]:
    """Return documents that are almost the story's proof, each wrong in one place."""
    own = render_proof(story.proof)
    texts = [json.dumps(_with(own, path, value)) for path, value in _proof_changes(own)]
    texts += [json.dumps(_without(own, key)) for key in own]
    whole = json.dumps(own)
    return [*texts, whole.replace('"mode"', '"mode": "full", "mode"', 1), "[]", "3"]


def test_every_other_way_to_write_a_document_is_refused_by_name() -> None:
    story = _story()
    for text in spoiled_snapshots(story):
        with pytest.raises(DocumentError) as raised:
            parse_snapshot(text, SMALL)
        assert len(str(raised.value)) < 500
    for text in spoiled_proofs(story):
        with pytest.raises(DocumentError):
            parse_proof(text)


def test_the_second_verifier_refuses_the_same_documents() -> None:
    other.require()
    story = _story()
    whole = story.case()
    cases = [Case(text, whole.proof, whole.asked, "small") for text in spoiled_snapshots(story)]
    cases += [Case(whole.snapshot, text, whole.asked, "small") for text in spoiled_proofs(story)]
    shape = {"attester", "signature", "expired", "commitment", "another snapshot", "nonce", "challenge", "length"}
    reasons = [answer["reason"] for answer in other.ask(cases)]
    assert all(reasons)
    assert not [reason for reason in reasons if reason in shape]


def test_an_error_in_the_openings_shows_no_secret() -> None:
    story = standard(Mode.SURPLUS_ONLY)
    own = render_openings(story.openings, 1)
    for path, value in (("collateral.0.amount", "0123456789"), ("collateral.0.blinding", "f" * 64), ("debt", [])):
        with pytest.raises(DocumentError) as raised:
            parse_openings(json.dumps(_with(own, path, value)))
        assert path.split(".")[0] in str(raised.value)
        assert "0123456789" not in str(raised.value)
        assert "ffff" not in str(raised.value)


def test_the_profile_is_part_of_the_message() -> None:
    snapshot = small(Random(1)).snapshot
    places = replace(snapshot, collateral=(), debt=())
    assert message(places, SMALL)[33:36] == bytes((2, 1, 4))
    assert message(places, STANDARD)[33:36] == bytes((16, 64, 128))
