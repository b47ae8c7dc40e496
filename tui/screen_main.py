"""The main screen: accounts worst first, the selected one, prices and alerts, as far as the terminal has room."""

from collections.abc import Iterable

from textual import events
from textual.containers import Horizontal, Vertical
from textual.widget import Widget

from tui import layout, present_alerts, present_detail, present_prices, present_whatif
from tui.layout import SizeClass
from tui.present_accounts import AccountRows
from tui.screens import Hints, PaneScreen
from tui.view import Frame
from widgets.accounts import AccountTable
from widgets.alertlist import AlertList
from widgets.bars import SectionRule
from widgets.empty import Choice, Empty, EmptyState
from widgets.facts import Facts, LegTable, TextLines
from widgets.history import HealthHistory
from widgets.loadline import LoadLine
from widgets.prices import PriceTable

CHOICES = (
    Choice("d", "demo", "a simulated market, offline"),
    Choice("i", "init", "add an address or a read-only API key"),
)


class MainScreen(PaneScreen):
    """Table, selection, prices and alerts; without any account, what to do first."""

    HINTS = (
        ("enter", "detail"),
        ("/", "filter"),
        ("s", "sort"),
        ("a", "ack"),
        ("space", "freeze"),
        ("$", "mask"),
        ("z", "zoom"),
    )

    def __init__(self) -> None:
        super().__init__()
        self._rows = AccountRows()
        self._class: SizeClass | None = None
        self._is_empty = False

    @property
    def hints(self) -> Hints:
        if self._is_empty:
            return (("d", "demo"), ("i", "init"), ("q", "quit"))
        return (*self._dashboard.rescue_hints, *self.HINTS)

    @property
    def panes(self) -> str:
        return "" if self._is_empty else super().panes

    def compose_body(self) -> Iterable[Widget]:
        size = self.app.size
        self._class = layout.size_class(size.width, size.height)
        self._is_empty = self._dashboard.is_first_run
        if self._is_empty:
            yield EmptyState(classes="body")
            return
        yield AccountTable(classes="gap")
        if self._class is SizeClass.SMALL:
            yield from self._compose_small()
        else:
            yield from self._compose_panes()

    def _compose_small(self) -> Iterable[Widget]:
        with Vertical(classes="selection gap"):
            yield SectionRule(id="selected")
            with Horizontal(classes="selection"):
                yield LoadLine(classes="side")
                yield Facts(classes="aside", id="brief")

    def _compose_panes(self) -> Iterable[Widget]:
        with Horizontal(classes="selection gap"):
            with Vertical(classes="left"):
                yield SectionRule(id="selected")
                yield LoadLine()
                yield LegTable(classes="gap")
            with Vertical(classes="side beside"):
                yield SectionRule(id="history")
                yield HealthHistory()
        with Horizontal(classes="lower gap"):
            with Vertical(classes="left"):
                yield SectionRule(id="prices")
                yield PriceTable()
                if self._class is SizeClass.LARGE:
                    yield SectionRule(id="alerts", classes="gap")
                    yield AlertList()
            with Vertical(classes="side beside"):
                if self._class is SizeClass.LARGE:
                    yield SectionRule(id="stress")
                    yield TextLines(id="stress-lines", classes="body")
                else:
                    yield SectionRule(id="alerts")
                    yield AlertList()

    def on_resize(self, event: events.Resize) -> None:
        """Compose anew when the terminal changes its size class."""
        if self._class is not None and layout.size_class(event.size.width, event.size.height) is not self._class:
            self.refresh(recompose=True)
            self.call_after_refresh(self._settle)

    def _settle(self) -> None:
        for table in self.query(AccountTable):
            table.focus()
        self._dashboard.paint_again()

    def show_body(self, frame: Frame) -> None:
        if self._is_empty:
            note = frame.settings.config_note
            self.query_one(EmptyState).model = Empty(
                "No accounts yet.", "A public address is enough to watch. No key is needed.", CHOICES, note
            )
            return
        table = self.query_one(AccountTable)
        table.model = self._rows.model(frame)
        selected = frame.selected
        if selected is not None:
            self.follow(table, selected.account.name)
        self.query_one("#selected", SectionRule).model = present_detail.section(frame)
        self.query_one(LoadLine).model = present_detail.scale(frame)
        self._fit(frame, len(present_detail.legs(frame).rows))
        if self._class is SizeClass.SMALL:
            self.query_one("#brief", Facts).model = present_detail.brief(frame)
        else:
            self._show_panes(frame)

    def _show_panes(self, frame: Frame) -> None:
        focused = self.focused
        self.query_one(LegTable).model = present_detail.legs(frame)
        self.query_one("#history", SectionRule).model = present_detail.history_section(frame)
        self.query_one(HealthHistory).model = present_detail.history(frame)
        prices, alerts = self.query_one(PriceTable), self.query_one(AlertList)
        self.query_one("#prices", SectionRule).model = present_prices.section(frame, is_focused=focused is prices)
        prices.model = present_prices.prices(frame)
        self.query_one("#alerts", SectionRule).model = present_alerts.section(frame, is_focused=focused is alerts)
        alerts.model = present_alerts.alerts(frame)
        if self._class is SizeClass.LARGE:
            lines = self.query_one("#stress-lines", TextLines)
            self.query_one("#stress", SectionRule).model = present_whatif.beside_section()
            # Half of the screen less the margin, as the style sheet has it: at the first paint nothing has a size yet.
            width, rows = self.size.width // 2 - 2, lines.size.height or self.size.height
            lines.model = present_whatif.grid_and_chances(frame, width, rows)

    def _fit(self, frame: Frame, legs: int) -> None:
        """Give the panes their rows; the table never takes what the lower panes need to say anything."""
        table = self.query_one(AccountTable)
        if self.has_class("-zoomed"):
            wanted: int | str = "1fr"
        elif self._class is SizeClass.SMALL:
            wanted = "1fr"
        else:
            size = self.app.size
            shared = layout.rows(size.width, size.height, len(frame.order), legs)
            wanted = shared.table
            block = self.query(".selection").first()
            if block.styles.height is None or block.styles.height.value != shared.selection:
                block.styles.height = shared.selection
        height = table.styles.height
        if height is None or (str(height) != str(wanted)):
            table.styles.height = wanted

    def zoom(self) -> None:
        """Give the account table the whole body, or give the other panes their room back."""
        self.toggle_class("-zoomed")
        self._dashboard.paint_again()
