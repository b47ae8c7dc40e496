"""What was done: every rescue with its outcome and evidence, newest first."""

from collections.abc import Iterable
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget

from desk.actions import ActionState
from providers.errors import AppError
from tui import present_actions
from tui.rescues import Rescues
from tui.screens import PaneScreen
from tui.scrolling import Scroller
from tui.view import Frame
from widgets.alertlist import AlertList
from widgets.bars import Section, SectionRule
from widgets.facts import TextLines

LIMIT = 200


class ActionList(AlertList):
    """One line per action."""


class HistoryScreen(PaneScreen):
    """The journal's actions, with those under way as they stand now; the one under the cursor in full."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("f", "faster", show=False)]
    HINTS = (
        ("j k", "action"),
        ("r", "reconcile"),
        ("f", "faster"),
        ("space", "freeze"),
        ("$", "mask"),
        ("esc", "back"),
    )

    def __init__(self, rescues: Rescues) -> None:
        super().__init__()
        self._rescues = rescues
        self._kept: tuple[ActionState, ...] = ()
        self._problem = "reading the journal"
        self._chosen: ActionState | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule(id="history-title", classes="gap")
        yield ActionList()
        yield SectionRule(id="action", classes="gap")
        with Scroller(classes="scrolling", can_focus=False):
            yield TextLines(id="action-text")

    def on_mount(self) -> None:
        """Read the journal."""
        self._read()

    @work(exclusive=True, group="history", exit_on_error=False)
    async def _read(self) -> None:
        try:
            self._kept, self._problem = await self._rescues.desk.history(LIMIT), ""
        except AppError as error:
            self._problem = str(error)
        self._dashboard.paint_again()

    def show_body(self, frame: Frame) -> None:
        shown = self.query_one(ActionList)
        actions = present_actions.merged(frame.snapshot.actions, self._kept)
        title = present_actions.section(actions, self._problem, is_focused=shown.has_focus)
        self.query_one("#history-title", SectionRule).model = title
        shown.model = present_actions.rows(frame, actions, self._problem or "nothing was ever sent")
        chosen = next((action for action in actions if action.id == shown.cursor_key), None)
        self._chosen = chosen
        name = f"{chosen.account} · {chosen.id}" if chosen is not None else "no action"
        self.query_one("#action", SectionRule).model = Section(name)
        self.query_one("#action-text", TextLines).model = present_actions.detail(frame, chosen)

    def action_faster(self) -> None:
        """Offer to overtake what waits of the action under the cursor by a higher fee."""
        self._rescues.open_faster(self._chosen, is_shown=False)

    def on_action_list_highlighted(self, message: AlertList.Highlighted) -> None:
        """Show the action under the cursor in full."""
        self._dashboard.paint_again()
