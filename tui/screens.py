"""What all screens share: the four bars around a body, and being told what to show."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, ClassVar

from textual.app import ComposeResult
from textual.screen import Screen
from textual.widget import Widget

from tui import present_bars
from tui.view import Frame
from widgets.bars import FeedBar, HeaderBar, KeyBar, Verdict

if TYPE_CHECKING:
    from tui.app import DashboardApp

Hints = tuple[tuple[str, str], ...]
"""Keys and what they do here, the most wanted first."""


class PaneScreen(Screen[None]):
    """Header, verdict, a body, sources and keys. A subclass composes the body and fills it from a frame."""

    VERTICAL_BREAKPOINTS = [(0, "-low"), (20, "-high")]  # noqa: RUF012  # declared so by Textual
    HORIZONTAL_BREAKPOINTS = [(0, "-slim"), (60, "-narrow"), (160, "-wide")]  # noqa: RUF012  # declared so by Textual
    HINTS: ClassVar[Hints] = ()

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
        return "1-5 panes"

    def compose_body(self) -> Iterable[Widget]:
        """Return what stands between the bars."""
        return ()

    def show(self, frame: Frame) -> None:
        """Show a frame: the bars, then the body."""
        if not self.query(KeyBar):
            return
        self.query_one(HeaderBar).model = present_bars.header(frame)
        self.query_one(Verdict).model = present_bars.verdict(frame)
        self.query_one(FeedBar).model = present_bars.feeds(frame)
        self.query_one(KeyBar).model = present_bars.keys(self.hints, self.panes, frame.view.sort)
        self.show_body(frame)

    def show_body(self, frame: Frame) -> None:
        """Show a frame's part of this screen."""

    def on_screen_resume(self) -> None:
        """Show the latest frame at once when this screen comes up."""
        self._dashboard.paint_again()

    @property
    def _dashboard(self) -> "DashboardApp":
        return self.app  # type: ignore[return-value]  # these screens run in DashboardApp only
