"""What stands beside the journal's database: the head that guards its tail, and the lock that only one sender holds."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from desk.actions import Refusal
from desk.entries import Head


def read_head(path: Path) -> Head | None:
    """Return the head kept in `path`; `None` when it is missing or can't be read."""
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Head(str(kept["journal"]), int(kept["count"]), str(kept["hash"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_head(path: Path, head: Head) -> None:
    """Replace the head in `path`, durably and in one step; raises `OSError`."""
    text = json.dumps({"journal": head.journal, "count": head.count, "hash": head.hash}) + "\n"
    fresh = path.with_name(path.name + ".new")
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    fresh.replace(path)
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make names in `folder` durable; raises `OSError`."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Hold the short lock under which an entry and both heads are written, against other processes."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


class SenderLock:
    """The right to send, held by one process per journal; the system gives it back when that process dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None

    @property
    def is_held(self) -> bool:
        """Return whether this object holds it."""
        return self._handle is not None

    def acquire(self) -> None:
        """Take it, or keep it; raises `Refusal` naming the process that has it.

        A file that was taken away or replaced meanwhile guards nothing any more: it is let go and refused.
        """
        if self._handle is not None:
            if self._is_in_place(self._handle):
                return
            self.release()
            raise Refusal(f"{self._path} was replaced while it was held; arm again to send")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise Refusal(f"{self._path}: {error.strerror}: cannot tell whether another process sends") from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(handle, 32).decode(errors="replace").strip()
            os.close(handle)
            who = f"process {holder}" if holder.isdigit() else "another process"
            raise Refusal(f"{who} is armed or sending on this journal; disarm or end it first") from None
        try:
            os.ftruncate(handle, 0)
            os.write(handle, str(os.getpid()).encode())
        except OSError as error:
            os.close(handle)
            raise Refusal(f"{self._path}: {error.strerror}: nothing can be sent") from error
        if not self._is_in_place(handle):
            os.close(handle)
            raise Refusal(f"{self._path} was replaced while it was taken; try again")
        self._handle = handle

    def _is_in_place(self, handle: int) -> bool:
        """Return whether the locked file is still the one that others would lock."""
        try:
            return os.path.samestat(os.fstat(handle), self._path.stat())
        except OSError:
            return False

    def release(self) -> None:
        """Give it back; nothing happens when it is not held."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None
