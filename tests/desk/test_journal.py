"""The journal: what it keeps, what it finds when someone changed it, and how it fails."""

import os
import resource
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from desk.actions import JournalError, Refusal
from desk.entries import Entry, EntryKind, canonical, chained, genesis
from desk.entries import Head as ChainHead
from desk.journal import MIGRATIONS, AlertLine, Journal, Observation
from desk.journal_files import SenderLock, read_head
from tests.doubles import START_NS, Clock

ROOT = Path(__file__).parents[2]
COLUMNS = ("seq", "at_ns", "kind", "action", "account", "actor", "data", "prev_hash", "hash")


def filled(path: Path, count: int = 6) -> Journal:
    """Return a journal of `count` entries in `path`."""
    clock = Clock()
    journal = Journal(path / "journal.sqlite3", clock=clock)
    for index in range(count):
        clock.advance(1)
        kind = EntryKind.INTENT if index == 1 else EntryKind.NOTE
        journal.append(kind, {"event": "x", "index": index, "amount": "1"}, action=f"a{index}", account="m", actor="me")
    return journal


def edited(journal: Journal, *statements: str) -> None:
    """Change the database behind the journal's back."""
    journal.close()
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as db:
        for trigger in ("entries_stay", "entries_remain"):
            db.execute(f"DROP TRIGGER {trigger}")
        for statement in statements:
            db.execute(statement)


def test_entries_come_back_as_they_were_written(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    latest, *_, first = journal.history()
    assert (latest.seq, first.seq) == (6, 1)
    assert latest.facts == {"event": "x", "index": 5, "amount": "1"}
    assert (latest.at_ns, latest.account, latest.actor) == (START_NS + 6_000_000_000, "m", "me")
    assert [entry.seq for entry in journal.history(2)] == [6, 5]
    assert journal.verify() == ()


def test_a_journal_that_does_not_exist_reads_as_empty_and_is_not_made(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "none" / "journal.sqlite3")
    assert (journal.history(), journal.verify(), journal.open_actions(), journal.actions()) == ((), (), (), ())
    assert not journal.knows("a")
    assert list(tmp_path.iterdir()) == []


def test_only_its_owner_may_read_it(tmp_path: Path) -> None:
    journal = filled(tmp_path / "state")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in journal.path.parent.iterdir()}
    assert set(modes.values()) == {0o600}
    assert stat.S_IMODE(journal.path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("column", COLUMNS)
def test_each_field_of_each_row_altered_in_turn_is_found(tmp_path: Path, column: str) -> None:
    journal = filled(tmp_path)
    journal.close()
    kept = tmp_path / "kept"
    shutil.copy(journal.path, kept)
    for seq in range(1, 7):
        shutil.copy(kept, journal.path)
        value = f"{column} + 100" if column in ("seq", "at_ns") else f"'x' || substr({column}, 2) || 'y'"
        edited(journal, f"UPDATE entries SET {column} = {value} WHERE seq = {seq}")
        problems = journal.verify()
        assert problems, f"row {seq} {column}"
        journal.close()


@pytest.mark.parametrize(
    ("statements", "problem"),
    [
        (("DELETE FROM entries WHERE seq = 3",), "entry 3 is missing"),
        (("DELETE FROM entries WHERE seq = 6",), "its end was cut off"),
        (("DELETE FROM entries WHERE seq > 2", "UPDATE head SET count = 2"), "its end was cut off"),
        (("DELETE FROM entries", "UPDATE head SET count = 0"), "its end was cut off"),
        (("UPDATE entries SET seq = 99 WHERE seq = 2", "UPDATE entries SET seq = 2 WHERE seq = 3"), "was altered"),
        (("UPDATE entries SET data = CAST(data AS BLOB) WHERE seq = 4",), "entry 4 was altered"),
        (("UPDATE entries SET at_ns = at_ns || 'x' WHERE seq = 4",), "entry 4 was altered"),
        (("UPDATE head SET hash = 'x'",), "the head in the database and entry 6 disagree"),
        (("DELETE FROM head",), "the head in the database is missing"),
        (("UPDATE head SET journal = 'x'",), "belongs to another journal"),
        (
            (
                "INSERT INTO entries SELECT 7, at_ns, kind, 'b', account, actor, data, hash, hash"
                " FROM entries WHERE seq = 6",
            ),
            "entry 7 was altered",
        ),
    ],
)
def test_rows_removed_moved_inserted_or_cut_off_are_found(
    tmp_path: Path, statements: tuple[str, ...], problem: str
) -> None:
    journal = filled(tmp_path)
    edited(journal, *statements)
    assert any(problem in found for found in journal.verify()), journal.verify()


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM entries WHERE seq = 6",
        "UPDATE entries SET hash = 'x' WHERE seq = 6",
        "UPDATE head SET hash = 'x'",
        "DELETE FROM head",
        "UPDATE head SET journal = 'x'",
    ],
)
def test_nothing_is_written_after_an_end_that_was_altered(tmp_path: Path, statement: str) -> None:
    journal = filled(tmp_path)
    edited(journal, statement)
    with pytest.raises(JournalError, match="see `history --verify`"):
        journal.append(EntryKind.NOTE, {})


def test_a_chain_written_anew_from_an_edit_on_is_found_by_the_file_beside_it(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    old, fifth = journal.history(2)
    beside = read_head(journal.path.with_name("journal.sqlite3.head"))
    assert beside is not None
    forged = chained(
        ChainHead(beside.journal, 5, fifth.hash), old.at_ns, EntryKind.NOTE, old.action, "m", "not me", old.facts
    )
    edited(
        journal,
        f"UPDATE entries SET actor = 'not me', data = '{forged.data}', hash = '{forged.hash}' WHERE seq = 6",
        f"UPDATE head SET hash = '{forged.hash}'",
    )
    assert journal.verify() == ("the head file journal.sqlite3.head and entry 6 disagree",)


def test_a_lost_database_or_head_file_is_noticed(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    journal.close()
    head = journal.path.with_name("journal.sqlite3.head")
    text = head.read_text()
    head.write_text("{")
    assert journal.verify() == ("the head file journal.sqlite3.head is missing or can't be read",)
    head.write_text(text)
    journal.close()
    journal.path.unlink()
    assert "is gone, and its head file tells of 6 entries" in journal.verify()[0]
    with pytest.raises(JournalError, match="put the journal back"):
        journal.append(EntryKind.NOTE, {})


def test_a_crash_between_an_entry_and_its_head_file_is_no_forgery(tmp_path: Path) -> None:
    journal = filled(tmp_path, 5)
    head = journal.path.with_name("journal.sqlite3.head")
    before = head.read_text()
    journal.append(EntryKind.NOTE, {})
    journal.close()
    head.write_text(before)
    assert journal.verify() == ()
    journal.append(EntryKind.NOTE, {})
    assert journal.verify() == ()
    journal.close()
    head.write_text(before)
    assert journal.verify() == ("the head file journal.sqlite3.head tells of 5 entries, the journal holds 7",)


def test_an_intent_is_written_once(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    with pytest.raises(JournalError, match="not written twice"):
        journal.append(EntryKind.INTENT, {}, action="a1")
    assert journal.verify() == ()


def test_entries_refuse_to_be_changed_by_accident(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    with closing(sqlite3.connect(journal.path)) as db:
        for statement in ("UPDATE entries SET actor = ''", "DELETE FROM entries"):
            with pytest.raises(sqlite3.IntegrityError, match="never changed"):
                db.execute(statement)


def test_what_is_not_plain_json_is_not_written(tmp_path: Path) -> None:
    journal = filled(tmp_path, 1)
    for wrong in ({"x": b"key"}, {"x": float("nan")}, {"x": object()}):
        with pytest.raises(ValueError, match=r"not plain JSON|not JSON compliant"):
            journal.append(EntryKind.NOTE, wrong)
    assert len(journal.history()) == 1


def test_several_processes_and_threads_make_one_chain(tmp_path: Path) -> None:
    journals = [Journal(tmp_path / "journal.sqlite3"), Journal(tmp_path / "journal.sqlite3")]

    def write(journal: Journal) -> None:
        for _ in range(25):
            journal.append(EntryKind.NOTE, {})

    threads = [threading.Thread(target=write, args=(journal,)) for journal in journals * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(journals[0].history(1000)) == 100
    assert journals[0].verify() == ()


HOLDER = """
import sys
from pathlib import Path
from desk.journal_files import SenderLock
lock = SenderLock(Path(sys.argv[1]))
lock.acquire()
print("held", flush=True)
sys.stdin.read()
"""


def test_another_process_that_may_send_is_named_and_its_death_gives_the_right_back(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3.lock"
    program = [sys.executable, "-c", HOLDER, str(path)]
    with subprocess.Popen(program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        mine = SenderLock(path)
        with pytest.raises(Refusal, match=f"process {holder.pid} is armed or sending"):
            mine.acquire()
        assert not mine.is_held
        holder.kill()
        holder.wait()
        mine.acquire()
        mine.acquire()
        assert mine.is_held
        mine.release()
        mine.release()


def test_a_damaged_or_newer_file_is_refused_in_words(tmp_path: Path) -> None:
    damaged = Journal(tmp_path / "journal.sqlite3")
    damaged.path.write_bytes(b"not a database" * 1000)
    with pytest.raises(JournalError, match="the file is damaged; move it away"):
        damaged.append(EntryKind.NOTE, {})
    with pytest.raises(JournalError, match="the file is damaged"):
        damaged.history()
    assert "the file is damaged" in damaged.verify()[0]

    newer = filled(tmp_path / "newer")
    edited(newer, f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(JournalError, match="written by a newer marginline"):
        newer.history()


def test_an_entry_that_can_t_be_read_is_told_in_words(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    edited(journal, "UPDATE entries SET data = '{' WHERE seq = 2")
    with pytest.raises(JournalError, match="an entry can't be read"):
        journal.open_actions()


def test_a_journal_locked_by_another_program_says_so_and_still_reads(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    journal.close()
    impatient = Journal(journal.path, busy_s=0.01)
    with closing(sqlite3.connect(journal.path, isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        with pytest.raises(JournalError, match="another program holds it locked"):
            impatient.append(EntryKind.NOTE, {})
        assert len(impatient.history()) == 6
        db.execute("ROLLBACK")
    impatient.append(EntryKind.NOTE, {})
    assert impatient.verify() == ()


@contextmanager
def no_room(size: int) -> Iterator[None]:
    """Let no file of this process grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_without_room_nothing_is_half_written_and_reading_goes_on(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    with no_room(8192), pytest.raises(JournalError, match="nothing is sent until"):
        journal.append(EntryKind.NOTE, {"padding": "x" * 20_000})
    with no_room(8192):
        count = len(journal.history(1000))
        assert count >= 6
    journal.append(EntryKind.NOTE, {})
    assert len(journal.history(1000)) == count + 1
    assert journal.verify() == ()


@pytest.mark.skipif(os.getuid() == 0, reason="root writes everywhere")
def test_a_folder_that_can_t_be_written_is_told(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(JournalError, match="Permission denied"):
        Journal(tmp_path / "journal.sqlite3").append(EntryKind.NOTE, {})
    tmp_path.chmod(0o700)


def test_a_path_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(JournalError, match=r"Not a directory|File exists"):
        Journal(tmp_path / "file" / "journal.sqlite3").append(EntryKind.NOTE, {})


def test_observations_and_alerts_are_kept_beside_the_chain(tmp_path: Path) -> None:
    journal = filled(tmp_path)
    seen = Observation(START_NS, "main", "1.38", "warn", 100)
    journal.observe([seen, Observation(START_NS + 1, "other", None, "unknown")])
    line = AlertLine(START_NS, "severity:main", "firing", "warn", "main is warn")
    journal.keep_alerts([line])
    assert journal.observations("main", START_NS) == (seen,)
    assert journal.observations("main", START_NS + 1) == ()
    assert journal.alerts() == (line,)
    assert journal.verify() == ()


def test_the_chain_is_bound_to_its_journal() -> None:
    def first(journal: str) -> Entry:
        return chained(ChainHead(journal, 0, genesis(journal)), 1, EntryKind.NOTE, "", "", "", {})

    assert first("a").hash != first("b").hash
    make: Callable[[object], str] = canonical
    assert make({"b": 1, "a": "é"}) == '{"a":"\\u00e9","b":1}'


def test_one_journal_by_two_names_has_one_right_to_send(tmp_path: Path) -> None:
    """A config may name the journal by a link: the lock is that of the file, not of its name."""
    real, link = tmp_path / "real" / "journal.sqlite3", tmp_path / "link.sqlite3"
    Journal(real).append(EntryKind.NOTE, {"event": "made"})
    link.symlink_to(real)
    first, second = Journal(real), Journal(link)
    first.sender.acquire()
    with pytest.raises(Refusal, match="armed or sending"):
        second.sender.acquire()
    second.append(EntryKind.NOTE, {"event": "by the other name"})
    assert first.verify() == second.verify() == ()
    first.close()


def test_a_right_to_send_whose_lock_file_was_taken_away_is_none(tmp_path: Path) -> None:
    path = tmp_path / "journal.lock"
    first, second = SenderLock(path), SenderLock(path)
    first.acquire()
    path.unlink()
    second.acquire()
    with pytest.raises(Refusal, match="was replaced"):
        first.acquire()
    assert not first.is_held
    second.release()
