"""Rows 6 and 7: bytes and CPU per repaint, against the character difference and against Textual's DataTable."""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pyte

from benchmarks.apps import ROWS
from benchmarks.terminal import Program

WIDTH, HEIGHT, CELLS, FRAMES = 120, 40, 20, 60
_QUIET_S = 0.045


@dataclass(frozen=True, slots=True)
class Painted:
    """Per frame: bytes sent, bytes of the smallest possible character difference, CPU milliseconds."""

    sent: float
    least: float
    cpu_ms: float


def least_bytes(before: list[str], after: list[str]) -> int:
    """Return the bytes that cursor moves and characters alone need to turn one screen into the other.

    Runs of changed characters are joined where a gap is cheaper than another cursor move; colours cost nothing.
    """
    total = 0
    for y, (old, new) in enumerate(zip(before, after, strict=True)):
        changed = [x for x in range(len(new)) if old[x] != new[x]]
        end = -100
        for x in changed:
            move = len(f"\x1b[{y + 1};{x + 1}H")
            gap = x - end - 1
            total += gap + 1 if gap <= move else move + 1
            end = x
    return total


def paint(kind: str, rows: int = ROWS, frames: int = FRAMES) -> Painted:
    """Run one table on a pty and measure it."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "cpu"
        program = Program.start(
            [sys.executable, "-m", "benchmarks.apps", kind, str(rows), str(CELLS), str(frames), str(report)],
            WIDTH,
            HEIGHT,
        )
        screen = pyte.Screen(WIDTH, HEIGHT)
        stream = pyte.ByteStream(screen)
        stream.feed(program.read(1.2))
        before, sent, least, seen = list(screen.display), 0, 0, 0
        quiet = 0
        while quiet < 40 and not report.exists():
            data = _burst(program)
            if not data:
                quiet += 1
                continue
            quiet = 0
            stream.feed(data)
            after = list(screen.display)
            if after != before:
                sent, least, seen = sent + len(data), least + least_bytes(before, after), seen + 1
            before = after
        program.stop()
        return Painted(sent / max(seen, 1), least / max(seen, 1), float(report.read_text()))


def _burst(program: Program) -> bytes:
    """Return one frame: what comes until the program is quiet for a moment."""
    data = program.read(0.2, until=lambda _: True)
    while more := program.read(_QUIET_S, until=lambda _: True):
        data += more
    return data


def rows() -> list[tuple[str, str, str, str]]:
    """Return the rows of the report: number, what, measured, target."""
    ours, stock = paint("line"), paint("datatable")
    many = paint("line", rows=10_000)
    return [
        ("6", "bytes per repaint / least possible", f"{ours.sent / ours.least:.2f}x ({ours.sent:.0f} B)", "<= 1.5x"),
        ("6", "  the same for DataTable", f"{stock.sent / stock.least:.1f}x ({stock.sent:.0f} B)", "97x"),
        ("7", "CPU per repaint / DataTable", f"{ours.cpu_ms / stock.cpu_ms:.3f}x ({ours.cpu_ms:.1f} ms)", "<= 0.12x"),
        ("7", "  10,000 rows / 30 rows", f"{many.cpu_ms / ours.cpu_ms:.2f}x", "flat"),
    ]


if __name__ == "__main__":
    for row in rows():
        print(*row, sep="  ")
