"""The journal's entries and the chain of hashes that binds them. Pure: no file, no clock.

Each hash covers its entry and the hash before it, so an entry that is altered, removed, inserted or moved breaks the
chain; the head (how many, and the last hash) tells a tail that was cut off. The chain has no secret: who can rewrite
every later entry and both heads, or put back an older copy of the database and its head file together, is not found
out. It finds accidents, and edits by whoever does not know the format.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from enum import StrEnum

from engine.record import record

FORMAT = "marginline.journal/1"


class EntryKind(StrEnum):
    """What an entry tells of an action; `NOTE` tells of arming, disarming and anything else.

    `REPLACE` is the intent to send a step again at higher fees under its nonce; a `SIGNED` of the same step follows.
    """

    INTENT = "intent"
    REPLACE = "replace"
    SIGNED = "signed"
    SENT = "sent"
    OUTCOME = "outcome"
    RESULT = "result"
    REFUSED = "refused"
    NOTE = "note"


@record
class Entry:
    """One line of the journal, as stored. `data` is canonical JSON text; `action` is "" for what belongs to none."""

    seq: int
    at_ns: int
    kind: str
    action: str
    account: str
    actor: str
    data: str
    prev_hash: str
    hash: str

    @property
    def facts(self) -> Mapping[str, object]:
        """Return `data` as JSON values; numbers that carry value are strings."""
        facts: dict[str, object] = json.loads(self.data)
        return facts


@record
class Head:
    """How many entries a journal holds and the hash of the last; `journal` is the identity made with the file."""

    journal: str
    count: int
    hash: str


def canonical(facts: object) -> str:
    """Return JSON data in the one spelling that is stored and hashed; raises `ValueError` for what is not JSON."""
    try:
        return json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except TypeError as error:
        raise ValueError(f"not plain JSON data: {error}") from error


def genesis(journal: str) -> str:
    """Return what the first entry names as the hash before it."""
    return hashlib.sha256(f"{FORMAT}:{journal}".encode()).hexdigest()


def chained(
    head: Head, at_ns: int, kind: EntryKind, action: str, account: str, actor: str, facts: Mapping[str, object]
) -> Entry:
    """Return the entry that follows `head`."""
    seq, data = head.count + 1, canonical(facts)
    digest = _digest((seq, at_ns, kind.value, action, account, actor, data, head.hash))
    return Entry(seq, at_ns, kind.value, action, account, actor, data, head.hash, digest)


def broken_links(journal: str, entries: Iterable[Entry]) -> tuple[list[str], list[str]]:
    """Return what is wrong with the chain, one sentence each, and every entry's stored hash in order."""
    problems: list[str] = []
    hashes: list[str] = []
    expected, before = 1, genesis(journal)
    for entry in entries:
        if entry.seq != expected:
            problems.append(f"entry {expected} is missing: entry {entry.seq} follows entry {expected - 1}")
        elif entry.prev_hash != before:
            problems.append(f"entry {entry.seq} does not follow the entry before it")
        if _altered(entry):
            problems.append(f"entry {entry.seq} was altered")
        expected, before = entry.seq + 1 if isinstance(entry.seq, int) else expected + 1, entry.hash
        hashes.append(entry.hash)
    return problems, hashes


def head_problems(head: Head | None, where: str, journal: str, hashes: list[str], *, may_lag: bool) -> list[str]:
    """Return what is wrong between the entries' `hashes` and a head kept `where`.

    `may_lag`: one entry more than the head says is no problem, for the head is written after the entry.
    """
    if head is None:
        return [f"{where} is missing or can't be read"]
    if head.journal != journal:
        return [f"{where} belongs to another journal"]
    count = len(hashes)
    if head.count > count:
        return [f"{where} tells of {head.count} entries, the journal holds {count}: its end was cut off"]
    if head.count < count - (1 if may_lag else 0) or head.count < 0:
        return [f"{where} tells of {head.count} entries, the journal holds {count}"]
    at = hashes[head.count - 1] if head.count else genesis(journal)
    return [] if at == head.hash else [f"{where} and entry {head.count} disagree"]


def _altered(entry: Entry) -> bool:
    fields = (entry.seq, entry.at_ns, entry.kind, entry.action, entry.account, entry.actor, entry.data)
    if not all(isinstance(value, str) for value in (*fields[2:], entry.prev_hash, entry.hash)):
        return True
    if not all(type(value) is int for value in fields[:2]):
        return True
    return _digest((*fields, entry.prev_hash)) != entry.hash


def _digest(values: tuple[object, ...]) -> str:
    return hashlib.sha256(canonical(list(values)).encode()).hexdigest()
