"""Rows 1, 2 and 3: what it costs to start."""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.terminal import Program

RUNS = 9
PYTHON = sys.executable
MARGINLINE = str(Path(PYTHON).with_name("marginline"))
HARLEQUIN = Path(PYTHON).parents[2] / ".venv-bench" / "bin" / "harlequin"
FRAMES: dict[str, tuple[list[str], bytes]] = {
    "bare": ([PYTHON, "-m", "benchmarks.apps", "bare"], b"bare-first-frame"),
    "marginline": ([MARGINLINE, "demo"], b"kraken-fut"),
    "harlequin": ([str(HARLEQUIN), "--locale", "C", "--no-download-tzdata"], b"Data Catalog"),
}


def seconds(command: Sequence[str]) -> float:
    """Return how long one run of `command` takes."""
    started = time.perf_counter()
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
    return time.perf_counter() - started


def interleaved(measures: dict[str, Callable[[], float]], runs: int = RUNS) -> dict[str, float]:
    """Return the median of each measure over `runs` rounds, in turn, so that noise hits all alike."""
    found: dict[str, list[float]] = {name: [] for name in measures}
    for _ in range(runs):
        for name, measure in measures.items():
            found[name].append(measure())
    return {name: statistics.median(values) for name, values in found.items()}


def first_frame(name: str, found_mib: dict[str, list[float]]) -> float:
    """Return seconds from exec to the frame that shows the program's own data; its memory then goes to `found_mib`."""
    command, marker = FRAMES[name]
    program = Program.start(command)
    data = program.read(20, until=lambda seen: marker in seen)
    took = time.perf_counter() - program.started
    if marker not in data:
        program.stop()
        raise RuntimeError(f"{name} did not paint within 20 s")
    found_mib.setdefault(name, []).append(program.rss_mib())
    program.stop()
    return took


def rows() -> list[tuple[str, str, str, str]]:
    """Return the rows of the report: number, what, measured, target."""
    starts = interleaved(
        {"pass": lambda: seconds([PYTHON, "-c", "pass"]), "version": lambda: seconds([MARGINLINE, "--version"])}, 21
    )
    version = f"{starts['version'] / starts['pass']:.2f}x ({starts['version'] * 1000:.0f} ms)"
    report = [("1", "--version / python -c pass", version, "<= 1.5x")]
    memory: dict[str, list[float]] = {}
    names = [name for name in FRAMES if name != "harlequin" or HARLEQUIN.exists()]
    frames = interleaved({name: lambda name=name: first_frame(name, memory) for name in names})  # type: ignore[misc]
    ours = frames["marginline"]
    report.append(
        ("2", "first frame / bare Textual", f"{ours / frames['bare']:.2f}x ({ours * 1000:.0f} ms)", "<= 1.25x")
    )
    if "harlequin" in frames:
        report.append(("2", "  / harlequin", f"{ours / frames['harlequin']:.2f}x", "< 0.4x"))
    else:
        report.append(("2", "  / harlequin", "not installed: run `make bench`", "< 0.4x"))
    mib = {name: statistics.median(values) for name, values in memory.items()}
    ratio = mib["marginline"] / mib["bare"]
    report.append(("3", "memory at first frame / bare", f"{ratio:.2f}x ({mib['marginline']:.0f} MiB)", "<= 1.6x"))
    return report


if __name__ == "__main__":
    for row in rows():
        print(*row, sep="  ")
