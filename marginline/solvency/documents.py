"""The three envelopes as JSON: snapshot, openings, proof; one way to write each value, every other way is refused.

Integers are decimal strings without leading zeros, bytes lower-case hex of fixed length, times RFC 3339 in UTC with
whole seconds; every key is required, none is optional (`docs/solvency-proof.md`, 9).
"""

import re
from collections.abc import Callable, Sequence
from typing import TypeVar

from engine.reading import SECOND_NS, DocumentError, Node, read_json
from engine.rendering import timestamp
from marginline.solvency.attester import KEY_SIZE, SIGNATURE_SIZE
from marginline.solvency.group import ORDER, SIZE, scalar_bytes
from marginline.solvency.holdings import MAX_ACCOUNTS, MAX_NAME
from marginline.solvency.proof import MAX_NONCE, MIN_NONCE, Openings
from marginline.solvency.ranges import Secret
from marginline.solvency.statement import (
    BPS,
    FLOORS,
    STANDARD,
    Block,
    ListedAsset,
    Mode,
    Profile,
    Proof,
    Snapshot,
)

T = TypeVar("T")

SNAPSHOT_SCHEMA = "marginline.snapshot/1"
OPENINGS_SCHEMA = "marginline.openings/1"
PROOF_SCHEMA = "marginline.proof/1"
DIGEST_SIZE = 64
MAX_CAVEATS, MAX_CAVEAT, MAX_SUBJECT = 16, 200, 100
MAX_DECIMALS = 36
_ENVELOPE = ("schema", "as_of", "degraded")
_SNAPSHOT_KEYS = (
    *_ENVELOPE,
    "subject",
    "unit",
    "accounts",
    "expires_at",
    "block",
    "ranges_checked",
    "assets",
    "collateral",
    "debt",
    "attester",
    "signature",
)
_ASSET_KEYS = ("asset", "decimals", "threshold_bps", "price_down", "price_up", "round_id")
_INTEGER = re.compile(r"0|[1-9][0-9]{0,38}", re.ASCII)
_TEXT = re.compile(r"[ -~]*", re.ASCII)
_FLOOR_TEXT = {bps: text for text, bps in FLOORS.items()}


def render_snapshot(snapshot: Snapshot) -> dict[str, object]:
    """Return the envelope of a signed snapshot, ready for JSON."""
    block = snapshot.block
    return {
        "schema": SNAPSHOT_SCHEMA,
        "as_of": _moment(snapshot.taken_at_s),
        "degraded": list(snapshot.caveats),
        "subject": snapshot.subject,
        "unit": snapshot.unit,
        "accounts": str(snapshot.accounts),
        "expires_at": _moment(snapshot.expires_at_s),
        "block": None
        if block is None
        else {"chain_id": str(block.chain_id), "number": str(block.number), "hash": block.hash.hex()},
        "ranges_checked": snapshot.ranges_checked,
        "assets": [
            {
                "asset": entry.asset,
                "decimals": str(entry.decimals),
                "threshold_bps": str(entry.threshold_bps),
                "price_down": str(entry.price_down),
                "price_up": str(entry.price_up),
                "round_id": None if entry.round_id is None else str(entry.round_id),
            }
            for entry in snapshot.assets
        ],
        "collateral": [commitment.hex() for commitment in snapshot.collateral],
        "debt": [commitment.hex() for commitment in snapshot.debt],
        "attester": snapshot.attester.hex(),
        "signature": snapshot.signature.hex(),
    }


def parse_snapshot(text: str | bytes, profile: Profile = STANDARD) -> Snapshot:
    """Return the snapshot in `text`; raises `DocumentError` naming the key that is wrong."""
    root = _root(text, SNAPSHOT_SCHEMA, _SNAPSHOT_KEYS)
    checked = root.required("ranges_checked").boolean()
    assets = tuple(_asset(node) for node in root.required("assets").items(profile.assets))
    names = [entry.asset for entry in assets]
    if not names or len(set(names)) != len(names):
        raise DocumentError("assets", "must name at least one asset, none of them twice")
    return Snapshot(
        attester=_bytes(root.required("attester"), KEY_SIZE),
        subject=_text(root, "subject", 0, MAX_SUBJECT),
        unit=_text(root, "unit", 1, MAX_NAME),
        accounts=_integer(root, "accounts", 1, MAX_ACCOUNTS),
        taken_at_s=_seconds(root, "as_of"),
        expires_at_s=_seconds(root, "expires_at"),
        block=_block(root),
        ranges_checked=checked,
        caveats=tuple(_printable(node, 1, MAX_CAVEAT) for node in root.required("degraded").items(MAX_CAVEATS)),
        assets=assets,
        collateral=_places(root, "collateral", profile, lambda node: _bytes(node, SIZE)),
        debt=_places(root, "debt", profile, lambda node: _bytes(node, SIZE)),
        signature=_bytes(root.required("signature"), SIGNATURE_SIZE),
    )


def _asset(node: Node) -> ListedAsset:
    _exactly(node, _ASSET_KEYS, {"round_id"})
    down = _integer(node, "price_down", 0, 2**56 - 1)
    return ListedAsset(
        _text(node, "asset", 1, MAX_NAME),
        _integer(node, "decimals", 0, MAX_DECIMALS),
        _integer(node, "threshold_bps", 0, BPS),
        down,
        _integer(node, "price_up", max(down, 1), down + 1),
        None if node.child("round_id") is None else _integer(node, "round_id", 0, 2**128 - 1),
    )


def _block(root: Node) -> Block | None:
    node = root.child("block")
    if node is None:
        return None
    _exactly(node, ("chain_id", "number", "hash"))
    return Block(
        _integer(node, "chain_id", 1, 2**64 - 1),
        _integer(node, "number", 0, 2**64 - 1),
        _bytes(node.required("hash"), 32),
    )


def render_openings(openings: Openings, as_of_s: int) -> dict[str, object]:
    """Return the envelope of secret openings, ready for JSON."""
    return {
        "schema": OPENINGS_SCHEMA,
        "as_of": _moment(as_of_s),
        "degraded": [],
        "snapshot": openings.snapshot.hex(),
        "collateral": [_render_secret(secret) for secret in openings.collateral],
        "debt": [_render_secret(secret) for secret in openings.debt],
    }


def _render_secret(secret: Secret) -> dict[str, str]:
    return {"amount": str(secret.value), "blinding": scalar_bytes(secret.blinding).hex()}


def parse_openings(text: str | bytes, profile: Profile = STANDARD) -> Openings:
    """Return the openings in `text`; raises `DocumentError`, which never shows a secret value."""
    root = _root(text, OPENINGS_SCHEMA, (*_ENVELOPE, "snapshot", "collateral", "debt"))
    _seconds(root, "as_of")
    root.required("degraded").items(0)
    return Openings(
        _bytes(root.required("snapshot"), DIGEST_SIZE),
        _places(root, "collateral", profile, _secret),
        _places(root, "debt", profile, _secret),
    )


def _secret(node: Node) -> Secret:
    _exactly(node, ("amount", "blinding"))
    amount, blinding = node.required("amount"), node.required("blinding")
    if not isinstance(amount.value, str) or not _INTEGER.fullmatch(amount.value):
        raise amount.fail("must be a whole number as a string, without leading zeros")
    value = _bytes(blinding, SIZE)
    if int.from_bytes(value, "little") >= ORDER:
        raise blinding.fail("is not below the group's order")
    return Secret(int(amount.value), int.from_bytes(value, "little"))


def render_proof(proof: Proof) -> dict[str, object]:
    """Return the envelope of a proof, ready for JSON."""
    return {
        "schema": PROOF_SCHEMA,
        "as_of": _moment(proof.made_at_s),
        "degraded": [],
        "mode": proof.mode.value,
        "floor": _FLOOR_TEXT[proof.floor_bps],
        "nonce": proof.nonce.hex(),
        "snapshot": proof.snapshot.hex(),
        "proof": proof.data.hex(),
    }


def parse_proof(text: str | bytes) -> Proof:
    """Return the proof in `text`; raises `DocumentError` naming the key that is wrong."""
    root = _root(text, PROOF_SCHEMA, (*_ENVELOPE, "mode", "floor", "nonce", "snapshot", "proof"))
    root.required("degraded").items(0)
    return Proof(
        Mode(root.required("mode").choice([mode.value for mode in Mode])),
        FLOORS[root.required("floor").choice(FLOORS)],
        nonce_bytes(root.required("nonce")),
        _seconds(root, "as_of"),
        _bytes(root.required("snapshot"), DIGEST_SIZE),
        _bytes(root.required("proof")),
    )


def nonce_bytes(node: Node) -> bytes:
    """Return a nonce of 16 to 64 bytes given as hex."""
    nonce = _bytes(node)
    if not MIN_NONCE <= len(nonce) <= MAX_NONCE:
        raise node.fail(f"has {len(nonce)} bytes, {MIN_NONCE} to {MAX_NONCE} are needed")
    return nonce


def _root(text: str | bytes, schema: str, keys: Sequence[str]) -> Node:
    root = read_json(text)
    found = root.required("schema")
    if found.value != schema:
        raise found.fail(f"must be {schema}")
    _exactly(root, keys, {"block"} if "block" in keys else set())
    return root


def _exactly(node: Node, keys: Sequence[str], may_be_null: set[str] | frozenset[str] = frozenset()) -> None:
    """Refuse any other set of keys than `keys`; all but a few of them need a value."""
    node.keys(keys)
    for key in keys:
        is_null = isinstance(node.value, dict) and key in node.value and node.value[key] is None
        if not (is_null and key in may_be_null):
            node.required(key)


def _places(root: Node, key: str, profile: Profile, read: Callable[[Node], T]) -> tuple[T, ...]:
    found = root.required(key)
    items = found.items(profile.assets)
    if len(items) != profile.assets:
        raise found.fail(f"holds {len(items)} items, {profile.assets} are needed")
    return tuple(read(item) for item in items)


def _bytes(node: Node, size: int | None = None) -> bytes:
    value = node.value
    if not isinstance(value, str) or not re.fullmatch(r"(?:[0-9a-f]{2})+", value, re.ASCII):
        raise node.fail("must be bytes in lower-case hex, without 0x")
    if size is not None and len(value) != 2 * size:
        raise node.fail(f"has {len(value) // 2} bytes, {size} are needed")
    return bytes.fromhex(value)


def _integer(node: Node, key: str, low: int, high: int) -> int:
    found = node.required(key)
    if not isinstance(found.value, str) or not _INTEGER.fullmatch(found.value):
        raise found.fail("must be a whole number as a string, without leading zeros")
    value = int(found.value)
    if not low <= value <= high:
        raise found.fail(f"{value} is outside {low} to {high}")
    return value


def _text(node: Node, key: str, low: int, high: int) -> str:
    return _printable(node.required(key), low, high)


def _printable(node: Node, low: int, high: int) -> str:
    value = node.value
    if not isinstance(value, str) or not low <= len(value) <= high or not _TEXT.fullmatch(value):
        raise node.fail(f"must be {low} to {high} printable ASCII characters")
    return value


def _seconds(node: Node, key: str) -> int:
    found = node.required(key)
    seconds, rest = divmod(found.moment_ns(), SECOND_NS)
    if rest or seconds < 0 or _moment(seconds) != found.value:
        raise found.fail("must be a time in UTC with whole seconds, such as 2026-11-22T10:00:00Z")
    return seconds


def _moment(seconds: int) -> str:
    return timestamp(seconds * SECOND_NS)
