"""The cascade pane: where falls of the selected account's collateral end, and its place in the queue."""

from collections.abc import Iterable

from textual.widget import Widget

from tui import present_cascade
from tui.cascade_like import CascadeFound
from tui.screen_worked_out import WorkedOutScreen
from tui.scrolling import Scroller
from tui.view import Frame
from widgets.bars import SectionRule
from widgets.facts import TextLines


class CascadeScreen(WorkedOutScreen):
    """What a cascade does to the selected account; worked out beside the loop, anew once a minute."""

    HINTS = (("j k", "account"), ("enter", "detail"), ("m", "method"), ("$", "mask"), ("esc", "back"))

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule(id="cascade", classes="gap")
        yield TextLines(id="market-lines")
        with Scroller(classes="scrolling"):
            yield TextLines(id="cascade-lines")

    def show_body(self, frame: Frame) -> None:
        self.ask(frame)
        self.query_one("#cascade", SectionRule).model = present_cascade.section(frame)
        self.query_one("#market-lines", TextLines).model = present_cascade.market(frame, self.size.width)
        self.query_one("#cascade-lines", TextLines).model = present_cascade.cascade(frame, self.size.width)

    async def work_out(self, frame: Frame, name: str) -> None:
        """Show what is there at once, and paths over time when they have run."""
        cascades = self._dashboard.cascades
        if cascades is None:
            self._show(CascadeFound(name, frame.snapshot.taken_at_ns, because=present_cascade.NOBODY))
            return
        if frame.cascade is None or frame.cascade.answer is None:
            self._show(await cascades.cascade_of(frame.snapshot, name, with_paths=False))
        self._show(await cascades.cascade_of(frame.snapshot, name, with_paths=True))

    def _show(self, found: CascadeFound) -> None:
        self._dashboard.session.cascade = found
        self._dashboard.paint_again()

    def show_failure(self, name: str, why: str, at_ns: int) -> None:
        """Show why there is no cascade."""
        self._show(CascadeFound(name, at_ns, because=why))
