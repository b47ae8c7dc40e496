"""The journal: what was intended, signed, sent and seen, durable before the next thing happens. SQLite, WAL.

An entry is on the disk when `append` returns. Every method may be called from any thread, and blocks: call it through
`asyncio.to_thread` from a loop. What the hash chain can and can't find is said in `desk/entries.py`.
"""

import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from desk.actions import ActionState, JournalError
from desk.entries import Entry, EntryKind, Head, broken_links, chained, genesis, head_problems
from desk.journal_files import SenderLock, read_head, write_head, writing
from desk.replay import replayed
from engine.record import record

_COLUMNS = "seq, at_ns, kind, action, account, actor, data, prev_hash, hash"
_NEVER = "SELECT RAISE(ABORT, 'entries are never changed')"

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE entries (seq INTEGER PRIMARY KEY, at_ns INTEGER NOT NULL, kind TEXT NOT NULL,"
        " action TEXT NOT NULL, account TEXT NOT NULL, actor TEXT NOT NULL, data TEXT NOT NULL,"
        " prev_hash TEXT NOT NULL, hash TEXT NOT NULL)",
        "CREATE UNIQUE INDEX one_intent ON entries (action) WHERE kind = 'intent'",
        "CREATE UNIQUE INDEX one_result ON entries (action) WHERE kind = 'result'",
        "CREATE INDEX of_action ON entries (action)",
        f"CREATE TRIGGER entries_stay BEFORE UPDATE ON entries BEGIN {_NEVER}; END",
        f"CREATE TRIGGER entries_remain BEFORE DELETE ON entries BEGIN {_NEVER}; END",
        "CREATE TABLE head (one INTEGER PRIMARY KEY CHECK (one = 1), journal TEXT NOT NULL,"
        " count INTEGER NOT NULL, hash TEXT NOT NULL)",
        "CREATE TABLE observations (at_ns INTEGER NOT NULL, account TEXT NOT NULL, health TEXT,"
        " severity TEXT NOT NULL, block_number INTEGER)",
        "CREATE INDEX observed_at ON observations (account, at_ns)",
        "CREATE TABLE alerts (at_ns INTEGER NOT NULL, key TEXT NOT NULL, phase TEXT NOT NULL,"
        " severity TEXT NOT NULL, text TEXT NOT NULL)",
        "CREATE INDEX alerted_at ON alerts (at_ns)",
    ),
)
"""Statements that lead from each schema version to the next; the version is SQLite's `user_version`."""


@record
class Observation:
    """An account's health as text (`None`: unknown or nothing owed) and severity at one moment."""

    at_ns: int
    account: str
    health: str | None
    severity: str
    block_number: int | None = None


@record
class AlertLine:
    """What an alert became at one moment."""

    at_ns: int
    key: str
    phase: str
    severity: str
    text: str


class Journal:
    """One journal file, opened when first used. Reading one that does not exist finds nothing and makes nothing."""

    def __init__(self, path: Path, *, clock: Callable[[], int] = time.time_ns, busy_s: float = 5.0) -> None:
        self.path = path
        real = path.resolve()  # a link to a journal is that journal, with its locks and its head
        self.sender = SenderLock(real.with_name(real.name + ".lock"))
        self._head_path = real.with_name(real.name + ".head")
        self._write_path = real.with_name(real.name + ".write")
        self._clock = clock
        self._busy_s = busy_s
        self._guard = threading.RLock()
        self._connection: sqlite3.Connection | None = None

    def append(
        self,
        kind: EntryKind,
        facts: Mapping[str, object],
        *,
        action: str = "",
        account: str = "",
        actor: str = "",
    ) -> Entry:
        """Write one entry and return it once it is durable; raises `JournalError`, then nothing may be sent."""
        with self._guard, self._explained():
            db = self._opened()
            with writing(self._write_path), _transaction(db):
                head = _stored_head(db)
                last = db.execute("SELECT seq, hash FROM entries ORDER BY seq DESC LIMIT 1").fetchone()
                if head is None or (head.count, head.hash) != (last or (0, genesis(head.journal))):
                    raise JournalError(f"journal {self.path}: its end was altered; see `history --verify`")
                self._catch_up(db, head)
                entry = chained(head, self._clock(), kind, action, account, actor, facts)
                db.execute(
                    f"INSERT INTO entries ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    (
                        entry.seq,
                        entry.at_ns,
                        entry.kind,
                        entry.action,
                        entry.account,
                        entry.actor,
                        entry.data,
                        entry.prev_hash,
                        entry.hash,
                    ),
                )
                db.execute("UPDATE head SET count = ?, hash = ?", (entry.seq, entry.hash))
                db.execute("COMMIT")
                write_head(self._head_path, Head(head.journal, entry.seq, entry.hash))
            return entry

    def history(self, limit: int = 100) -> tuple[Entry, ...]:
        """Return the latest entries, newest first; raises `JournalError`."""
        return tuple(self._select("ORDER BY seq DESC LIMIT ?", (limit,)))

    def actions(self, limit: int = 100) -> tuple[ActionState, ...]:
        """Return the latest actions as their entries tell them, newest first; raises `JournalError`."""
        latest = "SELECT action FROM entries WHERE kind = 'intent' ORDER BY seq DESC LIMIT ?"
        return tuple(reversed(self._replayed(f"WHERE action IN ({latest}) ORDER BY seq", (limit,))))

    def open_actions(self) -> tuple[ActionState, ...]:
        """Return every action without a result, oldest first; raises `JournalError`."""
        done = "SELECT action FROM entries WHERE kind = 'result'"
        begun = f"SELECT action FROM entries WHERE kind = 'intent' AND action NOT IN ({done})"
        return self._replayed(f"WHERE action IN ({begun}) ORDER BY seq", ())

    def actions_since(self, since_ns: int) -> tuple[ActionState, ...]:
        """Return every action whose intent is later than `since_ns`, oldest first; raises `JournalError`."""
        recent = "SELECT action FROM entries WHERE kind = 'intent' AND at_ns > ?"
        return self._replayed(f"WHERE action IN ({recent}) ORDER BY seq", (since_ns,))

    def entries_of(self, action: str) -> tuple[Entry, ...]:
        """Return every entry of one action, oldest first; raises `JournalError`."""
        return tuple(self._select("WHERE action = ? ORDER BY seq", (action,)))

    def knows(self, action: str) -> bool:
        """Return whether an action of this id was ever begun; raises `JournalError`."""
        return bool(self._select("WHERE kind = 'intent' AND action = ? LIMIT 1", (action,)))

    def verify(self) -> tuple[str, ...]:
        """Return everything that shows that the journal was altered, cut or damaged; empty when nothing does."""
        side = read_head(self._head_path)
        if not self.path.exists():
            gone = side is not None and side.count > 0
            return (f"{self.path} is gone, and its head file tells of {side.count} entries",) if gone and side else ()
        try:
            with self._guard, self._explained():
                db = self._opened()
                with writing(self._write_path):
                    damage = [str(row[0]) for row in db.execute("PRAGMA quick_check") if row[0] != "ok"]
                    head, side = _stored_head(db), read_head(self._head_path)
                    rows = [Entry(*row) for row in db.execute(f"SELECT {_COLUMNS} FROM entries ORDER BY seq")]
        except JournalError as error:
            return (str(error),)
        journal = head.journal if head is not None else side.journal if side is not None else ""
        problems, hashes = broken_links(journal, rows)
        in_database = head_problems(head, "the head in the database", journal, hashes, may_lag=False)
        beside = head_problems(side, f"the head file {self._head_path.name}", journal, hashes, may_lag=True)
        if side is None and not hashes:
            beside = []  # just made: its head file comes with the first entry
        return (*damage, *problems, *in_database, *beside)

    def observe(self, observations: Iterable[Observation]) -> None:
        """Keep what accounts looked like; raises `JournalError`."""
        rows = [(one.at_ns, one.account, one.health, one.severity, one.block_number) for one in observations]
        self._insert("INSERT INTO observations VALUES (?, ?, ?, ?, ?)", rows)

    def observations(self, account: str, since_ns: int) -> tuple[Observation, ...]:
        """Return what was kept of `account` since `since_ns`, oldest first; raises `JournalError`."""
        wanted = "SELECT * FROM observations WHERE account = ? AND at_ns >= ? ORDER BY at_ns"
        return tuple(Observation(*row) for row in self._rows(wanted, (account, since_ns)))

    def keep_alerts(self, alerts: Iterable[AlertLine]) -> None:
        """Keep what alerts became; raises `JournalError`."""
        rows = [(one.at_ns, one.key, one.phase, one.severity, one.text) for one in alerts]
        self._insert("INSERT INTO alerts VALUES (?, ?, ?, ?, ?)", rows)

    def alerts(self, limit: int = 100) -> tuple[AlertLine, ...]:
        """Return the latest alert lines, newest first; raises `JournalError`."""
        rows = self._rows("SELECT * FROM alerts ORDER BY at_ns DESC, rowid DESC LIMIT ?", (limit,))
        return tuple(AlertLine(*row) for row in rows)

    def close(self) -> None:
        """Close the file and give back the right to send; it opens again when used again."""
        with self._guard:
            if self._connection is not None:
                self._connection.close()
                self._connection = None
            self.sender.release()

    def _replayed(self, clause: str, values: Sequence[object]) -> tuple[ActionState, ...]:
        try:
            return replayed(self._select(clause, values))
        except (ValueError, TypeError, ArithmeticError) as error:
            raise JournalError(f"journal {self.path}: an entry can't be read; see `history --verify`") from error

    def _select(self, clause: str, values: Sequence[object]) -> list[Entry]:
        return [Entry(*row) for row in self._rows(f"SELECT {_COLUMNS} FROM entries {clause}", values)]

    def _rows(self, query: str, values: Sequence[object]) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        with self._guard, self._explained():
            return self._opened().execute(query, values).fetchall()

    def _insert(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        with self._guard, self._explained():
            db = self._opened()
            with _transaction(db):
                db.executemany(statement, rows)
                db.execute("COMMIT")

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with writing(self._write_path):
                self._connection = self._made()
        return self._connection

    def _made(self) -> sqlite3.Connection:
        is_new = not self.path.exists()
        if is_new:
            if self._head_path.exists():
                raise JournalError(
                    f"journal {self.path} is gone but {self._head_path.name} is there: put the journal back, or move"
                    " the head file away to begin a new one"
                )
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
        db = sqlite3.connect(self.path, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
        try:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("PRAGMA synchronous = FULL")
            self._migrate(db)
        except BaseException:
            db.close()
            raise
        return db

    def _migrate(self, db: sqlite3.Connection) -> None:
        version = int(db.execute("PRAGMA user_version").fetchone()[0])
        if version > len(MIGRATIONS):
            raise JournalError(
                f"journal {self.path} was written by a newer marginline (version {version}); update this"
            )
        if version < len(MIGRATIONS):
            with _transaction(db):
                for statements in MIGRATIONS[version:]:
                    for statement in statements:
                        db.execute(statement)
                if version == 0:
                    journal = secrets.token_hex(8)
                    db.execute("INSERT INTO head VALUES (1, ?, 0, ?)", (journal, genesis(journal)))
                db.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
                db.execute("COMMIT")
        head = _stored_head(db)
        if version == 0 and head is not None:
            write_head(self._head_path, head)

    def _catch_up(self, db: sqlite3.Connection, head: Head) -> None:
        """Close the gap that a process leaves which ends between an entry and its head file; no other is closed."""
        beside = read_head(self._head_path)
        if beside == head:
            return
        is_new = beside is None and head.count == 0
        if not is_new and (beside is None or not _is_one_behind(db, head, beside)):
            raise JournalError(f"journal {self.path}: it and its head file disagree; see `history --verify`")
        write_head(self._head_path, head)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what SQLite and the system say into a `JournalError` that a trader understands."""
        try:
            yield
        except sqlite3.IntegrityError as error:
            raise JournalError(f"journal {self.path}: this was written before and is not written twice") from error
        except sqlite3.Error as error:
            raise JournalError(
                f"journal {self.path}: {_reason(error)}; nothing is sent until it is repaired"
            ) from error
        except OSError as error:
            raise JournalError(
                f"journal {self.path}: {error.strerror}; nothing is sent until it is repaired"
            ) from error


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Begin to write; what the body does not commit is undone."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def _stored_head(db: sqlite3.Connection) -> Head | None:
    row = db.execute("SELECT journal, count, hash FROM head").fetchone()
    return None if row is None else Head(*row)


def _is_one_behind(db: sqlite3.Connection, head: Head, beside: Head) -> bool:
    if beside.journal != head.journal or beside.count != head.count - 1:
        return False
    row = db.execute("SELECT prev_hash FROM entries WHERE seq = ?", (head.count,)).fetchone()
    return row is not None and row[0] == beside.hash


def _reason(error: sqlite3.Error) -> str:
    text = str(error)
    if "full" in text:
        return "the disk is full"
    if "locked" in text or "busy" in text:
        return "another program holds it locked"
    if "not a database" in text or "malformed" in text or "no such table" in text or "no such column" in text:
        return "the file is damaged; move it away to begin a new one (what was sent is then forgotten)"
    return text
