"""What all screens share: the four bars around a body, and being told what to show."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.geometry import Size
from textual.screen import ModalScreen, Screen
from textual.widget import Widget

from tui import present_bars
from tui.filtering import FilterBar
from tui.view import Frame
from widgets.accounts import AccountTable
from widgets.alertlist import AlertList
from widgets.bars import FeedBar, HeaderBar, KeyBar, Verdict
from widgets.prices import PriceTable
from widgets.rowlist import RowList

if TYPE_CHECKING:
    from tui.app import DashboardApp

BEHIND_CURSOR_S = 0.025
"""How long other panes wait for the account under the cursor: its own line is on its way to the terminal by then."""

Hints = tuple[tuple[str, str], ...]
"""Keys and what they do here, the most wanted first."""


class PaneScreen(Screen[None]):
    """Header, verdict, a body, sources and keys. A subclass composes the body and fills it from a frame."""

    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-high")]  # noqa: RUF012  # declared so by Textual
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (60, "-narrow"), (160, "-wide")]  # noqa: RUF012  # declared so by Textual
    HINTS: ClassVar[Hints] = ()

    def __init__(self) -> None:
        super().__init__()
        self._followed: WeakKeyDictionary[RowList[Any], str] = WeakKeyDictionary()
        self._is_recomposing = False

    def classes_of(self, size: Size) -> list[str]:
        """Return the classes of a size: a screen that starts with them is not styled anew at its first resize."""
        ladders = ((size.width, self.HORIZONTAL_BREAKPOINTS), (size.height, self.VERTICAL_BREAKPOINTS))
        return [[name for start, name in ladder if start <= length][-1] for length, ladder in ladders]

    def compose(self) -> ComposeResult:
        yield HeaderBar()
        yield Verdict()
        yield from self.compose_body()
        yield FeedBar()
        yield KeyBar()

    @property
    def hints(self) -> Hints:
        """Return the keys that do something now."""
        return self.HINTS

    @property
    def panes(self) -> str:
        """Return what the last line says of the other panes."""
        return "1-9 panes" if self._dashboard.settings.has_rescue else "1-5 7-9 panes"

    def compose_body(self) -> Iterable[Widget]:
        """Return what stands between the bars."""
        return ()

    def show(self, frame: Frame) -> None:
        """Show a frame: the bars, then the body. Before all of it is mounted, wait for the next one."""
        if not self.is_mounted or self._is_recomposing:
            return
        self.query_one(HeaderBar).model = present_bars.header(frame)
        self.query_one(Verdict).model = present_bars.verdict(frame)
        self.query_one(FeedBar).model = present_bars.feeds(frame)
        self.query_one(KeyBar).model = present_bars.keys(self.hints, self.panes, frame.view.sort)
        self.show_body(frame)

    async def recompose(self) -> None:
        """Compose anew, and show the latest frame on it."""
        self._is_recomposing = True
        await super().recompose()
        self._is_recomposing = False
        self._dashboard.paint_again()

    def show_body(self, frame: Frame) -> None:
        """Show a frame's part of this screen."""

    def follow(self, rows: RowList[Any], key: str | None) -> None:
        """Bring a list's cursor to a selection made elsewhere.

        A selection that was followed before is not followed again: the cursor may be ahead of it, because the list's
        message has yet to come.
        """
        if key is not None and self._followed.get(rows) != key and (rows.cursor_key == key or rows.select(key)):
            self._followed[rows] = key

    def _came_from(self, message: RowList.Highlighted) -> None:
        """Count a selection that a list's cursor made as followed: by the next paint the cursor may be elsewhere."""
        if isinstance(message.control, RowList) and message.key is not None:
            self._followed[message.control] = message.key

    def on_screen_resume(self) -> None:
        """Show the latest frame at once when this screen comes up."""
        self._dashboard.paint_again()

    def on_descendant_focus(self) -> None:
        """Show at once which pane has the keys."""
        self._dashboard.paint_again()

    def on_account_table_highlighted(self, message: AccountTable.Highlighted) -> None:
        """Show the account under the cursor in the other panes."""
        session = self._dashboard.session
        if session.is_touched and _is_current(message) and message.key != session.view.selected:
            session.select(account=message.key)
            self._came_from(message)
            self.set_timer(BEHIND_CURSOR_S, self._dashboard.paint)

    def on_account_table_chosen(self, message: AccountTable.Chosen) -> None:
        """Open the account in full."""
        self._dashboard.session.select(account=message.key)
        self._dashboard.action_pane("detail")

    def on_price_table_highlighted(self, message: PriceTable.Highlighted) -> None:
        """Show the quotes of the asset under the cursor."""
        session = self._dashboard.session
        if _is_current(message) and message.key != session.view.selected_asset:
            session.select(asset=message.key)
            self._came_from(message)
            self._dashboard.paint()

    def on_price_table_chosen(self, message: PriceTable.Chosen) -> None:
        """Open the asset's quotes."""
        self._dashboard.session.select(asset=message.key)
        self._dashboard.action_pane("prices")

    def on_alert_list_highlighted(self, message: AlertList.Highlighted) -> None:
        """Show the alert under the cursor in full: at once under a key, with the next frame where alerts moved it."""
        session = self._dashboard.session
        if _is_current(message) and message.key != session.view.selected_alert:
            session.select(alert=message.key)
            self._came_from(message)
            if message.sender.has_focus:
                self._dashboard.paint()

    def on_alert_list_chosen(self, message: AlertList.Chosen) -> None:
        """Go to the account that the alert is about."""
        snapshot = self._dashboard.session.frame.snapshot
        alert = next((alert for alert in snapshot.alerts if alert.key == message.key), None)
        if alert is not None and alert.subject in snapshot.accounts:
            self._dashboard.session.select(account=alert.subject)
            self._dashboard.action_pane("detail")

    def on_filter_bar_typed(self, message: FilterBar.Typed) -> None:
        """Take the filter as it stands."""
        self._dashboard.session.filter_by(message.text)
        self._dashboard.paint()

    async def ask_for_filter(self, text: str) -> None:
        """Let a filter be typed in the last line; it takes effect as it is typed.

        Returns when the line has the keys, so that none typed behind `/` goes elsewhere.
        """
        bar = FilterBar(text)
        await self.mount(bar)
        self.set_focus(bar.field)

    @property
    def is_filtering(self) -> bool:
        """Return whether a filter is being typed."""
        return bool(self.query(FilterBar))

    @property
    def _dashboard(self) -> "DashboardApp":
        return self.app  # type: ignore[return-value]  # these screens run in DashboardApp only


class AccountScreen(PaneScreen):
    """A pane about the account under the cursor: `j` and `k` go to the next one, `enter` opens it in full."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("j", "app.match(1)", show=False),
        Binding("k", "app.match(-1)", show=False),
        Binding("enter", "app.pane('detail')", show=False),
    ]
    HINTS = (("j k", "account"), ("enter", "detail"), ("space", "freeze"), ("$", "mask"), ("esc", "back"))


class Overlay(ModalScreen[None]):
    """A box over the pane screens, which stay live behind it; it is shown every frame that they are."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "leave", show=False),
        Binding("exclamation_mark", "app.rescue('disarm')", show=False),
        Binding("dollar_sign", "app.mask", show=False),
        Binding("ctrl+l", "app.repaint", show=False),
    ]

    def compose(self) -> ComposeResult:
        with Vertical(classes="modal"):
            yield from self.compose_body()

    def compose_body(self) -> Iterable[Widget]:
        """Return what stands in the box."""
        return ()

    def show(self, frame: Frame) -> None:
        """Show a frame of the live snapshot, frozen screen or not; before all of it is mounted, wait for the next."""
        if self.is_mounted:
            self.show_body(frame)

    def show_body(self, frame: Frame) -> None:
        """Show a frame in the box."""

    def on_screen_resume(self) -> None:
        """Show the latest frame at once when this comes up."""
        self._dashboard.paint_again()

    def action_leave(self) -> None:
        """Close the box."""
        self.dismiss()

    @property
    def _dashboard(self) -> "DashboardApp":
        return self.app  # type: ignore[return-value]  # these screens run in DashboardApp only


def _is_current(message: RowList.Highlighted) -> bool:
    """Return whether the cursor still is where the message says; a list that was just made starts at its first row."""
    lists = (AccountTable, PriceTable, AlertList)
    return message.key is not None and isinstance(message.control, lists) and message.control.cursor_key == message.key
