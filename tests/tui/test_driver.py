"""`DiffDriver` on a real pty: what it shows equals what Textual's own driver shows, in far fewer bytes.

The terminal is pyte. Frames are counted, never waited for: the child answers each tick.
"""

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path

import pyte
import pytest

from tests.tui.test_cells import look

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a pty is needed")


class Screen(pyte.Screen):
    """pyte, deaf to the queries of terminal modes that it would take for something else."""

    def select_graphic_rendition(self, *attrs: int, private: bool = False, **_: object) -> None:
        if not private:
            super().select_graphic_rendition(*attrs)

    def report_device_status(self, *_: object, **__: object) -> None:
        """Answer nothing."""


class Session:
    """The dashboard in a child process, and the terminal it writes to."""

    def __init__(self, driver: str, width: int = 120, height: int = 40) -> None:
        self.screen = Screen(width, height)
        self.stream = pyte.ByteStream(self.screen)
        self.taken = 0
        self.master, slave = pty.openpty()
        self.resize(width, height, tell=False)
        control, self.control = os.pipe()
        self.report, report = os.pipe()
        environment = {**os.environ, "TERM": "xterm-256color", "COLORTERM": "", "PYTHONPATH": str(ROOT)}
        for name in ("NO_COLOR", "COLUMNS", "LINES", "MARGINLINE_STOCK_DRIVER"):
            environment.pop(name, None)
        self.child = subprocess.Popen(
            [sys.executable, str(ROOT / "tests/tui/pty_app.py"), driver, str(control), str(report)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            pass_fds=(control, report),
            env=environment,
            cwd=ROOT,
            start_new_session=True,
        )
        for descriptor in (slave, control, report):
            os.close(descriptor)

    def read(self, descriptor: int, within_s: float = 20.0) -> bytes:
        """Return what `descriptor` says next, drawing what the terminal gets meanwhile."""
        while True:
            ready, _, _ = select.select([descriptor, self.master], [], [], within_s)
            assert ready, "the dashboard fell silent"
            if self.master in ready:
                self.draw(os.read(self.master, 65536))
            if descriptor in ready and descriptor != self.master:
                return os.read(descriptor, 1)

    def draw(self, data: bytes) -> None:
        """Let the terminal take `data`."""
        self.taken += len(data)
        # pyte knows neither private SGR-like sequences nor kitty's: they must not reach its parser as text.
        for sequence in (b"\x1b[>25u", b"\x1b[<u", b"\x1b[?2026$p", b"\x1b[?2048$p"):
            data = data.replace(sequence, b"")
        self.stream.feed(data)

    def settle(self, quiet_s: float = 0.3) -> None:
        """Draw until the terminal gets nothing more."""
        while select.select([self.master], [], [], quiet_s)[0]:
            self.draw(os.read(self.master, 65536))

    def tick(self) -> None:
        """Move the market once and wait for the child to have painted it."""
        os.write(self.control, b"t")
        assert self.read(self.report) == b"."

    def press(self, keys: str) -> None:
        """Type."""
        os.write(self.master, keys.encode())

    def resize(self, width: int, height: int, *, tell: bool = True) -> None:
        """Give the terminal another size."""
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
        if tell:
            self.screen.resize(height, width)
            os.killpg(self.child.pid, signal.SIGWINCH)

    def cells(self) -> list[list[tuple[object, ...]]]:
        """Return what an eye can tell of every cell."""
        return [[look(self.screen.buffer[y][x]) for x in range(self.screen.columns)] for y in range(self.screen.lines)]

    def text(self) -> str:
        """Return the lines."""
        return "\n".join(self.screen.display)

    def close(self) -> None:
        """End the child, whatever it does."""
        if self.child.poll() is None:
            os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait()
        for descriptor in (self.master, self.control, self.report):
            with contextlib.suppress(OSError):
                os.close(descriptor)


@pytest.fixture
def sessions() -> Iterator[list[Session]]:
    """Return a list: whatever is appended is closed."""
    made: list[Session] = []
    yield made
    for session in made:
        session.close()


def pair(sessions: list[Session]) -> tuple[Session, Session]:
    stock, diff = Session("stock"), Session("diff")
    sessions.extend((stock, diff))
    for session in (stock, diff):
        assert session.read(session.report) == b"!"
        session.settle()
    return stock, diff


def differing(stock: Session, diff: Session) -> list[object]:
    left, right = stock.cells(), diff.cells()
    return [
        (y, x, left[y][x], right[y][x])
        for y in range(len(left))
        for x in range(len(left[y]))
        if left[y][x] != right[y][x]
    ]


def assert_same(stock: Session, diff: Session, step: str) -> None:
    """Draw both terminals until they show the same; fail when they never do."""
    for _ in range(20):
        stock.settle()
        diff.settle()
        if not differing(stock, diff):
            return
    raise AssertionError((step, differing(stock, diff)[:5]))


def test_every_cell_is_as_the_stock_driver_shows_it_for_a_fraction_of_the_bytes(sessions: list[Session]) -> None:
    stock, diff = pair(sessions)
    assert "marginline" in diff.text()
    assert_same(stock, diff, "start")
    before = (stock.taken, diff.taken)
    for step in range(12):
        for session in (stock, diff):
            session.tick()
        if step % 4 == 3:
            assert_same(stock, diff, f"tick {step}")
    stock.settle()
    diff.settle()
    written = (stock.taken - before[0], diff.taken - before[1])
    assert written[1] < written[0] / 3, written
    for keys in ("j", "j", "G", "2", "\x1b", "?", "\x1b", "5", "1", "$", "s", "z", "z", "/eth\r", ":", "\x1b"):
        stock.press(keys)
        diff.press(keys)
        assert_same(stock, diff, f"key {keys!r}")


def test_an_unchanged_screen_sends_nothing(sessions: list[Session]) -> None:
    diff = Session("diff")
    sessions.append(diff)
    assert diff.read(diff.report) == b"!"
    diff.settle(1.0)
    before = diff.taken
    diff.settle(2.5)  # at one paint a second, two paints find nothing new
    assert diff.taken == before


def test_another_size_is_painted_whole(sessions: list[Session]) -> None:
    stock, diff = pair(sessions)
    for width, height in ((80, 24), (200, 50), (100, 32)):
        for session in (stock, diff):
            session.resize(width, height)
            session.settle(0.6)
            session.tick()
        assert_same(stock, diff, f"{width}x{height}")


def test_ctrl_l_repairs_a_terminal_that_something_else_wrote_to(sessions: list[Session]) -> None:
    diff = Session("diff")
    sessions.append(diff)
    assert diff.read(diff.report) == b"!"
    diff.settle()
    whole = diff.cells()
    diff.stream.feed(b"\x1b[10;10Hgarbage from another program\x1b[41m   ")
    assert diff.cells() != whole
    diff.press("\x0c")
    diff.settle()
    assert diff.cells() == whole


def test_a_terminal_that_stops_reading_stops_no_tick_and_catches_up_in_one_frame(sessions: list[Session]) -> None:
    stock, diff = pair(sessions)
    for _ in range(150):
        os.write(diff.control, b"t")
        ready, _, _ = select.select([diff.report], [], [], 20.0)  # the terminal is not read meanwhile
        assert ready, "the event loop waited for the terminal"
        assert os.read(diff.report, 1) == b"."
        stock.tick()
    before = diff.taken
    assert_same(stock, diff, "after the stall")
    assert diff.taken - before < 40_000


def test_leaving_restores_the_terminal(sessions: list[Session]) -> None:
    diff = Session("diff")
    sessions.append(diff)
    assert diff.read(diff.report) == b"!"
    diff.settle()
    sent: list[bytes] = []
    draw = diff.draw
    diff.draw = lambda data: (sent.append(data), draw(data))[1]  # type: ignore[method-assign]
    diff.press("q")
    with contextlib.suppress(OSError):  # the pty ends with the child
        while select.select([diff.master], [], [], 5.0)[0]:
            diff.draw(os.read(diff.master, 65536))
    assert diff.child.wait(10) == 0
    farewell = b"".join(sent)
    assert b"\x1b[?1049l" in farewell
    assert b"\x1b[?25h" in farewell
    assert b"\x1b[?1003l" in farewell


def test_sigterm_restores_the_terminal_too(sessions: list[Session]) -> None:
    diff = Session("diff")
    sessions.append(diff)
    assert diff.read(diff.report) == b"!"
    diff.settle()
    os.kill(diff.child.pid, signal.SIGTERM)
    sent = b""
    with contextlib.suppress(OSError):
        while select.select([diff.master], [], [], 5.0)[0]:
            sent += os.read(diff.master, 65536)
    assert diff.child.wait(10) == 0
    assert b"\x1b[?1049l" in sent
