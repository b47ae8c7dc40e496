"""Measure every row and print one table: `make bench`, or `python -m benchmarks 9 12` for some rows only.

Nothing is asserted: the marks say what a target asks for, and a machine that is busy misses some. A row whose peer or
system package is missing says so.
"""

import importlib
import os
import platform
import re
import sys
import time
from collections.abc import Collection, Sequence
from importlib.metadata import version
from importlib.util import find_spec

Row = tuple[str, str, str, str]
"""Number, what is measured, the figure, the target."""

MODULES: dict[str, tuple[str, ...]] = {
    "start": ("1", "2", "3"),
    "decoding": ("4",),
    "ticks": ("5",),
    "alerting": ("8",),
    "paint": ("6", "7"),
    "remote": ("9", "12"),
    "idle": ("10",),
    "stall": ("11",),
    "stress": ("13",),
    "cascade": ("14",),
}
_UNITS = {"B": 1.0, "kB": 1e3, "B/s": 1.0, "kB/s": 1e3, "ms": 1.0, "s": 1e3, "x": 1.0, "%": 1.0, "": 1.0}
_FIGURE = re.compile(r"^\s*([\d.,]+)\s*(kB/s|B/s|kB|B|ms|s|x|%)?")
_TARGET = re.compile(r"^(<=|<|>=|>)?\s*([\d.,]+)\s*(kB/s|B/s|kB|B|ms|s|x|%)?$")


def mark(measured: str, target: str) -> str:
    """Return "pass" or "miss" when the target is a bound on the first figure of `measured`, else ""."""
    bound, figure = _TARGET.match(target.strip()), _FIGURE.match(measured)
    if bound is None or figure is None:
        return ""
    sign = bound[1] or ("<=" if float(bound[2].replace(",", "")) == 0 else "")
    value = float(figure[1].replace(",", "")) * _UNITS[figure[2] or ""]
    limit = float(bound[2].replace(",", "")) * _UNITS[bound[3] or ""]
    holds = {"<=": value <= limit, "<": value < limit, ">=": value >= limit, ">": value > limit}
    return ("pass" if holds[sign] else "miss") if sign else ""


def machine() -> str:
    """Return what the figures were measured on."""
    load = os.getloadavg()[0]
    return (
        f"{os.cpu_count()} cores, load {load:.1f}, {platform.system()} {platform.machine()}, "
        f"Python {platform.python_version()}, Textual {version('textual')}"
    )


def measure(wanted: Collection[str]) -> list[Row]:
    """Return the rows of every module that has a wanted number; all of them when nothing is wanted."""
    found: list[Row] = []
    for name, numbers in MODULES.items():
        if wanted and not set(wanted) & set(numbers):
            continue
        if find_spec(f"benchmarks.{name}") is None:
            found.append((numbers[0], name, "not measured: no such module here", ""))
            continue
        started = time.perf_counter()
        try:
            found.extend(importlib.import_module(f"benchmarks.{name}").rows())
        except (ImportError, OSError, RuntimeError) as error:
            found.append((numbers[0], name, f"not measured: {error}"[:90], ""))
        print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
    return sorted(found, key=lambda row: int(row[0]))


def table(rows: Sequence[Row]) -> str:
    """Return the rows as aligned text."""
    lines = [("row", "what", "measured", "target", "")]
    lines.extend((*row, mark(row[2], row[3])) for row in rows)
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    return "\n".join(
        "  ".join(f"{text:<{width}}" for text, width in zip(line, widths, strict=True)).rstrip() for line in lines
    )


def main() -> None:
    """Measure and print."""
    print(machine(), flush=True)
    print(table(measure(sys.argv[1:])))


if __name__ == "__main__":
    main()
