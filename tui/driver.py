"""The terminal driver: sends differences instead of frames, and never lets a terminal that stops reading stop the app.

Textual's writer queue holds 30 writes and then blocks the event loop. Here at most one write is under way; frames
that come meanwhile only change the wanted picture, and the latest difference goes out when the terminal took the last.
"""

import os
import select
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TextIO, cast

from textual.drivers.linux_driver import LinuxDriver

from tui.cells import ScreenDiff

if TYPE_CHECKING:
    from textual.app import App

_BELL = "\x07"
_MAX_WAITING_TEXT = 64
_CLOSE_WAIT_S = 2.0


class Outlet:
    """The file that Textual's writer thread writes to: unbuffered, and it tells when the terminal took everything.

    `os.write` on the descriptor, because a thread stuck inside a Python stream would hold that stream's lock when the
    interpreter exits. A terminal that is gone swallows what is written.
    """

    def __init__(self, stream: TextIO, on_taken: Callable[[int], None]) -> None:
        self._descriptor = stream.fileno()
        self._encoding = stream.encoding
        self._on_taken = on_taken
        self._texts: list[str] = []

    def fileno(self) -> int:
        """Return the descriptor of the terminal."""
        return self._descriptor

    def write(self, text: str) -> None:
        """Keep `text` for the next flush."""
        self._texts.append(text)

    def flush(self) -> None:
        """Write all that is kept, waiting as long as the terminal needs; then report how many texts it took."""
        taken = len(self._texts)
        data = memoryview("".join(self._texts).encode(self._encoding, "replace"))
        self._texts.clear()
        with suppress(OSError):
            while data:
                try:
                    data = data[os.write(self._descriptor, data) :]
                except BlockingIOError:
                    select.select([], [self._descriptor], [])
        if taken:
            self._on_taken(taken)


class DiffDriver(LinuxDriver):
    """Textual's Linux driver, sending only the cells that differ from what the terminal already shows."""

    def __init__(
        self,
        app: "App[Any]",
        *,
        debug: bool = False,
        mouse: bool = True,
        size: tuple[int, int] | None = None,
    ) -> None:
        super().__init__(app, debug=debug, mouse=mouse, size=size)
        self._file: Any = Outlet(cast("TextIO", self._file), self._taken)  # only write, flush and fileno are used
        self._diff = ScreenDiff(*self._get_terminal_size())
        self._state = threading.Condition(threading.RLock())
        self._under_way = 0
        self._held = False
        self._at_frame_start = True

    def write(self, data: str) -> None:
        """Take what Textual wants on the screen; anything that is not cells is sent as soon as possible."""
        with self._state:
            if self._at_frame_start:
                self._at_frame_start = False
                size = self._get_terminal_size()
                if size != (self._diff.width, self._diff.height):
                    self._diff.resize(*size)
            self._diff.feed(data)
            if self._diff.passed:
                self.flush()

    def flush(self) -> None:
        """Send what differs, unless the terminal still owes us the last write: then it is sent when that is done."""
        with self._state:
            self._at_frame_start = True
            if self._under_way:
                self._held = True
                self._bound_waiting()
                return
            self._held = False
            passed = "".join(self._diff.passed)
            self._diff.passed.clear()
            if passed.strip(_BELL):
                self._diff.doubt()
            text = passed + self._diff.difference()
            if text:
                self._under_way += 1
                super().write(text)

    def repaint(self) -> None:
        """Send every cell again, for a terminal that shows something else than we think."""
        with self._state:
            self._diff.forget()
            self.flush()

    def close(self) -> None:
        """Stop writing; a terminal that does not read for two seconds is left behind rather than waited for."""
        if self._settled():
            self.flush()
            if self._settled():
                super().close()

    def _settled(self) -> bool:
        with self._state:
            return self._state.wait_for(lambda: self._under_way == 0, _CLOSE_WAIT_S)

    def _taken(self, count: int) -> None:
        """Run in the writer thread when the terminal took `count` writes."""
        with self._state:
            self._under_way -= count
            self._state.notify_all()
            is_held = self._held and not self._under_way
        if is_held:
            with suppress(RuntimeError):  # the loop is already closed: `close` sends the rest
                self._loop.call_soon_threadsafe(self.flush)

    def _bound_waiting(self) -> None:
        """Ring once, however often it rang while nobody read; terminal modes are few and always kept."""
        waiting = self._diff.passed
        if len(waiting) > _MAX_WAITING_TEXT:
            kept = [text for text in waiting if text != _BELL and not text.startswith("\x1b]52")]
            self._diff.passed = [*kept, _BELL]
