"""A program on a pseudo-terminal: when its first frame stood, what it wrote, what it cost."""

import fcntl
import os
import pty
import select
import signal
import struct
import termios
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Program:
    """One running program on its own pty of `columns` x `rows`."""

    pid: int
    descriptor: int
    started: float
    written: int = 0

    @classmethod
    def start(
        cls, command: Sequence[str], columns: int = 120, rows: int = 40, environment: Mapping[str, str] | None = None
    ) -> "Program":
        """Start `command` with TERM=xterm-256color and the given additions to the environment."""
        started = time.perf_counter()
        pid, descriptor = pty.fork()
        if pid == 0:
            os.environ.update({"TERM": "xterm-256color", "COLORTERM": "truecolor", **(environment or {})})
            fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
            os.execvp(command[0], list(command))
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        return cls(pid, descriptor, started)

    def read(self, seconds: float, until: Callable[[bytes], bool] | None = None) -> bytes:
        """Return what the program writes within `seconds`, or earlier once `until` is satisfied by all of it."""
        deadline = time.perf_counter() + seconds
        data = b""
        while (left := deadline - time.perf_counter()) > 0:
            ready, _, _ = select.select([self.descriptor], [], [], min(left, 0.25))
            if not ready:
                continue
            try:
                chunk = os.read(self.descriptor, 1 << 16)
            except OSError:
                break
            if not chunk:
                break
            data += chunk
            self.written += len(chunk)
            if until is not None and until(data):
                break
        return data

    def send(self, keys: bytes) -> None:
        """Type `keys`."""
        os.write(self.descriptor, keys)

    def cpu_s(self) -> float:
        """Return user plus system seconds so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def rss_mib(self) -> float:
        """Return the resident set in MiB."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0

    def stop(self) -> None:
        """Terminate it, with force if it does not go within two seconds."""
        for signal_, patience in ((signal.SIGTERM, 2.0), (signal.SIGKILL, 2.0)):
            try:
                os.kill(self.pid, signal_)
            except ProcessLookupError:
                break
            deadline = time.perf_counter() + patience
            while time.perf_counter() < deadline:
                self.read(0.02)
                if os.waitpid(self.pid, os.WNOHANG)[0]:
                    os.close(self.descriptor)
                    return
        os.close(self.descriptor)
