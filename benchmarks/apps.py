"""Small apps that the benchmarks start on a pseudo-terminal, one per baseline: `python -m benchmarks.apps MODE ...`."""

import asyncio
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

SEED = 20261122
COLUMNS = (
    "health",
    "market",
    "next",
    "liq_at",
    "distance",
    "sigma_days",
    "age",
    "buffer",
    "by",
    "venue",
    "account",
    "glyph",
)
CHANGING = COLUMNS[:8]
ROWS = 30


def bare() -> None:
    """The smallest Textual app: one line of text."""
    from textual.app import App, ComposeResult
    from textual.widgets import Static

    class Bare(App[None]):
        def compose(self) -> ComposeResult:
            yield Static("bare-first-frame")

    Bare().run()


def value(source: random.Random) -> str:
    """Return a number as wide as the cells it goes to."""
    return f"{source.uniform(1, 9):.3f}"


def changes(source: random.Random, rows: int, count: int) -> list[tuple[int, str, str]]:
    """Return (row, column, text) for `count` distinct cells of the first `rows` rows."""
    cells = source.sample([(row, column) for row in range(rows) for column in CHANGING], count)
    return [(row, column, value(source)) for row, column in cells]


def table(kind: str, rows: int, cells: int, frames: int, report: Path) -> None:
    """Change `cells` random cells of a table ten times a second for `frames` frames; report CPU ms per frame."""
    from tui.environment import prepare

    if kind == "line":
        prepare()
    from textual.app import App, ComposeResult

    source = random.Random(SEED)
    texts = {(row, column): value(source) for row in range(rows) for column in COLUMNS}

    class Tables(App[None]):
        async def on_mount(self) -> None:
            self.run_worker(self.play())

        def compose(self) -> ComposeResult:
            yield from self.widgets()

        def widgets(self) -> ComposeResult:
            raise AssertionError("a subclass paints")

        def show(self, changed: list[tuple[int, str, str]]) -> None:
            raise AssertionError("a subclass paints")

        async def play(self) -> None:
            await asyncio.sleep(1.5)
            before = time.process_time()
            for _ in range(frames):
                self.show(changes(source, ROWS, cells))
                await asyncio.sleep(0.1)
            spent_ms = (time.process_time() - before) * 1000
            await asyncio.to_thread(report.write_text, f"{spent_ms / frames}")
            self.exit()

    if kind == "datatable":
        _data_table(Tables, texts, rows)
    else:
        _line_table(Tables, texts, rows)


def _data_table(base: Any, texts: dict[tuple[int, str], str], rows: int) -> None:
    from textual.app import ComposeResult
    from textual.widgets import DataTable

    class Stock(base):  # type: ignore[misc]  # the base is made at run time
        def widgets(self) -> ComposeResult:
            grid: DataTable[str] = DataTable()
            for column in COLUMNS:
                grid.add_column(column, key=column, width=8)
            for row in range(rows):
                grid.add_row(*(texts[row, column] for column in COLUMNS), key=str(row))
            yield grid

        def show(self, changed: list[tuple[int, str, str]]) -> None:
            grid = self.query_one(DataTable)
            for row, column, text in changed:
                grid.update_cell(str(row), column, text, update_width=False)

    Stock().run()


def _line_table(base: Any, texts: dict[tuple[int, str], str], rows: int) -> None:
    from dataclasses import replace

    from textual.app import ComposeResult

    from engine.assessment import Severity
    from tui.driver import DiffDriver
    from widgets.accounts import AccountRow, Accounts, AccountTable
    from widgets.tones import Cell, Tone

    def row_of(row: int) -> AccountRow:
        cells = {column: Cell(texts[row, column], Tone.TEXT) for column in COLUMNS if column != "glyph"}
        return AccountRow(key=str(row), severity=Severity.SAFE, glyph=Cell("o", Tone.MUTED), **cells)

    class Ours(base):  # type: ignore[misc]  # the base is made at run time
        rows_shown = tuple(row_of(row) for row in range(rows))

        def widgets(self) -> ComposeResult:
            pane = AccountTable()
            pane.model = Accounts(self.rows_shown)
            yield pane

        def show(self, changed: list[tuple[int, str, str]]) -> None:
            shown = list(self.rows_shown)
            for row, column, text in changed:
                shown[row] = replace(shown[row], **{column: Cell(text, Tone.TEXT)})
            self.rows_shown = tuple(shown)
            self.query_one(AccountTable).model = Accounts(self.rows_shown)

    Ours(driver_class=DiffDriver).run()


if __name__ == "__main__":
    mode, *rest = sys.argv[1:]
    os.environ.setdefault("TEXTUAL_ANIMATIONS", "none")
    if mode == "bare":
        bare()
    else:
        table(mode, int(rest[0]), int(rest[1]), int(rest[2]), Path(rest[3]))
