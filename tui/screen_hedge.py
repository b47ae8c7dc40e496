"""The hedge pane: options, an opposite perp, repaying and adding side by side for the selected account."""

import asyncio
from collections.abc import Iterable

from textual.widget import Widget
from textual.worker import Worker, WorkerState

from engine.hedge_case import Comparison
from tui import present_hedge
from tui.screens import AccountScreen
from tui.scrolling import Scroller
from tui.view import Frame
from widgets.bars import SectionRule
from widgets.facts import TextLines

HORIZON_S = 30 * 86_400
_ANEW_NS = 60 * 1_000_000_000


class HedgeScreen(AccountScreen):
    """What protecting the selected account takes; worked out beside the loop, anew once a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: tuple[str, int] | None = None
        self._found: Comparison | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule(id="ways", classes="gap")
        yield TextLines(id="way-lines")
        yield SectionRule(id="cannot", classes="gap")
        with Scroller(classes="scrolling"):
            yield TextLines(id="cannot-lines")

    def show_body(self, frame: Frame) -> None:
        self._ask(frame)
        found = self._found
        self.query_one("#ways", SectionRule).model = present_hedge.hedge_section(frame, found, self.size.width)
        self.query_one("#way-lines", TextLines).model = present_hedge.hedge(frame, found, self.size.width)
        self.query_one("#cannot", SectionRule).model = present_hedge.CANNOT
        self.query_one("#cannot-lines", TextLines).model = present_hedge.cannot(frame, found, self.size.width)

    def _ask(self, frame: Frame) -> None:
        """Have the hedges worked out if the account is another one or a minute has passed."""
        if frame.selected is None:
            return
        wanted = (frame.selected.account.name, frame.snapshot.taken_at_ns // _ANEW_NS)
        if wanted == self._asked:
            return
        if self._asked is None or self._asked[0] != wanted[0]:
            self._found = None
        self._asked = wanted
        self.run_worker(self._work_out(frame), exclusive=True, group="hedge", exit_on_error=False)

    async def _work_out(self, frame: Frame) -> None:
        self._found = await asyncio.to_thread(present_hedge.compared, frame, HORIZON_S)
        self._dashboard.paint_again()

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say in words that working it out failed; the dashboard goes on."""
        if event.worker.group == "hedge" and event.state is WorkerState.ERROR and self._asked is not None:
            self._found = Comparison(self._asked[0], HORIZON_S, because=present_hedge.failed(event.worker.error))
            self._dashboard.paint_again()
