"""The palette's commands: everything that has a key, and the few things that have none."""

from collections.abc import Iterable
from functools import partial
from typing import TYPE_CHECKING

from textual.app import SystemCommand

from tui import themes

if TYPE_CHECKING:
    from tui.app import DashboardApp

RESCUE = (
    ("rescue plan", "alternatives for the selected account, t", "open_plan"),
    ("one-key rescue", "send the standing plan after a countdown, T", "open_standing"),
    ("arm", "allow sending for a while, A", "open_arming"),
    ("disarm", "wipe every key now, !", "disarm"),
    ("reconcile", "find out what became of an unknown rescue", "reconcile"),
    ("go to history", "what was sent and how it ended, key 6", "open_history"),
)
"""Title, what it does, and the method of `Rescues` behind it."""


def commands(app: "DashboardApp") -> Iterable[SystemCommand]:
    """Yield every command with what it does and its key."""
    for number, name in enumerate(("accounts", "prices", "risk", "alerts", "feeds"), 1):
        yield SystemCommand(f"go to {name}", f"key {number}", partial(app.action_pane, name))
    yield SystemCommand(
        "go to hedges", "ways to protect the account, side by side, h", partial(app.action_pane, "hedge")
    )
    yield SystemCommand(
        "go to cascade", "where falls end, and the account's place in the queue, c", partial(app.action_pane, "cascade")
    )
    yield SystemCommand("go to what-if", "common moves and crashes of the past, w", partial(app.action_pane, "what-if"))
    yield SystemCommand("how it is told", "method, data, age and baseline of each number, m", app.action_method)
    yield SystemCommand("detail", "the selected account in full, enter", partial(app.action_pane, "detail"))
    yield SystemCommand("zoom", "give the focused pane the screen, z", app.action_zoom)
    yield SystemCommand("filter", "show only what matches, /", app.action_filter)
    yield SystemCommand("sort", "by the next column, s", app.action_sort)
    yield SystemCommand("reverse sort", "S", app.action_reverse)
    yield SystemCommand("freeze", "hold the picture still; the desk goes on, space", app.action_freeze)
    yield SystemCommand("acknowledge", "the selected alert or account, a", app.action_acknowledge)
    yield SystemCommand("acknowledge all", "every alert", app.action_acknowledge_all)
    yield SystemCommand("read now", "ask every source again, r", app.action_refresh_desk)
    yield SystemCommand("mask amounts", "$", app.action_mask)
    yield SystemCommand("copy line", "the account in one line, y", app.action_copy_line)
    yield SystemCommand("copy JSON", "the account as risk --json says it, Y", app.action_copy_json)
    yield SystemCommand("repaint", "send every cell again, ctrl+l", app.action_repaint)
    yield SystemCommand("help", "every key and mark, ?", app.action_help)
    for title, does, what in RESCUE:
        yield SystemCommand(title, does, partial(app.action_rescue, what))
    for name in themes.NAMES:
        yield SystemCommand(f"theme {name}", "change the colours", partial(setattr, app, "theme", name))
    yield SystemCommand("quit", "q", app.action_quit)
