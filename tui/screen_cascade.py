"""The cascade pane: where falls of the selected account's collateral end, and its place in the queue."""

from collections.abc import Iterable

from textual.widget import Widget
from textual.worker import Worker, WorkerState

from tui import present_cascade
from tui.cascade_like import CascadeFound
from tui.present_hedge import failed
from tui.screens import AccountScreen
from tui.scrolling import Scroller
from tui.view import Frame
from widgets.bars import SectionRule
from widgets.facts import TextLines

_ANEW_NS = 60 * 1_000_000_000


class CascadeScreen(AccountScreen):
    """What a cascade does to the selected account; worked out beside the loop, anew once a minute."""

    HINTS = (("j k", "account"), ("enter", "detail"), ("m", "method"), ("$", "mask"), ("esc", "back"))

    def __init__(self) -> None:
        super().__init__()
        self._asked: tuple[str, int] | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule(id="cascade", classes="gap")
        yield TextLines(id="market-lines")
        with Scroller(classes="scrolling"):
            yield TextLines(id="cascade-lines")

    def show_body(self, frame: Frame) -> None:
        self._ask(frame)
        self.query_one("#cascade", SectionRule).model = present_cascade.section(frame)
        self.query_one("#market-lines", TextLines).model = present_cascade.market(frame, self.size.width)
        self.query_one("#cascade-lines", TextLines).model = present_cascade.cascade(frame, self.size.width)

    def _ask(self, frame: Frame) -> None:
        """Have the cascade worked out if the account is another one or a minute has passed."""
        if frame.selected is None:
            return
        wanted = (frame.selected.account.name, frame.snapshot.taken_at_ns // _ANEW_NS)
        if wanted == self._asked:
            return
        self._asked = wanted
        self.run_worker(self._work_out(frame, wanted[0]), exclusive=True, group="cascade", exit_on_error=False)

    async def _work_out(self, frame: Frame, name: str) -> None:
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

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say in words that working it out failed; the dashboard goes on."""
        if event.worker.group == "cascade" and event.state is WorkerState.ERROR and self._asked is not None:
            name, at_minute = self._asked
            self._show(CascadeFound(name, at_minute * _ANEW_NS, because=failed(event.worker.error)))
