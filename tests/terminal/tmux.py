"""A real terminal for the tests: a tmux server of its own with one pane, typed into and looked at as a user does."""

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.cells import cell_len

PROMPT = "ready$"
PATIENCE_S = 12.0
"""How long a fact may take to show; only ever spent when a test is about to fail."""

_POLL_S = 0.02
_FLAGS = "#{alternate_on} #{mouse_any_flag} #{cursor_flag} #{bracket_paste_flag}"


@dataclass(frozen=True, slots=True)
class Picture:
    """What a terminal shows: its lines without trailing blanks, and the modes that a program left it in."""

    lines: tuple[str, ...]
    columns: int
    is_alternate: bool
    takes_mouse: bool
    shows_cursor: bool

    @property
    def text(self) -> str:
        """Return all lines as one text."""
        return "\n".join(self.lines)

    def line_with(self, text: str) -> str:
        """Return the first line that holds `text`, "" when none does."""
        return next((line for line in self.lines if text in line), "")

    @property
    def widest(self) -> int:
        """Return the cells of the widest line."""
        return max(map(cell_len, self.lines))

    def __contains__(self, text: str) -> bool:
        return text in self.text


class Terminal:
    """One pane of `columns` x `rows` on a tmux server of its own, with a plain shell in it.

    with Terminal(80, 24) as terminal:
        terminal.run("marginline demo")
        terminal.wait_for("? help")
    """

    def __init__(self, columns: int, rows: int, *, environment: Mapping[str, str] | None = None) -> None:
        self.columns, self.rows = columns, rows
        self._folder = Path(tempfile.mkdtemp(prefix="marginline-tmux-"))
        self._socket = self._folder / "socket"
        self.raw = self._folder / "raw"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self._folder),
            "SHELL": "/bin/sh",
            "LANG": "C.UTF-8",
            "PS1": PROMPT,
            **(environment or {}),
        }

    def __enter__(self) -> Self:
        self._tmux(
            "set-option", "-g", "default-terminal", "tmux-256color", ";",
            "set-option", "-g", "status", "off", ";",
            "set-option", "-g", "remain-on-exit", "on", ";",
            "set-option", "-g", "escape-time", "0", ";",
            "set-option", "-g", "set-clipboard", "on", ";",
            "new-session", "-d", "-x", str(self.columns), "-y", str(self.rows), "sh",
        )  # fmt: skip
        self.wait_for(PROMPT)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tmux("kill-server")
        shutil.rmtree(self._folder, ignore_errors=True)

    def run(self, command: str) -> None:
        """Type a command line into the shell."""
        self.type(command)
        self.press("Enter")

    def type(self, text: str) -> None:
        """Type `text` as it is."""
        self._tmux("send-keys", "-l", "--", text)

    def press(self, *keys: str) -> None:
        """Press keys by their tmux names ("Enter", "C-c", "PageDown")."""
        self._tmux("send-keys", *keys)

    def resize(self, columns: int, rows: int) -> None:
        """Give the pane another size, as a user who drags the window's edge."""
        self.columns, self.rows = columns, rows
        self._tmux("resize-window", "-x", str(columns), "-y", str(rows))

    def record(self) -> None:
        """Keep in `raw` every byte that the pane's programs write from now on."""
        self._tmux("pipe-pane", "-o", f"cat > {self.raw}")

    def picture(self, *, styled: bool = False) -> Picture:
        """Return what the pane shows now; `styled` keeps colours and attributes as escape sequences."""
        flags, _, shown = self._tmux(
            "display-message", "-p", _FLAGS, ";", "capture-pane", "-p", *(["-e"] if styled else [])
        ).partition("\n")
        alternate, mouse, cursor, _ = flags.split(" ")
        lines = tuple(line.rstrip() for line in shown.split("\n")[:-1])
        return Picture(lines, self.columns, alternate == "1", mouse == "1", cursor == "1")

    def wait_for(self, fact: str | Callable[[Picture], bool], patience_s: float = PATIENCE_S) -> Picture:
        """Return the first picture that holds a text, or that a claim is true of; fails showing the last one."""
        deadline = time.monotonic() + patience_s
        while True:
            picture = self.picture()
            if fact in picture if isinstance(fact, str) else fact(picture):
                return picture
            if time.monotonic() > deadline:
                wanted = repr(fact) if isinstance(fact, str) else "the claim"
                raise AssertionError(f"{wanted} did not come true within {patience_s:g} s on:\n{picture.text}")
            time.sleep(_POLL_S)

    def clipboard(self) -> str:
        """Return what a program copied, "" when nothing was."""
        return self._tmux("show-buffer") if self._tmux("list-buffers") else ""

    def foreground(self) -> int:
        """Return the id of the process group that has the terminal: that of the program that the shell runs."""
        shell = self._tmux("display-message", "-p", "#{pane_pid}").strip()
        fields = Path(f"/proc/{shell}/stat").read_text().rsplit(")", 1)[1].split()
        return int(fields[5])

    def attach_command(self) -> list[str]:
        """Return the command that shows this terminal inside another one."""
        return ["tmux", "-S", str(self._socket), "attach-session"]

    def _tmux(self, *words: str) -> str:
        done = subprocess.run(
            ["tmux", "-S", str(self._socket), "-f", "/dev/null", *words],
            env=self.environment,
            capture_output=True,
            timeout=10,
            check=True,
        )
        return done.stdout.decode("utf-8")
