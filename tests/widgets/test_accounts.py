"""The account table: columns by width, cursor, and what it repaints."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import pytest
from rich.cells import cell_len
from textual.app import App, ComposeResult
from textual.events import MouseScrollDown
from textual.pilot import Pilot
from textual.strip import Strip

from engine.assessment import Severity
from widgets.accounts import COLUMNS, AccountRow, Accounts, AccountTable, account_layout
from widgets.gauges import Gauge, Spark
from widgets.lines import Spans, length, plain
from widgets.tones import Cell, Ground, Tone

MAIN = AccountRow(
    key="main",
    severity=Severity.DANGER,
    glyph=Cell("!!", Tone.DANGER),
    account=Cell("main", Tone.STRONG),
    health=Cell("1.083", Tone.DANGER),
    by=Cell("ETH"),
    liq_at=Cell("2,309.4"),
    distance=Cell("-6.9"),
    age=Cell("12s", Tone.MUTED),
    market=Cell("1.071"),
    sigma_days=Cell("1.9"),
    next=Cell("1.071"),
    venue=Cell("aave-v3 eth"),
    room=Gauge(0.069 / 0.6, Tone.DANGER),
    buffer=Cell("4,612"),
    history=Spark((1.0, 0.8, None, 0.4, 0.1), Tone.DANGER),
    equity=Cell("18,204"),
    debt=Cell("41,730"),
    leverage=Cell("3.29"),
    cost=Cell("5.94"),
)
STALE = AccountRow(
    key="bybit-sol",
    severity=Severity.UNKNOWN,
    glyph=Cell("?", Tone.UNKNOWN),
    account=Cell("bybit-sol", Tone.STRONG),
    health=Cell("1.310?", Tone.UNKNOWN),
    by=Cell("SOL"),
    liq_at=Cell("118.62", Tone.MUTED),
    distance=Cell("-14.2"),
    age=Cell("4m", Tone.STALE),
    market=Cell("?"),
    sigma_days=Cell("3.1"),
    venue=Cell("bybit iso"),
    room=Gauge(0.142 / 0.6),
    buffer=Cell("?"),
)
NO_DEBT = AccountRow(
    key="vault-old",
    severity=Severity.SAFE,
    glyph=Cell("·", Tone.MUTED),
    account=Cell("vault-old", Tone.STRONG),
    health=Cell("no debt"),
    age=Cell("12s"),
    venue=Cell("aave-v3 eth"),
    buffer=Cell("6,900"),
)


def table_of(count: int) -> tuple[AccountRow, ...]:
    return tuple(replace(MAIN, key=f"a{index}", account=Cell(f"a{index}")) for index in range(count))


class RecordingTable(AccountTable):
    """An account table that knows which of its lines were painted."""

    def __init__(self) -> None:
        super().__init__()
        self.painted: list[int] = []

    def render_line(self, y: int) -> Strip:
        self.painted.append(y)
        return super().render_line(y)


class TableApp(App[None]):
    ascii_glyphs = False

    def __init__(self) -> None:
        super().__init__()
        self.highlighted: list[str | None] = []
        self.chosen: list[str | None] = []

    def compose(self) -> ComposeResult:
        yield RecordingTable()

    def on_account_table_highlighted(self, message: AccountTable.Highlighted) -> None:
        self.highlighted.append(message.key)

    def on_account_table_chosen(self, message: AccountTable.Chosen) -> None:
        self.chosen.append(message.key)


Scenario = Callable[[TableApp, RecordingTable, Pilot[None]], Coroutine[Any, Any, None]]


def play(
    scenario: Scenario, rows: tuple[AccountRow, ...], size: tuple[int, int] = (80, 12), is_ascii: bool = False
) -> None:
    async def run() -> None:
        app = TableApp()
        app.ascii_glyphs = is_ascii
        async with app.run_test(size=size) as pilot:
            table = app.query_one(RecordingTable)
            table.focus()
            table.model = Accounts(rows)
            await pilot.pause()
            await scenario(app, table, pilot)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("width", "headers"),
    [
        (40, "ACCOUNT HEALTH BY"),
        (42, "ACCOUNT HEALTH BY LIQ AT"),
        (50, "ACCOUNT HEALTH BY LIQ AT DIST %"),
        (55, "ACCOUNT HEALTH BY LIQ AT DIST % AGE"),
        (63, "ACCOUNT HEALTH MARKET BY LIQ AT DIST % AGE"),
        (71, "ACCOUNT HEALTH MARKET BY LIQ AT DIST % σ-DAYS AGE"),
        (80, "ACCOUNT HEALTH MARKET NEXT BY LIQ AT DIST % σ-DAYS AGE"),
        (91, "ACCOUNT VENUE HEALTH MARKET NEXT BY LIQ AT DIST % σ-DAYS AGE"),
        (104, "ACCOUNT VENUE HEALTH MARKET NEXT BY LIQ AT DIST % σ-DAYS ROOM AGE"),
        (120, "ACCOUNT VENUE HEALTH MARKET NEXT BY LIQ AT DIST % σ-DAYS ROOM AGE BUFFER $"),
        (138, "ACCOUNT VENUE HEALTH MARKET NEXT BY LIQ AT DIST % σ-DAYS ROOM AGE BUFFER $ P24H % HF 24H"),
        (149, "ACCOUNT VENUE HEALTH MARKET NEXT BY LIQ AT DIST % σ-DAYS ROOM AGE BUFFER $ P24H % HF 24H EQUITY $"),
        (
            158,
            "ACCOUNT VENUE HEALTH MARKET NEXT BY LIQ AT DIST % σ-DAYS ROOM AGE BUFFER $ P24H % HF 24H EQUITY $ DEBT $",
        ),
        (
            198,
            "ACCOUNT VENUE HEALTH MARKET NEXT BY LIQ AT DIST % σ-DAYS ROOM AGE BUFFER $ P24H % HF 24H EQUITY $ DEBT $"
            " LEV × COST $/D",
        ),
        (
            199,
            "ACCOUNT VENUE HEALTH MARKET NEXT BY LIQ AT DIST % σ-DAYS ROOM AGE BUFFER $ P1H % P24H % P7D % HF 24H"
            " EQUITY $ DEBT $ LEV × COST $/D",
        ),
    ],
)
def test_a_width_shows_its_columns(width: int, headers: str) -> None:
    assert " ".join(plain(account_layout(width).heading()).split()) == headers


def test_no_column_is_shown_below_its_width() -> None:
    for width in range(40, 201):
        shown = {column.header for column, _, _ in account_layout(width).places}
        assert shown == {column.header for column in COLUMNS if column.from_width <= width}


def test_every_line_is_as_wide_as_the_table() -> None:
    for width in range(20, 201):
        layout = account_layout(width)
        assert length(layout.heading()) == width
        for row in (MAIN, STALE, NO_DEBT):
            assert cell_len(plain(layout.line(row, first=("▌", Tone.ACCENT)))) == width


def test_the_small_screen_reads_as_designed() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        assert table.text_lines[:4] == (
            "    ACCOUNT       HEALTH  MARKET    NEXT  BY       LIQ AT  DIST %  σ-DAYS   AGE",
            "▌!! main           1.083   1.071   1.071  ETH     2,309.4    -6.9     1.9   12s",
            "  ? bybit-sol      1.310?      ?          SOL      118.62   -14.2     3.1    4m",
            "  · vault-old    no debt                                                    12s",
        )

    play(scenario, (MAIN, STALE, NO_DEBT))


def test_the_middle_screen_in_ascii_reads_as_designed() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        assert table.text_lines[:3] == (
            "    ACCOUNT         VENUE        HEALTH  MARKET    NEXT  BY       LIQ AT  DIST %  S-DAYS  ROOM"
            "          AGE  BUFFER $",
            "#!! main            aave-v3 eth   1.083   1.071   1.071  ETH     2,309.4    -6.9     1.9  =-----------"
            "  12s     4,612",
            "  ? bybit-sol       bybit iso     1.310?      ?          SOL      118.62   -14.2     3.1  ===---------"
            "   4m         ?",
        )

    play(scenario, (MAIN, STALE), (120, 10), is_ascii=True)


def test_a_stale_age_is_reversed_over_its_text_only() -> None:
    line = account_layout(80).line(STALE)
    assert [span.text for span in line if span.tone is Tone.STALE] == ["4m"]


def test_the_cursor_row_is_raised_over_its_whole_width() -> None:
    line = account_layout(80).line(MAIN, Ground.RAISED, ("▌", Tone.ACCENT))
    assert {span.ground for span in line} == {Ground.RAISED}
    assert length(line) == 80


def test_only_the_rows_that_changed_are_painted() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        rows = list(table.model.rows)
        table.painted.clear()
        rows[2] = replace(rows[2], health=Cell("1.000"))
        rows[5] = replace(rows[5], health=Cell("1.001"))
        table.model = Accounts(tuple(rows))
        await pilot.pause()
        assert sorted(table.painted) == [3, 6]

    play(scenario, table_of(9))


def test_equal_rows_and_rows_out_of_sight_paint_nothing() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        rows = list(table.model.rows)
        table.painted.clear()
        table.model = Accounts(tuple(replace(row) for row in rows))
        rows[500] = replace(rows[500], health=Cell("1.000"))
        table.model = Accounts(tuple(rows))
        await pilot.pause()
        assert table.painted == []

    play(scenario, table_of(1000))


def test_ten_thousand_changed_rows_compose_only_those_in_sight() -> None:
    class CountingTable(RecordingTable):
        composed = 0

        def row_line(self, row: AccountRow, width: int, is_cursor: bool) -> Spans:
            self.composed += 1
            return super().row_line(row, width, is_cursor)

    class CountingApp(App[None]):
        def compose(self) -> ComposeResult:
            yield CountingTable()

    async def scenario() -> None:
        app = CountingApp()
        async with app.run_test(size=(120, 21)) as pilot:
            table = app.query_one(CountingTable)
            rows = table_of(10_000)
            table.model = Accounts(rows)
            await pilot.pause()
            table.composed = 0
            table.model = Accounts(tuple(replace(row, health=Cell("1.000")) for row in rows))
            await pilot.pause()
            assert table.composed == 20

    asyncio.run(scenario())


def test_moving_the_cursor_paints_two_lines() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        table.painted.clear()
        await pilot.press("j")
        assert sorted(table.painted) == [1, 2]
        assert app.highlighted == ["a0", "a1"]

    play(scenario, table_of(9))


@pytest.mark.parametrize(
    ("keys", "key"),
    [
        (("j", "j", "k"), "a1"),
        (("down", "down", "up"), "a1"),
        (("k",), "a0"),
        (("G",), "a99"),
        (("end", "j"), "a99"),
        (("G", "g"), "a0"),
        (("end", "home"), "a0"),
        (("pagedown",), "a11"),
        (("pagedown", "pagedown", "pageup"), "a11"),
        (("ctrl+d",), "a5"),
        (("ctrl+d", "ctrl+d", "ctrl+u"), "a5"),
    ],
)
def test_keys_move_the_cursor(keys: tuple[str, ...], key: str) -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        await pilot.press(*keys)
        assert table.cursor_key == key
        shown = [line for line in table.text_lines if line.startswith("▌")]
        assert [line.split()[1] for line in shown] == [key]

    play(scenario, table_of(100))


def test_enter_and_a_click_at_the_cursor_choose() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        await pilot.press("enter")
        await pilot.click(RecordingTable, offset=(10, 3))
        assert table.cursor_key == "a2"
        assert app.chosen == ["a0"]
        await pilot.click(RecordingTable, offset=(10, 3))
        await pilot.click(RecordingTable, offset=(10, 0))
        assert app.chosen == ["a0", "a2"]

    play(scenario, table_of(5))


def test_the_wheel_scrolls_without_moving_the_cursor() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        table.post_message(MouseScrollDown(table, 5, 5, 0, 1, 0, False, False, False))
        await pilot.pause()
        assert table.top == 3
        assert table.cursor_key == "a0"
        await pilot.press("j")
        assert table.cursor_key == "a1"
        assert table.top == 1

    play(scenario, table_of(50))


def test_the_cursor_sticks_to_its_account_when_rows_move() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        await pilot.press("j")
        rows = table.model.rows
        table.model = Accounts((*rows[2:], rows[0], rows[1]))
        await pilot.pause()
        assert table.cursor_key == "a1"
        assert any(line.startswith("▌!! a1 ") for line in table.text_lines)
        assert app.highlighted == ["a0", "a1"]

    play(scenario, table_of(40))


def test_a_vanished_account_leaves_the_cursor_at_its_place() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        await pilot.press("G")
        table.model = Accounts(table.model.rows[:2])
        await pilot.pause()
        assert table.cursor_key == "a1"
        table.model = Accounts(nothing="no account matches 'x'")
        await pilot.pause()
        assert table.cursor_key is None
        assert table.text_lines[1] == " no account matches 'x'"
        assert app.highlighted == ["a0", "a4", "a1", None]
        await pilot.press("enter", "j", "G")
        assert app.chosen == []

    play(scenario, table_of(5))


def test_an_account_can_be_selected_by_key() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        assert table.select("a30")
        assert not table.select("nobody")
        await pilot.pause()
        assert table.cursor_key == "a30"
        assert any(line.startswith("▌!! a30") for line in table.text_lines)

    play(scenario, table_of(50))


def test_without_focus_the_cursor_row_stays_raised_but_unmarked() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        table.blur()
        await pilot.pause()
        assert table.text_lines[1].startswith(" !! a0")
        raised = next(iter(table.render_line(1))).style
        plain_row = next(iter(table.render_line(2))).style
        assert raised is not None
        assert plain_row is not None
        assert raised.bgcolor != plain_row.bgcolor

    play(scenario, table_of(3))


def test_the_chances_of_an_hour_and_a_week_fit_beside_the_readiness_of_rescues() -> None:
    shown = plain(account_layout(199, has_rescue=True).heading())
    assert shown.split()[-1] == "RESCUE"
    assert "P1H %  P24H %  P7D %" in shown


def test_a_resize_composes_all_columns_again() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        assert "VENUE" not in table.text_lines[0]
        await pilot.resize_terminal(120, 12)
        assert "VENUE" in table.text_lines[0]
        await pilot.resize_terminal(40, 6)
        assert table.text_lines[0].split() == ["ACCOUNT", "HEALTH", "BY"]

    play(scenario, table_of(3))


def test_a_change_of_theme_changes_the_colours() -> None:
    async def scenario(app: TableApp, table: RecordingTable, pilot: Pilot[None]) -> None:
        before = [segment.style for segment in table.render_line(1)]
        app.theme = "textual-light"
        await pilot.pause()
        assert [segment.style for segment in table.render_line(1)] != before

    play(scenario, table_of(1))


@pytest.mark.parametrize("width", [40, 55, 80, 120, 200])
def test_hostile_text_stays_inside_its_cells(width: int) -> None:
    hostile = Cell("[red]\x1b[2J\u202e日本" + "W" * 10_240)
    row = AccountRow(
        key="x" * 10_240,
        severity=Severity.WARN,
        glyph=hostile,
        account=hostile,
        health=hostile,
        by=hostile,
        liq_at=hostile,
        distance=hostile,
        age=hostile,
        market=hostile,
        venue=hostile,
        buffer=hostile,
    )
    text = plain(account_layout(width).line(row, first=(" ", Tone.TEXT)))
    assert cell_len(text) == width
    assert text.isprintable()
    assert "[red]_[" in text
