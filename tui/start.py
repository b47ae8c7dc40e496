"""The way into the dashboard for the command line: decides what must precede Textual, then imports and runs the app."""

from engine.record import record
from tui import environment
from tui.desk_like import DeskLike
from tui.view import UiSettings


@record
class Outcome:
    """How a dashboard ended: the command that the user chose to go on with, if any, and an exit code."""

    command: str | None
    exit_code: int


def run_dashboard(desk: DeskLike, settings: UiSettings, *, colors: str = "auto") -> Outcome:
    """Show `desk` until the user leaves. `colors` is one of `environment.COLOUR_SYSTEMS`.

    Call it before anything imports Textual: its settings are read at import.
    """
    environment.prepare(colors)
    from tui.app import DashboardApp

    app = DashboardApp(desk, settings=settings)
    command = app.run(mouse=settings.mouse)
    return Outcome(command, app.return_code or 0)
