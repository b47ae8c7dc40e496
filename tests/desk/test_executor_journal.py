"""What sending does when the journal fails: before the signature it refuses, after it nothing sent is forgotten."""

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path

import pytest

from desk.actions import ActionState, JournalError, Refusal, Stage, StepFate
from desk.entries import Entry, EntryKind
from desk.journal import Journal
from providers.errors import Unauthorised
from tests.doubles import Clock
from tests.doubles_rescue import Chain, CountingBox, executor_on, plan_for


class FillingJournal(Journal):
    """A journal on a disk that has room for `room` more entries; `room` may be raised again."""

    def __init__(self, path: Path, clock: Clock, room: int) -> None:
        super().__init__(path, clock=clock)
        self.room = room

    def append(
        self,
        kind: EntryKind,
        facts: Mapping[str, object],
        *,
        action: str = "",
        account: str = "",
        actor: str = "",
    ) -> Entry:
        if self.room == 0:
            raise JournalError(f"journal {self.path}: the disk is full; nothing is sent until it is repaired")
        self.room -= 1
        return super().append(kind, facts, action=action, account=account, actor=actor)


def run(path: Path, room: int) -> tuple[ActionState | str, Chain, CountingBox, FillingJournal]:
    """Return how a rescue ended with room for so many entries: its state, or the reason of its refusal."""
    chain, box = Chain(), CountingBox()
    journal = FillingJournal(path / "journal.sqlite3", chain.clock, room)
    executor = executor_on(journal, chain, box)
    plan = plan_for()

    async def attempt() -> ActionState | str:
        try:
            await executor.arm({}, actor="test")
            return await executor.execute(plan, plan.options[0], actor="test")
        except Refusal as refusal:
            return str(refusal)

    return asyncio.run(attempt()), chain, box, journal


@pytest.mark.parametrize(
    ("room", "stage", "sent", "signatures"),
    [
        (0, None, 0, 0),
        (1, None, 0, 0),
        (2, Stage.UNSENT, 0, 1),
        (3, Stage.UNFINISHED, 1, 1),
        (4, Stage.UNFINISHED, 1, 1),
        (5, Stage.UNFINISHED, 1, 2),
        (6, Stage.CONFIRMED, 2, 2),
        (7, Stage.CONFIRMED, 2, 2),
        (8, Stage.CONFIRMED, 2, 2),
    ],
)
def test_a_disk_that_fills_up_stops_sending_and_hides_nothing(
    tmp_path: Path, room: int, stage: Stage | None, sent: int, signatures: int
) -> None:
    ended, chain, box, journal = run(tmp_path, room)
    assert (len(chain.sent), box.signatures) == (sent, signatures)
    if stage is None:
        assert isinstance(ended, str)
        assert "the disk is full" in ended
        return
    assert isinstance(ended, ActionState)
    assert ended.stage is stage
    assert "the disk is full" in ended.evidence

    journal.room = 100
    restarted = executor_on(journal, chain)
    (settled,) = asyncio.run(restarted.reconcile_open(actor="restarted"))
    known = {step.reference: step.fate for step in settled.steps if step.reference}
    assert all(known[reference] is StepFate.CONFIRMED for reference in chain.sent)
    expected = Stage.UNKNOWN if StepFate.UNKNOWN in known.values() else stage
    assert settled.stage is expected
    assert journal.verify() == ()


def test_an_altered_journal_arms_nothing(tmp_path: Path) -> None:
    _, chain, _, journal = run(tmp_path, 100)
    box = CountingBox()
    journal.close()
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as db:
        db.execute("DROP TRIGGER entries_stay")
        db.execute("UPDATE entries SET actor = 'nobody' WHERE seq = 2")
    journal.room = 100

    async def again() -> str:
        with pytest.raises(Refusal) as refusal:
            await executor_on(journal, chain, box).arm({}, actor="test")
        return str(refusal.value)

    assert asyncio.run(again()) == "the journal can't be trusted, nothing is sent: entry 2 was altered"
    assert not box.is_open
    assert not journal.sender.is_held


def test_a_signer_that_fails_leaves_an_action_of_which_nothing_was_sent(tmp_path: Path) -> None:
    chain, box = Chain(), CountingBox()
    chain.faults["sign"] = Unauthorised("signer rescue", "locked")
    journal = Journal(tmp_path / "journal.sqlite3", clock=chain.clock)
    executor = executor_on(journal, chain, box)

    async def attempt() -> ActionState:
        await executor.arm({}, actor="test")
        return await executor.execute(plan_for(), plan_for().options[0], actor="test")

    ended = asyncio.run(attempt())
    assert (ended.stage, ended.evidence) == (Stage.UNSENT, "approve ETH: not sent: signer rescue: locked")
    assert journal.open_actions() == ()
    assert chain.sent == []


def test_the_key_and_the_signed_message_stand_nowhere_in_the_journal(tmp_path: Path) -> None:
    _, chain, _, journal = run(tmp_path, 100)
    journal.close()
    text = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"tx-main-7" in text
    assert b"supply:main:2:27:" not in text
    assert chain.sent == ["tx-main-7", "tx-main-8"]
