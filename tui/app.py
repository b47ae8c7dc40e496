"""The dashboard: one desk, one stream of snapshots, and the screens that show them."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from textual import events, work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.driver import Driver
from textual.screen import Screen

from desk.snapshot import Snapshot
from providers.errors import AppError
from tui import environment, themes
from tui.desk_like import DeskLike
from tui.screen_main import MainScreen
from tui.screens import Overlay, PaneScreen
from tui.session import Session
from tui.view import UiSettings
from widgets.alertlist import AlertList
from widgets.prices import PriceTable

if TYPE_CHECKING:
    from tui.cascade_like import CascadeDesk
    from tui.rescue_like import RescueDesk
    from tui.rescues import Rescues

PANES = ("accounts", "prices", "risk", "alerts", "feeds")
_QUIT_WITHIN_S = 2.0
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT) if sys.platform != "win32" else ()


def driver_class() -> type[Driver] | None:
    """Return the driver that sends differences; `None` for Textual's own on Windows and behind the switch."""
    if sys.platform == "win32" or os.environ.get("MARGINLINE_STOCK_DRIVER") == "1":
        return None
    from tui.driver import DiffDriver

    return DiffDriver


class DashboardApp(App[str]):
    """Shows a desk until the user leaves; returns the command to run next ("demo", "init") or `None`."""

    TITLE = "marginline"
    CSS_PATH = Path(__file__).with_name("dashboard.tcss")
    ENABLE_COMMAND_PALETTE = True
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(number), f"pane('{name}')", name, show=False) for number, name in enumerate(PANES, 1)),
        Binding("z", "zoom", "zoom", show=False),
        Binding("slash", "filter", "filter", show=False, priority=True),
        Binding("n", "match(1)", "next match", show=False),
        Binding("N", "match(-1)", "previous match", show=False),
        Binding("s", "sort", "sort", show=False),
        Binding("S", "reverse", "reverse", show=False),
        Binding("space", "freeze", "freeze", show=False),
        Binding("a", "acknowledge", "acknowledge", show=False),
        Binding("r", "refresh_desk", "read now", show=False),
        Binding("dollar_sign", "mask", "mask", show=False),
        Binding("y", "copy_line", "copy", show=False),
        Binding("Y", "copy_json", "copy JSON", show=False),
        Binding("ctrl+l", "repaint", "repaint", show=False),
        Binding("question_mark,f1", "help", "help", show=False),
        Binding("m", "method", "how it is told", show=False),
        Binding("colon,ctrl+p", "command_palette", "commands", show=False),
        Binding("escape", "back", "back", show=False),
        Binding("q", "quit", "quit", show=False),
        Binding("ctrl+z", "suspend_process", "to the shell", show=False),
        Binding("ctrl+c", "interrupt", "quit", show=False, priority=True),
        Binding("t", "rescue('open_plan')", "rescue plan", show=False),
        Binding("T", "rescue('open_standing')", "one-key rescue", show=False),
        Binding("A", "rescue('open_arming')", "arm", show=False),
        Binding("exclamation_mark", "rescue('disarm')", "disarm", show=False),
        Binding("6", "rescue('open_history')", "history", show=False),
        Binding("7,w", "pane('what-if')", "what-if", show=False),
        Binding("8,h", "pane('hedge')", "hedge", show=False),
        Binding("9,c", "pane('cascade')", "cascade", show=False),
        Binding("d", "leave_for('demo')", "demo", show=False),
        Binding("i", "leave_for('init')", "init", show=False),
    ]

    def __init__(
        self,
        desk: DeskLike,
        *,
        settings: UiSettings | None = None,
        driver: type[Driver] | None = None,
        clock: Callable[[], float] = time.monotonic,
        rescue: "RescueDesk | None" = None,
        cascades: "Callable[[], CascadeDesk] | None" = None,
    ) -> None:
        self.settings = replace(settings or UiSettings(), has_rescue=rescue is not None)
        is_ansi = themes.is_ansi(self.settings.theme)
        super().__init__(driver_class=driver or driver_class(), ansi_color=True if is_ansi else None)
        self.set_reactive(App.ansi_color, None)
        self.animation_level = "none"
        self.ascii_glyphs = self.settings.is_ascii
        self.session = Session(desk, self.settings)
        if rescue is not None:
            self.session.armed_until_ns = lambda: rescue.armed_until_ns
        self._rescue_desk = rescue
        self._rescues: Rescues | None = None
        self._made_cascades = cascades
        self._cascades: CascadeDesk | None = None
        self._desk = desk
        self._clock = clock
        self._bell_count = 0
        self._interrupted_at_s: float | None = None
        for theme in themes.themes():
            self.register_theme(theme)
        self.theme = self.settings.theme

    @property
    def is_first_run(self) -> bool:
        """Return whether there is nothing to show: no account, and no source that could bring one."""
        snapshot = self._desk.snapshot
        return not snapshot.accounts and not self.settings.expects_accounts

    def get_default_screen(self) -> Screen[None]:
        screen = MainScreen()
        screen.add_class(*screen.classes_of(self.size), update=False)
        return screen

    def on_mount(self) -> None:
        """Start the desk and the painting; leave cleanly on the signals that end a session."""
        self._watch_desk()
        self._paint_for_ever()
        if self._rescue_desk is not None:
            self._keep_rescues(self._rescue_desk)
        self.call_after_refresh(environment.first_frame_is_out)
        if self.settings.arms_at_start:
            self.call_after_refresh(self.action_rescue, "open_arming")
        if not self.is_headless:
            loop = asyncio.get_running_loop()
            for number in _ENDING:
                loop.add_signal_handler(number, self._end, number)

    @work(exclusive=True, group="desk")
    async def _watch_desk(self) -> None:
        await self._desk.run()

    @work(exclusive=True, group="paint")
    async def _paint_for_ever(self) -> None:
        """Look for something new so many times a second. Not by Textual's timer: it would never pause while idle."""
        while True:
            await asyncio.sleep(self.session.pause_s)
            began_s = time.thread_time()
            self.paint()
            self.session.painted(time.thread_time() - began_s)

    @work(exclusive=True, group="readiness", exit_on_error=False)
    async def _keep_rescues(self, rescue: "RescueDesk") -> None:
        try:
            await rescue.run()
        except AppError as error:
            self.say(f"rescues: {error}")

    def _end(self, number: int) -> None:
        self.exit(return_code=128 + number)

    async def on_event(self, event: events.Event) -> None:
        """Take note of keys and clicks: rows hold still while someone is at them."""
        if isinstance(event, (events.Key, events.MouseDown, events.MouseScrollDown, events.MouseScrollUp)):
            self.session.touched(self._clock())
        await super().on_event(event)

    def paint(self) -> None:
        """Show what is new, if anything; ring once for every rise of the bell."""
        frame = self.session.next_frame(self._clock())
        rung = self._desk.snapshot.bell
        if rung > self._bell_count and self.settings.bell:
            self.bell()
        self._bell_count = rung
        screen = self.pane_screen
        if frame is not None and screen is not None:
            screen.show(frame)
            if isinstance(self.screen, Overlay):
                self.screen.show(replace(frame, snapshot=self._desk.snapshot))

    def paint_again(self) -> None:
        """Show the latest frame now, changed or not."""
        self.session.show_again()
        self.paint()

    @property
    def live_snapshot(self) -> Snapshot:
        """Return the desk's latest snapshot, frozen screen or not."""
        return self._desk.snapshot

    @property
    def now_s(self) -> float:
        """Return the monotonic clock, in seconds."""
        return self._clock()

    @property
    def rescues(self) -> "Rescues | None":
        """Return what the rescue keys work on; `None` where nothing may be sent. Its modules load at the first use."""
        if self._rescues is None and self._rescue_desk is not None:
            from tui.rescues import Rescues

            self._rescues = Rescues(self, self._rescue_desk)
        return self._rescues

    @property
    def cascades(self) -> "CascadeDesk | None":
        """Return who works out cascades; `None` where nobody does. Its modules load at the first use."""
        if self._cascades is None and self._made_cascades is not None:
            self._cascades = self._made_cascades()
        return self._cascades

    @property
    def rescue_hints(self) -> tuple[tuple[str, str], ...]:
        """Return the rescue keys that do something now."""
        if not self.settings.has_rescue:
            return ()
        if self.session.view.armed_left_s is None:
            return (("t", "rescue"), ("A", "arm"))
        return (("t", "rescue"), ("T", "one key"), ("!", "disarm"))

    @property
    def pane_screen(self) -> PaneScreen | None:
        """Return the screen that shows frames: the topmost that is not a modal; `None` at the very end."""
        stack = self.screen_stack if self.is_running else []
        return next((screen for screen in reversed(stack) if isinstance(screen, PaneScreen)), None)

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        """Yield everything that a key does, for the palette."""
        from tui.commands import commands

        yield from commands(self)

    def action_pane(self, name: str) -> None:
        """Go to a pane's own screen; accounts are at home on the main one."""
        if self.is_first_run:
            return
        self.show_pane(_pane(name) if name != "accounts" else None)

    def show_pane(self, screen: PaneScreen | None) -> None:
        """Show a pane's screen over the main one, or the main one."""
        while len(self.screen_stack) > 1:
            self.pop_screen()
        if screen is not None:
            self.push_screen(screen)

    def action_method(self) -> None:
        """Say where the selected account's numbers come from."""
        if not self.is_first_run:
            from tui.present_method import method
            from tui.screen_method import WIDTH, MethodScreen

            self.push_screen(MethodScreen(method(self.session.frame, min(WIDTH, self.size.width))))

    def action_rescue(self, what: str) -> None:
        """Do what a rescue key asks for; where nothing may be sent, say so."""
        rescues = self.rescues
        if rescues is None:
            self.say("read-only: add a signer")
        elif not self.is_first_run:
            getattr(rescues, what)()

    async def action_quit(self) -> None:
        """End, after asking while something is being sent."""
        accounts = self._rescues.in_flight if self._rescues is not None else ()
        if not accounts:
            self.exit()
            return
        from tui.screen_send import LeaveScreen

        self.push_screen(LeaveScreen(accounts))

    def action_leave_now(self) -> None:
        """End, whatever is under way."""
        self.exit()

    async def action_back(self) -> None:
        """Close what is open: the filter, a pane, the zoom."""
        if self.session.view.filter:
            self.session.filter_by("")
        elif len(self.screen_stack) > 1:
            self.pop_screen()
        elif self.screen.has_class("-zoomed") and isinstance(self.screen, MainScreen):
            self.screen.zoom()
        self.paint()

    def action_zoom(self) -> None:
        """Give the focused pane the screen, or go back to all of them."""
        screen = self.screen
        if not isinstance(screen, MainScreen):
            self.pop_screen()
        elif isinstance(screen.focused, PriceTable):
            self.action_pane("prices")
        elif isinstance(screen.focused, AlertList):
            self.action_pane("alerts")
        else:
            screen.zoom()

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """Leave `/` to whatever is being typed into, and where there is nothing to find."""
        if action != "filter":
            return True
        return isinstance(self.screen, PaneScreen) and not self.is_first_run and not self.screen.is_filtering

    async def action_filter(self) -> None:
        """Ask for a filter, where there is something to find."""
        if isinstance(self.screen, PaneScreen):
            await self.screen.ask_for_filter(self.session.view.filter)

    def action_match(self, step: int) -> None:
        """Go to the next account that the filter finds, round the end."""
        frame = self.session.frame
        if frame.order and frame.selected is not None:
            name = frame.selected.account.name
            at = frame.order.index(name) + step if name in frame.order else 0
            self.session.select(account=frame.order[at % len(frame.order)])
            self.paint()

    def action_sort(self) -> None:
        """Sort by the next column, or let go of a held order."""
        self.session.next_sort()
        self.paint()

    def action_reverse(self) -> None:
        """Turn the order round."""
        self.session.reverse_sort()
        self.paint()

    def action_freeze(self) -> None:
        """Hold the picture still while the desk goes on."""
        self.session.toggle_freeze(self._clock())
        self.paint()

    def action_mask(self) -> None:
        """Hide amounts, or show them."""
        self.session.toggle_mask()
        self.paint()

    def action_acknowledge(self) -> None:
        """Acknowledge the alert under the cursor, else the alerts of the selected account."""
        lists = [widget for widget in self.screen.query(AlertList) if widget.has_focus and widget.cursor_key]
        if lists and lists[0].cursor_key is not None:
            self._desk.acknowledge(lists[0].cursor_key)
        elif (selected := self.session.frame.selected) is not None:
            for alert in self._desk.snapshot.alerts:
                if alert.subject == selected.account.name and alert.phase.value == "firing":
                    self._desk.acknowledge(alert.key)
        self.paint()

    def action_acknowledge_all(self) -> None:
        """Acknowledge every alert."""
        self._desk.acknowledge_all()
        self.paint()

    def action_refresh_desk(self) -> None:
        """Read every account again now, and what became of a rescue whose outcome is unknown."""
        self._desk.refresh()
        if any(action.is_open for action in self._desk.snapshot.actions) and self.rescues is not None:
            self.rescues.reconcile()

    def action_copy_line(self) -> None:
        """Put the account in one line on the clipboard of the terminal."""
        from tui.copying import as_line

        self._copy(as_line(self.session.frame), "a line")

    def action_copy_json(self) -> None:
        """Put the account as JSON on the clipboard of the terminal."""
        from tui.copying import as_json

        self._copy(as_json(self.session.frame), "JSON")

    def _copy(self, text: str, what: str) -> None:
        if text:
            self.copy_to_clipboard(text)
            self.say(f"copied as {what}")

    def say(self, notice: str) -> None:
        """Answer a key with a few words that go by themselves."""
        self.session.say(notice, self._clock())
        self.paint()

    def action_repaint(self) -> None:
        """Send every cell again."""
        from tui.driver import DiffDriver

        if isinstance(self._driver, DiffDriver):
            self._driver.repaint()
        else:
            self.refresh(layout=True)

    def action_command_palette(self) -> None:
        """Open the palette, with a cursor that does not blink: nothing here moves by itself."""
        super().action_command_palette()
        self.call_after_refresh(self._stop_blinking)

    def _stop_blinking(self) -> None:
        from textual.widgets import Input

        for field in self.screen.query(Input):
            field.cursor_blink = False

    def action_help(self) -> None:
        """Show every key."""
        from tui.screen_help import HelpScreen

        if not isinstance(self.screen, HelpScreen):
            self.push_screen(HelpScreen())

    def action_interrupt(self) -> None:
        """Quit at the second ctrl+c within two seconds."""
        now_s = self._clock()
        if self._interrupted_at_s is not None and now_s - self._interrupted_at_s <= _QUIT_WITHIN_S:
            self.exit()
            return
        self._interrupted_at_s = now_s
        is_sending = self._rescues is not None and self._rescues.in_flight
        self.say("a rescue is under way; ctrl+c again quits" if is_sending else "ctrl+c again quits")

    def action_leave_for(self, command: str) -> None:
        """Leave the first-run screen for a command that the command line then runs."""
        if self.is_first_run:
            self.exit(command)


def _pane(name: str) -> PaneScreen:
    from tui import screen_panes

    match name:
        case "prices":
            return screen_panes.PricesScreen()
        case "risk":
            return screen_panes.RiskScreen()
        case "alerts":
            return screen_panes.AlertsScreen()
        case "feeds":
            return screen_panes.FeedsScreen()
        case "what-if":
            from tui.screen_whatif import WhatIfScreen

            return WhatIfScreen()
        case "hedge":
            from tui.screen_hedge import HedgeScreen

            return HedgeScreen()
        case "cascade":
            from tui.screen_cascade import CascadeScreen

            return CascadeScreen()
        case _:
            return screen_panes.DetailScreen()
