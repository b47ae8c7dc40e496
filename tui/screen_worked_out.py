"""A pane about the selected account whose figures are worked out beside the loop."""

from textual.worker import Worker, WorkerState

from tui.screens import AccountScreen
from tui.view import Frame

ANEW_NS = 60 * 1_000_000_000
_GROUP = "working out"


class WorkedOutScreen(AccountScreen):
    """Works out figures when the account is another one, and anew once a minute; a failure is said in words."""

    def __init__(self) -> None:
        super().__init__()
        self._asked: tuple[str, int] | None = None

    def ask(self, frame: Frame) -> None:
        """Have the figures worked out if the account is another one or a minute has passed."""
        if frame.selected is None:
            return
        name = frame.selected.account.name
        wanted = (name, frame.snapshot.taken_at_ns // ANEW_NS)
        if wanted == self._asked:
            return
        if self._asked is None or self._asked[0] != name:
            self.forget()
        self._asked = wanted
        self.run_worker(self.work_out(frame, name), exclusive=True, group=_GROUP, exit_on_error=False)

    def forget(self) -> None:
        """Drop the figures of another account."""

    async def work_out(self, frame: Frame, name: str) -> None:
        """Work out the figures of account `name` and show them."""

    def show_failure(self, name: str, why: str, at_ns: int) -> None:
        """Show why there are no figures of account `name`, asked for in the minute of `at_ns`."""

    def on_worker_state_changed(self, event: Worker.StateChanged) -> None:
        """Say in words that working it out failed, though not in the error's own, which may hold anything."""
        if event.worker.group == _GROUP and event.state is WorkerState.ERROR and self._asked is not None:
            name, at_minute = self._asked
            why = f"unknown: it could not be worked out ({type(event.worker.error).__name__})"
            self.show_failure(name, why, at_minute * ANEW_NS)
