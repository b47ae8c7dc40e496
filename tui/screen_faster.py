"""Speeding up what waits: the fee that would overtake it, and enter to send it."""

from collections.abc import Iterable
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget

from desk.actions import ActionState
from desk.speedup import Faster
from providers.errors import AppError
from tui import present_actions
from tui.rescues import Rescues
from tui.screens import Overlay
from tui.view import Frame
from widgets.bars import Bar, KeyBar, Section, SectionRule
from widgets.plan import ProgressSteps
from widgets.tones import Phrase


class FasterScreen(Overlay):
    """Reads what overtaking costs now and shows it; nothing is signed before enter."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "confirm", show=False),
        Binding("r", "again", show=False),
        Binding("A", "app.rescue('open_arming')", show=False),
    ]

    def __init__(self, rescues: Rescues, action: ActionState, *, is_shown: bool) -> None:
        super().__init__()
        self._rescues = rescues
        self._action = action
        self._is_shown = is_shown
        self._offer: Faster | None = None
        self._problem = ""

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule()
        yield ProgressSteps(classes="gap")
        yield KeyBar(classes="gap")

    def on_mount(self) -> None:
        """Ask for the fee."""
        self._ask()

    @work(exclusive=True, group="faster", exit_on_error=False)
    async def _ask(self) -> None:
        self._offer, self._problem = None, ""
        try:
            self._offer = await self._rescues.desk.faster(self._action.id)
        except AppError as error:
            self._problem = str(error)
        self._dashboard.paint_again()

    def show_body(self, frame: Frame) -> None:
        """Show the fee, or why there is none."""
        offer, is_armed = self._offer, self._rescues.is_armed
        self.query_one(SectionRule).model = Section(f"speed up {self._action.account}", is_focused=True)
        self.query_one(ProgressSteps).model = present_actions.faster(frame, offer, self._problem, is_armed=is_armed)
        keys = [Phrase.key("esc", "leave it waiting")]
        if offer is None and self._problem:
            keys.insert(0, Phrase.key("r", "again"))
        if offer is not None:
            keys.insert(0, Phrase.key("enter", "send") if is_armed else Phrase.key("A", "arm"))
        self.query_one(KeyBar).model = Bar(tuple(keys))

    def action_again(self) -> None:
        """Read the fees again."""
        self._ask()

    def action_confirm(self) -> None:
        """Send what was shown, if that is allowed now."""
        if self._offer is not None and self._rescues.is_armed and self.is_current:
            self._rescues.hasten(self._action, self._offer, is_shown=self._is_shown)
