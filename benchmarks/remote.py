"""Rows 9 and 12: the dashboard over a real sshd on loopback, beside the same on a local pty."""

import random
import statistics
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.accounts import write_config
from benchmarks.terminal import Program
from tests.terminal.sshd import Sshd, missing

MARGINLINE = str(Path(sys.executable).with_name("marginline"))
KEYS, ACCOUNTS = 120, 60
CURSOR = "▌".encode()
_REMOTE = {"LANG": "C.UTF-8", "COLORTERM": "truecolor"}
_FIRST_FRAME_WITHIN_S = 30.0


def key_ms(program: Program, source: random.Random, key: bytes) -> float:
    """Return milliseconds from a key to the row that the cursor moved to, at a random moment between two paints."""
    program.read(0.05 + source.random() * 0.1)
    started = time.perf_counter()
    program.send(key)
    data = program.read(2.0, until=lambda seen: CURSOR in seen)
    if CURSOR not in data:
        raise RuntimeError(f"a key moved no cursor within 2 s: {data!r}")
    return (time.perf_counter() - started) * 1000


def page_bytes(program: Program) -> int:
    """Return the bytes of one page down, until nothing more comes."""
    program.read(1.0)
    program.send(b"\x1b[6~")
    return len(program.read(1.5))


def opened(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Program:
    """Start a dashboard and wait for its first whole frame."""
    program = Program.start(command, environment={"LANG": "C.UTF-8", **(environment or {})})
    if b"help" not in program.read(_FIRST_FRAME_WITHIN_S, until=lambda seen: b"help" in seen):
        program.stop()
        raise RuntimeError(f"no first frame of {' '.join(command)}")
    program.read(2.0)
    return program


def _keys(sshd: Sshd) -> list[tuple[str, str, str, str]]:
    command = [MARGINLINE, "demo"]
    programs = {"local": opened(command), "ssh": opened(sshd.command(*command, environment=_REMOTE))}
    found: dict[str, list[float]] = {name: [] for name in programs}
    source = random.Random(9)
    try:
        for number in range(KEYS):
            for name, program in programs.items():
                found[name].append(key_ms(program, source, b"j" if number // 5 % 2 == 0 else b"k"))
    finally:
        for program in programs.values():
            program.stop()
    medians = {name: statistics.median(values) for name, values in found.items()}
    p95 = {name: statistics.quantiles(values, n=20)[-1] for name, values in found.items()}
    ratio = f"{medians['ssh'] / medians['local']:.2f}x ({medians['ssh']:.1f} / {medians['local']:.1f} ms)"
    return [
        ("9", "key to repaint while painting: ssh / local, median", ratio, "<= 1.3x"),
        ("9", "  ssh, p95", f"{p95['ssh']:.1f} ms (local {p95['local']:.1f} ms)", "<= 15 ms"),
    ]


def _page(sshd: Sshd, folder: Path) -> list[tuple[str, str, str, str]]:
    command = [MARGINLINE, "dashboard", "--config", str(write_config(folder, ACCOUNTS))]
    sent: dict[str, int] = {}
    for name, switch in (("ours", {}), ("stock", {"MARGINLINE_STOCK_DRIVER": "1"})):
        program = opened(sshd.command(*command, environment=_REMOTE | switch))
        sent[name] = page_bytes(program)
        program.stop()
    return [
        ("12", f"one page down over ssh, {ACCOUNTS} accounts", f"{sent['ours'] / 1000:.1f} kB", "<= 8 kB"),
        ("12", "  the same with Textual's own driver", f"{sent['stock'] / 1000:.1f} kB", "771 kB animated"),
    ]


def rows() -> list[tuple[str, str, str, str]]:
    """Return the rows of the report: number, what, measured, target."""
    reason = missing()
    if reason is not None:
        return [(number, "over ssh", f"not measured: {reason}", "") for number in ("9", "12")]
    with Sshd() as sshd, tempfile.TemporaryDirectory() as folder:
        return [*_keys(sshd), *_page(sshd, Path(folder))]


if __name__ == "__main__":
    for row in rows():
        print(*row, sep="  ")
