"""The history pane, the palette's rescue commands, and readiness in the table."""

from dataclasses import replace

import pytest
from textual.pilot import Pilot

from desk.actions import JournalError, Stage
from tests.tui import frames
from tests.tui.fake_rescue import CONFIRMED, REJECTED, UNKNOWN, HandRescue, run, until
from tests.tui.frames import HandDesk
from tui import present_actions
from tui.app import DashboardApp
from tui.present_accounts import AccountRows
from tui.screen_history import HistoryScreen
from tui.screen_main import MainScreen
from tui.view import UiSettings
from widgets.accounts import account_layout
from widgets.lines import plain
from widgets.tones import Tone

OLDER = replace(REJECTED, id="b" * 16, started_at_ns=frames.NOW - 600 * frames.S)


def kept() -> HandRescue:
    made = HandRescue()
    made.kept = (CONFIRMED, OLDER)
    return made


def test_the_history_shows_actions_newest_first_and_the_chosen_one_in_full() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("6")
        shown = await until(app, pilot, "2 actions, newest first")
        assert isinstance(app.screen, HistoryScreen)
        lines = [line for line in shown.splitlines() if "repay 12,741.2 USDC from" in line]
        assert ["confirmed" in lines[0], "rejected" in lines[1]] == [True, True]
        shown = await until(app, pilot, "main · 9f3c2a7b11d04e55")
        assert "asked by tui t" in shown
        await pilot.press("j")
        shown = await until(app, pilot, f"main · {'b' * 16}")
        assert "reverted in block 23,871,404" in shown
        await pilot.press("escape")
        assert isinstance(app.screen, MainScreen)

    run(work, kept)


def test_what_is_under_way_is_in_the_history_as_it_stands_now() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("6")
        shown = await until(app, pilot, "2 actions")
        assert "UNKNOWN" in next(line for line in shown.splitlines() if line.startswith("▌10:00:05"))

    run(work, kept, taken=frames.snapshot(actions=(UNKNOWN,)))


def test_a_journal_that_cannot_be_read_says_so_and_hides_nothing_else() -> None:
    def damaged() -> HandRescue:
        made = HandRescue()
        made.history_fails = JournalError("journal x.db: the file is damaged")
        return made

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("6")
        await until(app, pilot, "the file is damaged")

    run(work, damaged)


def test_an_empty_history_says_so() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("6")
        await until(app, pilot, "nothing was ever sent")

    run(work)


@pytest.mark.parametrize(
    ("typed", "words"),
    [("rescue plan", "rescue main to health"), ("go to history", "nothing was ever sent"), ("disarm", "disarmed")],
)
def test_the_palette_has_the_rescue_commands(typed: str, words: str) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        commands = {command.title: command for command in app.get_system_commands(app.screen)}
        commands[typed].callback()
        await until(app, pilot, words)

    run(work)


def test_newer_states_replace_those_of_the_journal_once() -> None:
    merged = present_actions.merged((UNKNOWN,), (CONFIRMED, OLDER))
    assert [action.stage for action in merged] == [Stage.UNKNOWN, Stage.REJECTED]


def test_an_unknown_outcome_is_never_shown_as_a_result() -> None:
    frame = frames.frame()
    row = present_actions.rows(frame, (UNKNOWN,), "").rows[0]
    assert row.state.text == "UNKNOWN"
    assert row.state.tone is Tone.STALE
    assert "→" not in row.text.text


@pytest.mark.parametrize(
    ("word", "shown", "tone"),
    [
        ("ready", "ready", Tone.ACCENT),
        ("needs approve", "approve", Tone.WATCH),
        ("source empty", "empty", Tone.MUTED),
        ("not needed", "", Tone.TEXT),
        ("", "", Tone.TEXT),
    ],
)
def test_readiness_is_a_word_in_the_table(word: str, shown: str, tone: Tone) -> None:
    taken = frames.snapshot(readiness={"main": word, "bybit-sol": word})
    model = AccountRows().model(frames.frame(taken, settings=UiSettings(has_rescue=True)))
    rows = {row.key: row for row in model.rows}
    assert (rows["main"].rescue.text, rows["main"].rescue.tone) == (shown, tone)
    assert rows["bybit-sol"].rescue.text == ("no feed" if shown else "")


def test_a_row_follows_its_readiness_within_the_second() -> None:
    rows = AccountRows()
    settings = UiSettings(has_rescue=True)
    taken = frames.snapshot(readiness={"main": "ready"})
    first = rows.model(frames.frame(taken, settings=settings)).rows
    again = rows.model(frames.frame(replace(taken, readiness={"main": "no gas"}), settings=settings)).rows
    assert [row.rescue.text for row in (first[0], again[0])] == ["ready", "no gas"]
    assert all(row is old for row, old in zip(again[1:], first[1:], strict=True))


def test_without_a_rescue_desk_the_table_has_no_such_column() -> None:
    assert not AccountRows().model(frames.frame(frames.snapshot(readiness={"main": "ready"}))).has_rescue
    assert "RESCUE" not in plain(account_layout(200).heading())
    assert "RESCUE" in plain(account_layout(200, has_rescue=True).heading())
    assert "RESCUE" not in plain(account_layout(184, has_rescue=True).heading())
