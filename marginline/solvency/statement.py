"""What is proven: the public statement, byte for byte as it is signed and hashed (`docs/solvency-proof.md`, 3 to 5).

Integers are big-endian, texts carry their length in two bytes. Prices are integers: 1e-18 of the unit per smallest part
of the asset (`10**-decimals` of it), rounded down for collateral and up for debt.
"""

import hashlib
from collections.abc import Mapping
from enum import StrEnum

from engine.record import record

SNAPSHOT_LABEL = b"marginline/solvency/v1/snapshot"
FLOORS: Mapping[str, int] = {"1.1": 11_000, "1.25": 12_500, "1.5": 15_000, "2": 20_000}
"""The floors that may be proven, in basis points. Coarse, because proofs at many floors would bracket the health."""
MAX_WEIGHT = 2**56
PRICE_SCALE = 18
BPS = 10_000


class Mode(StrEnum):
    """`full` ranges every amount; `surplus-only` takes the attester's word that every amount is in range."""

    FULL = "full"
    SURPLUS_ONLY = "surplus-only"


class NotValid(Exception):
    """A statement or proof that a verifier must reject; the message says why."""


@record
class Profile:
    """Sizes that all sides share: length of the asset list, bits of an amount and of the surplus."""

    assets: int
    amount_bits: int
    surplus_bits: int


STANDARD = Profile(16, 64, 128)


@record
class Block:
    """The block at which an account was read; `hash` is 32 bytes."""

    chain_id: int
    number: int
    hash: bytes


@record
class ListedAsset:
    """One public entry of the asset list, held or not.

    `price_down` and `price_up` are the oracle's price rounded down and up, equal when it is exact. `threshold_bps` is
    the liquidation threshold, 0 for what backs nothing. `round_id` is the oracle's round, `None` when it has none.
    """

    asset: str
    decimals: int
    threshold_bps: int
    price_down: int
    price_up: int
    round_id: int | None = None


@record
class Snapshot:
    """Commitments to what some accounts hold and owe, with the context in which they mean something.

    Times are UTC epoch seconds. `collateral` and `debt` hold one commitment per place of the list, padding included.
    `ranges_checked` says that the attester saw every amount within 0 and 2**amount_bits. `caveats` are what the
    attester found wrong with the reading. `attester` is an Ed25519 public key, `signature` its word, empty before.
    """

    attester: bytes
    subject: str
    unit: str
    accounts: int
    taken_at_s: int
    expires_at_s: int
    block: Block | None
    ranges_checked: bool
    caveats: tuple[str, ...]
    assets: tuple[ListedAsset, ...]
    collateral: tuple[bytes, ...]
    debt: tuple[bytes, ...]
    signature: bytes = b""


@record
class Proof:
    """A proof as it travels: which mode and floor, for whose nonce, over which snapshot (SHA-512), and its bytes."""

    mode: Mode
    floor_bps: int
    nonce: bytes
    made_at_s: int
    snapshot: bytes
    data: bytes


def text_bytes(text: bytes) -> bytes:
    """Return bytes behind their length in two bytes."""
    return len(text).to_bytes(2, "big") + text


def _uint(value: int, size: int) -> bytes:
    return value.to_bytes(size, "big")


def message(snapshot: Snapshot, profile: Profile = STANDARD) -> bytes:
    """Return the canonical bytes of everything in a snapshot but its signature."""
    block = snapshot.block
    padding = (ListedAsset("", 0, 0, 0, 0),) * (profile.assets - len(snapshot.assets))
    return b"".join(
        (
            text_bytes(SNAPSHOT_LABEL),
            bytes((profile.assets, profile.amount_bits, profile.surplus_bits)),
            snapshot.attester,
            text_bytes(snapshot.subject.encode("ascii")),
            text_bytes(snapshot.unit.encode("ascii")),
            _uint(snapshot.accounts, 2),
            _uint(snapshot.taken_at_s, 8),
            _uint(snapshot.expires_at_s, 8),
            bytes(49) if block is None else b"\x01" + _uint(block.chain_id, 8) + _uint(block.number, 8) + block.hash,
            _uint(snapshot.ranges_checked, 1),
            _uint(len(snapshot.caveats), 1),
            *(text_bytes(caveat.encode("ascii")) for caveat in snapshot.caveats),
            *(_asset_bytes(entry) for entry in (*snapshot.assets, *padding)),
            *snapshot.collateral,
            *snapshot.debt,
        )
    )


def _asset_bytes(entry: ListedAsset) -> bytes:
    return b"".join(
        (
            text_bytes(entry.asset.encode("ascii")),
            _uint(entry.decimals, 1),
            _uint(entry.threshold_bps, 2),
            _uint(entry.price_down, 8),
            _uint(entry.price_up, 8),
            bytes(17) if entry.round_id is None else b"\x01" + _uint(entry.round_id, 16),
        )
    )


def digest(snapshot: Snapshot, profile: Profile = STANDARD) -> bytes:
    """Return the SHA-512 of a snapshot's message: what the attester signs and a proof names."""
    return hashlib.sha512(message(snapshot, profile)).digest()


def weights(snapshot: Snapshot, floor_bps: int, profile: Profile = STANDARD) -> tuple[list[int], list[int]]:
    """Return the weight of every collateral and of every debt place; raises `NotValid` for one of 2**56 or more.

    Below that bound no surplus can wrap around the group's order: 16 x 2**64 x 2**56 = 2**124.
    """
    rest = [0] * (profile.assets - len(snapshot.assets))
    of_collateral = [entry.price_down * entry.threshold_bps for entry in snapshot.assets] + rest
    of_debt = [entry.price_up * floor_bps for entry in snapshot.assets] + rest
    if max(*of_collateral, *of_debt) >= MAX_WEIGHT:
        raise NotValid("a weight (price x threshold, or price x floor) is 2**56 or more")
    return of_collateral, of_debt
