"""Data on stdout, people's words on stderr: JSON envelopes, plain tables, and quiet broken pipes."""

import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, TextIO

# Control characters but tab and line feed, and marks that turn or hide text: a venue may put them into a name.
_ACTING = re.compile("[\\x00-\\x08\\x0b-\\x1f\\x7f-\\x9f\\u061c\\u200b-\\u200f\\u2028-\\u202e\\u2060-\\u2069\\ufeff]")


def _inert(text: str) -> str:
    return _ACTING.sub("", text)


def say(text: str) -> None:
    """Write one line for a human to stderr."""
    print(_inert(text), file=sys.stderr)  # noqa: T201 - the one place that talks to people


def put(text: str = "") -> None:
    """Write one line of data to stdout."""
    print(_inert(text))  # noqa: T201 - the one place that answers


def put_json(document: Mapping[str, Any], *, compact: bool = False) -> None:
    """Write one JSON document to stdout; `compact` is one line, for streams."""
    if compact:
        put(json.dumps(document, ensure_ascii=False, separators=(",", ":")))
        sys.stdout.flush()
    else:
        put(json.dumps(document, ensure_ascii=False, indent=2))


def put_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, left: int = 1) -> None:
    """Write aligned columns to stdout; the first `left` columns are left-aligned, the others right-aligned."""
    rows = [[_inert(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in (headings, *rows)) for column in range(len(headings))]
    for row in (headings, *rows):
        cells = [
            cell.ljust(width) if column < left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        put("  ".join(cells).rstrip())


def silence_broken_pipe(stream: TextIO = sys.stdout) -> None:
    """Point stdout at nothing, so that the interpreter's own flush at exit stays quiet after the reader has gone."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
