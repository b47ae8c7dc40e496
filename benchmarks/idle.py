"""Row 10: what a dashboard costs while nothing changes, beside a bare Textual app; and the demo's steady output."""

import sys
import tempfile
import time
from pathlib import Path

from benchmarks.accounts import write_config
from benchmarks.terminal import Program

MARGINLINE = str(Path(sys.executable).with_name("marginline"))
ACCOUNTS = 20
SETTLE_S, WATCHED_S = 5.0, 20.0


def cpu_ns(program: Program) -> int:
    """Return nanoseconds on a processor so far, of all threads."""
    tasks = Path(f"/proc/{program.pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def watch(programs: dict[str, Program], seconds: float) -> dict[str, tuple[float, float]]:
    """Return bytes per second and CPU fraction of each program over the same seconds; they run side by side."""
    before = {name: (program.written, cpu_ns(program)) for name, program in programs.items()}
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        for program in programs.values():
            program.read(0.25)
    return {
        name: (
            (program.written - before[name][0]) / passed,
            (cpu_ns(program) - before[name][1]) / 1e9 / passed,
        )
        for name, program in programs.items()
    }


def rows() -> list[tuple[str, str, str, str]]:
    """Return the rows of the report: number, what, measured, target."""
    with tempfile.TemporaryDirectory() as folder:
        config = write_config(Path(folder), ACCOUNTS)
        programs = {
            "bare": Program.start([sys.executable, "-m", "benchmarks.apps", "bare"]),
            "ours": Program.start([MARGINLINE, "dashboard", "--config", str(config)]),
            "demo": Program.start([MARGINLINE, "demo"]),
        }
        try:
            watch(programs, SETTLE_S)
            seen = watch(programs, WATCHED_S)
        finally:
            for program in programs.values():
                program.stop()
    (ours_bytes, ours_cpu), (_, bare_cpu), (demo_bytes, demo_cpu) = seen["ours"], seen["bare"], seen["demo"]
    ratio = f"{ours_cpu / bare_cpu:.2f}x ({ours_cpu:.2%} of a core, bare {bare_cpu:.2%})"
    return [
        ("10", f"idle, {ACCOUNTS} accounts: bytes per second", f"{ours_bytes:.0f} B/s", "0 B/s"),
        ("10", "  CPU / bare Textual", ratio, "<= 2x"),
        (
            "10",
            "  the demo, 18 sources ticking",
            f"{demo_bytes / 1000:.1f} kB/s ({demo_cpu:.1%} of a core)",
            "< 3 kB/s",
        ),
    ]


if __name__ == "__main__":
    for row in rows():
        print(*row, sep="  ")
