"""The app under the keys: every binding, messages from lists, the bell, screens at every size, hostile text."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from textual import events
from textual.command import CommandList
from textual.pilot import Pilot

from desk.snapshot import Snapshot
from tests.tui import frames
from tests.tui.frames import HandDesk
from tui.app import DashboardApp
from tui.export import screen_text
from tui.filtering import FilterBar
from tui.screen_hedge import HedgeScreen
from tui.screen_help import HelpScreen
from tui.screen_main import MainScreen
from tui.screen_panes import AlertsScreen, DetailScreen, FeedsScreen, PricesScreen, RiskScreen
from tui.view import Frame, Sort, UiSettings
from widgets.accounts import AccountTable
from widgets.alertlist import AlertList
from widgets.prices import PriceTable
from widgets.rowlist import RowList

Work = Callable[[DashboardApp, "Pilot[str]", HandDesk], Awaitable[None]]


class Belled(DashboardApp):
    """The dashboard with a bell and a clipboard that can be read."""

    rung = 0

    def bell(self) -> None:
        self.rung += 1


def run(
    work: Work,
    *,
    size: tuple[int, int] = (120, 40),
    taken: Snapshot | None = None,
    settings: UiSettings | None = None,
    now: list[float] | None = None,
) -> None:
    """Run `work` on the app in a terminal of `size`, on a desk that tests move."""

    async def running() -> None:
        desk = HandDesk(taken if taken is not None else frames.snapshot())
        moment = now if now is not None else [0.0]
        app = Belled(desk, settings=settings or UiSettings(is_live=False), clock=lambda: moment[0])
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            app.paint_again()
            await pilot.pause()
            async with asyncio.timeout(20):
                await work(app, pilot, desk)

    asyncio.run(running())


@pytest.mark.parametrize(
    ("key", "screen"),
    [("2", PricesScreen), ("3", RiskScreen), ("4", AlertsScreen), ("5", FeedsScreen), ("enter", DetailScreen)],
)
def test_each_pane_has_its_key_and_esc_leads_back(key: str, screen: type) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press(key)
        assert isinstance(app.screen, screen)
        await pilot.press("escape")
        assert isinstance(app.screen, MainScreen)
        await pilot.press(key, "1")
        assert isinstance(app.screen, MainScreen)

    run(work)


def test_panes_can_be_changed_from_any_pane() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        for key, screen in (("2", PricesScreen), ("5", FeedsScreen), ("3", RiskScreen), ("4", AlertsScreen)):
            await pilot.press(key)
            assert isinstance(app.screen, screen)
            assert len(app.screen_stack) == 2

    run(work)


def test_the_cursor_moves_and_the_other_panes_follow_it() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        table = app.screen.query_one(AccountTable)
        assert table.cursor_key == "main"
        await pilot.press("j", "j")
        assert table.cursor_key == "hl-short"
        assert "hl-short · hyperliquid" in screen_text(app)
        await pilot.press("G")
        assert table.cursor_key == "vault-old"
        await pilot.press("g", "k")
        assert table.cursor_key == "main"

    run(work)


@pytest.mark.parametrize(
    ("pane", "rows"), [("1", AccountTable), ("2", PriceTable), ("4", AlertList)], ids=["accounts", "prices", "alerts"]
)
def test_a_paint_between_a_key_and_its_message_loses_no_key(pane: str, rows: type[RowList[Any]]) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press(pane, "j", "k", "j")
        table = app.screen.query_one(rows)
        before = table.cursor_key
        table.action_move(-1)
        moved = table.cursor_key
        assert moved != before
        app.paint_again()
        assert table.cursor_key == moved
        await pilot.pause()
        app.paint_again()
        await pilot.pause()
        assert table.cursor_key == moved

    run(work)


def test_painting_never_meets_half_a_screen() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        async def paint_all_the_time() -> None:
            while True:
                app.paint_again()
                await asyncio.sleep(0)

        painter = app.run_worker(paint_all_the_time())
        for pane in ("prices", "risk", "alerts", "feeds", "detail", "accounts"):
            app.action_pane(pane)
            await pilot.pause()
        for width, height in ((80, 24), (120, 40), (200, 50), (40, 12), (120, 40)):
            await pilot.resize_terminal(width, height)
        painter.cancel()
        await pilot.pause()
        assert "── prices" in screen_text(app)

    run(work)


def test_the_cursor_stays_on_its_account_when_rows_move() -> None:
    now = [0.0]

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("j", "j")
        sunk = frames.state(frames.SAFE, prices=frames.PRICES | {"ETH": frames.asset_price("700", "700")})
        desk.snapshot = replace(desk.snapshot, sequence=2, accounts=dict(desk.snapshot.accounts) | {"spark": sunk})
        now[0] = 60.0
        app.paint()
        await pilot.pause()
        assert app.session.frame.order[0] == "spark"
        assert app.screen.query_one(AccountTable).cursor_key == "hl-short"

    run(work, now=now)


def test_sort_reverse_and_the_sorted_column() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("s")
        assert app.session.view.sort is Sort.HEALTH
        assert "sort: health" in screen_text(app)
        await pilot.press("S")
        assert app.session.view.is_reversed

    run(work)


def test_a_filter_narrows_as_it_is_typed_stays_after_enter_and_goes_with_esc() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("slash")
        await pilot.press(*"aave")
        assert app.session.frame.order == ("main", "vault-old")
        await pilot.press("enter")
        assert not app.screen.query(FilterBar)
        assert isinstance(app.screen.focused, AccountTable)
        await pilot.press("n")
        assert app.session.frame.selected is not None
        assert app.session.frame.selected.account.name == "vault-old"
        await pilot.press("n")
        assert app.session.frame.selected.account.name == "main"
        await pilot.press("N")
        assert app.session.frame.selected.account.name == "vault-old"
        await pilot.press("escape")
        assert len(app.session.frame.order) == 5

    run(work)


def test_keys_typed_right_behind_the_slash_all_go_into_the_filter() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        for key, char in (("slash", "/"), ("e", "e"), ("t", "t"), ("h", "h"), ("enter", "\r")):
            app.post_message(events.Key(key, char))
        while app.session.view.filter != "eth" or app.screen.query(FilterBar):
            await pilot.pause(0.01)
        assert isinstance(app.screen, MainScreen)

    run(work)


def test_esc_inside_the_filter_clears_it_and_keys_typed_there_are_text() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("slash", "q", "2", "s", "slash")
        assert app.session.view.filter == "q2s/"
        assert isinstance(app.screen, MainScreen)
        await pilot.press("escape")
        assert app.session.view.filter == ""
        assert not app.screen.query(FilterBar)

    run(work)


def test_space_freezes_the_picture_and_not_the_desk() -> None:
    now = [0.0]

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("space")
        now[0] = 12.0
        desk.snapshot = replace(desk.snapshot, taken_at_ns=frames.NOW + 12 * frames.S)
        app.paint()
        await pilot.pause()
        assert "frozen 12s" in screen_text(app)
        assert "10:00:14 UTC" in screen_text(app)
        await pilot.press("space")
        assert "10:00:26 UTC" in screen_text(app)

    run(work, now=now)


def test_dollar_masks_every_amount_on_every_screen() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("dollar_sign")
        for key in ("1", "2", "3", "4", "5", "enter"):
            await pilot.press(key)
            shown = screen_text(app)
            assert "masked" in shown
            assert not [amount for amount in ("59,916", "45,900", "3,830", "24.1500", "63,799") if amount in shown]

    run(work, size=(200, 50))


def test_a_acknowledges_the_selected_accounts_alerts_and_only_those_that_fire() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("j", "a")
        assert desk.acknowledged == []
        await pilot.press("k", "a")
        assert desk.acknowledged == ["severity:main"]

    run(work)


def test_a_in_the_alert_list_acknowledges_the_alert_under_the_cursor() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("4", "j", "a")
        assert desk.acknowledged == [frames.ALERTS[1].key]
        await pilot.press("enter")
        assert isinstance(app.screen, DetailScreen)
        assert "bybit-sol" in screen_text(app)

    run(work)


def test_r_asks_the_desk_to_read_now() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("r")
        assert desk.refreshed == 1

    run(work)


def test_y_copies_a_line_and_shift_y_the_account_as_json() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("y")
        assert app.clipboard == "main, DANGER, health 1.083, ETH -7.7 % to 2,290.0, at 10:00:14 UTC, 12s old"
        assert "copied as a line" in screen_text(app)
        await pilot.press("Y")
        copied = json.loads(app.clipboard)
        assert copied["name"] == "main"
        assert copied["severity"] == "danger"
        await pilot.press("dollar_sign", "Y")
        assert "equity" not in json.loads(app.clipboard)

    run(work)


def test_z_zooms_the_focused_pane_and_back() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("z")
        assert app.screen.has_class("-zoomed")
        assert not app.screen.query_one(PriceTable).display or "prices" not in screen_text(app)
        await pilot.press("z")
        assert not app.screen.has_class("-zoomed")
        await pilot.press("tab")
        assert isinstance(app.screen.focused, PriceTable)
        await pilot.press("z")
        assert isinstance(app.screen, PricesScreen)
        await pilot.press("z")
        assert isinstance(app.screen, MainScreen)
        app.screen.query_one(AlertList).focus()
        await pilot.press("z")
        assert isinstance(app.screen, AlertsScreen)

    run(work)


def test_tab_goes_round_the_panes() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        seen = [type(app.screen.focused)]
        for _ in range(3):
            await pilot.press("tab")
            seen.append(type(app.screen.focused))
        assert seen == [AccountTable, PriceTable, AlertList, AccountTable]
        await pilot.press("shift+tab")
        assert isinstance(app.screen.focused, AlertList)

    run(work)


@pytest.mark.parametrize("pane", ["enter", "3"])
def test_j_and_k_walk_through_the_accounts_on_screens_about_one(pane: str) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press(pane, "j", "j")
        assert "hl-short · hyperliquid" in screen_text(app)
        await pilot.press("k", "enter")
        assert "bybit-sol · bybit iso" in screen_text(app)
        await pilot.press("1")
        assert app.screen.query_one(AccountTable).cursor_key == "bybit-sol"

    run(work)


def test_help_lists_the_keys_and_closes() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("question_mark")
        assert isinstance(app.screen, HelpScreen)
        assert "space freeze" in screen_text(app)
        await pilot.press("question_mark")
        assert isinstance(app.screen, MainScreen)
        await pilot.press("f1", "escape")
        assert isinstance(app.screen, MainScreen)

    run(work)


@pytest.mark.parametrize("key", ["colon", "ctrl+p"])
def test_the_palette_reaches_what_has_no_key(key: str) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press(key)
        await pilot.press(*"acknowledge all")
        while not (found := app.screen.query(CommandList)) or found.first().option_count == 0:
            await pilot.pause(0.01)
        await pilot.press("enter")
        while not desk.acknowledged:
            await pilot.pause(0.01)
        assert len(desk.acknowledged) == 2

    run(work)


def test_every_command_of_the_palette_runs() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        names = []
        for command in app.get_system_commands(app.screen):
            names.append(command.title)
            if command.title != "quit":
                result = command.callback()
                if result is not None:
                    await result
                await pilot.pause()
        assert "theme cvd" in names
        assert app.theme == "mono"
        assert desk.refreshed == 1

    run(work)


def test_q_quits_and_ctrl_c_asks_once() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("ctrl+c")
        assert app.is_running
        assert "ctrl+c again quits" in screen_text(app)
        await pilot.press("ctrl+c")
        assert app.return_code == 0

    run(work)

    async def leave(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("q")
        assert app.return_code == 0

    run(leave)


def test_the_second_ctrl_c_must_come_soon() -> None:
    now = [0.0]

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("ctrl+c")
        now[0] = 5.0
        await pilot.press("ctrl+c")
        assert app.return_code is None

    run(work, now=now)


@pytest.mark.parametrize("key", ["t", "T", "A", "exclamation_mark", "6"])
def test_without_a_signer_keys_of_money_say_so_and_change_nothing_else(key: str) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        before = screen_text(app).splitlines()
        await pilot.press(key)
        after = screen_text(app).splitlines()
        changed = [line for line, old in zip(after, before, strict=True) if line != old]
        assert len(changed) == 1
        assert changed[0].endswith("read-only: add a signer")

    run(work)


@pytest.mark.parametrize("key", ["x", "0"])
def test_keys_of_money_to_come_do_nothing(key: str) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        before = screen_text(app)
        await pilot.press(key)
        assert screen_text(app) == before

    run(work)


def test_the_bell_rings_once_for_each_rise_even_while_frozen() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        assert isinstance(app, Belled)
        await pilot.press("space")
        desk.snapshot = replace(desk.snapshot, bell=1)
        app.paint()
        app.paint()
        assert app.rung == 1
        desk.snapshot = replace(desk.snapshot, bell=3)
        app.paint()
        assert app.rung == 2

    run(work)


def test_without_anything_configured_there_are_two_ways_on() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        shown = screen_text(app)
        assert "No accounts yet." in shown
        assert "config.toml (not found)" in shown
        await pilot.press("2", "slash", "s")
        assert isinstance(app.screen, MainScreen)
        await pilot.press("d")
        assert app.return_value == "demo"

    settings = UiSettings(is_live=False, expects_accounts=False, config_note="~/config.toml (not found)")
    run(work, taken=Snapshot(0, 0), settings=settings)


def test_before_the_first_reading_it_says_what_it_waits_for() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        assert "reading accounts" in screen_text(app)
        desk.snapshot = frames.snapshot()
        app.paint()
        await pilot.pause()
        assert "main" in screen_text(app)

    run(work, taken=frames.snapshot([], prices={}, alerts=()))


@pytest.mark.parametrize("size", [(20, 5), (40, 10), (80, 24), (100, 32), (160, 44), (300, 100)])
def test_every_screen_stands_at_every_size(size: tuple[int, int]) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        for key in ("2", "3", "4", "5", "1", "enter", "question_mark", "escape", "1"):
            await pilot.press(key)
            assert screen_text(app).strip()

    run(work, size=size)


def test_a_terminal_that_changes_its_size_gets_the_panes_of_its_class() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("j")
        await pilot.resize_terminal(80, 24)
        await pilot.pause()
        assert not app.screen.query(PriceTable)
        assert app.session.view.selected == "bybit-sol"
        await pilot.resize_terminal(200, 50)
        await pilot.pause()
        shown = screen_text(app)
        assert "what if all assets move" in shown
        assert "bybit-sol · bybit iso" in shown
        assert isinstance(app.screen.focused, AccountTable)

    run(work)


HOSTILE = "[red]x[/red]\x1b]0;owned\x07\x1b[31m\u202eevil\u0000" + "A" * 10_000


def test_text_from_a_venue_is_inert_and_bounded_on_every_screen() -> None:
    account = replace(
        frames.MAIN,
        name="main",
        venue=HOSTILE,
        note=HOSTILE,
        degraded=(HOSTILE,),
        collateral=(replace(frames.MAIN.collateral[0], asset=HOSTILE),),
    )
    state = frames.state(account, prices=frames.PRICES | {HOSTILE: frames.PRICES["ETH"]})
    alert = replace(frames.ALERTS[0], text=HOSTILE, subject=HOSTILE, delivery=HOSTILE)
    source = replace(frames.SOURCES[1], name=HOSTILE, detail=HOSTILE)
    taken = frames.snapshot([state], alerts=(alert,), sources=(source,), degraded=(HOSTILE,))
    taken = replace(taken, prices={HOSTILE: replace(taken.prices["ETH"], asset=HOSTILE)}, simulated=HOSTILE)

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        for key in ("1", "2", "3", "4", "5", "enter", "y"):
            await pilot.press(key)
            shown = screen_text(app)
            assert not [char for char in shown if char != "\n" and not char.isprintable()]
            assert "\u202e" not in shown
            assert max(map(len, shown.splitlines())) <= 120
        assert "[red]x[/red]" in shown
        assert app.clipboard.isprintable()

    run(work, taken=taken)


@pytest.mark.parametrize("name", ["deep", "light", "contrast", "cvd", "ansi", "mono"])
def test_every_theme_shows_the_same_words(name: str) -> None:
    seen: list[str] = []

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        seen.append(screen_text(app))

    run(work, settings=UiSettings(is_live=False, theme=name))
    run(work)
    assert seen[0] == seen[1]


def test_ascii_mode_paints_nothing_but_ascii() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        for key in ("1", "2", "3", "4", "5", "enter", "question_mark"):
            await pilot.press(key)
            shown = screen_text(app)
            assert not [char for char in shown if not char.isascii()]

    run(work, settings=UiSettings(is_live=False, is_ascii=True))


def test_no_color_leaves_words_glyphs_and_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        table = app.screen.query_one(AccountTable)
        strips = [strip for line in app.screen._compositor.render_strips() for strip in line]
        colours = {segment.style.color for segment in strips if segment.style is not None and segment.style.color}
        assert {colour.is_default for colour in colours} <= {True}
        assert any(segment.style is not None and segment.style.reverse for segment in strips)
        assert any("!!" in line for line in table.text_lines)

    run(work, settings=UiSettings(is_live=False, theme="mono"))


def test_a_key_right_after_another_is_not_undone_by_the_paint_in_between() -> None:
    ranked = frames.frame().worst_first

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        table = app.query_one(AccountTable)
        await pilot.press("G")
        await pilot.pause(0.1)
        assert table.cursor_key == ranked[-1]
        table.action_first()
        for _ in range(50):  # the message's turns, and no timer's
            if app.session.view.selected != ranked[0]:
                await asyncio.sleep(0)
        assert app.session.view.selected == ranked[0]
        table.action_last()  # the paint of the selection before is still to come
        app.paint_again()
        assert table.cursor_key == ranked[-1]
        await pilot.pause(0.1)
        assert table.cursor_key == app.session.view.selected == ranked[-1]

    run(work)


def test_until_a_key_is_pressed_the_cursor_stands_on_the_worst_account() -> None:
    states = {state.account.name: state for state in frames.default_states()}
    ranked = frames.frame().worst_first

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        assert app.query_one(AccountTable).cursor_key == ranked[1]
        desk.snapshot = frames.snapshot([states[ranked[1]], states[ranked[0]]])
        app.paint_again()
        await pilot.pause()
        assert app.query_one(AccountTable).cursor_key == ranked[0]
        await pilot.press("j")
        await pilot.pause()
        assert app.session.frame.selected is not None
        assert app.session.frame.selected.account.name == ranked[1]
        app.paint_again()
        await pilot.pause()
        assert app.query_one(AccountTable).cursor_key == ranked[1]

    run(work, taken=frames.snapshot([states[ranked[1]]]))


class BrokenHedges(HedgeScreen):
    """The hedge pane with a bug in what works the hedges out."""

    async def work_out(self, frame: Frame, name: str) -> None:
        raise KeyError("a bug")


def test_a_failure_while_hedges_are_worked_out_is_said_and_ends_nothing() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        app.show_pane(BrokenHedges())
        while "unknown: it could not be worked out (KeyError)" not in screen_text(app):
            await pilot.pause(0.02)
        await pilot.press("1")
        assert isinstance(app.screen, MainScreen)

    run(work)
