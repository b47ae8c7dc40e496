"""What the user chose and what the screens are told: settings, view state, and the frame that presenters read."""

from collections.abc import Mapping
from dataclasses import field
from enum import StrEnum
from typing import TYPE_CHECKING

from desk.roster import at_triggers
from desk.snapshot import AccountState, Snapshot
from engine.accounts import Account, Kind
from engine.record import record
from engine.severity import DEFAULT_LADDERS, Ladder

if TYPE_CHECKING:
    from tui.cascade_like import CascadeFound


class Sort(StrEnum):
    """What the account table is ordered by; `RISK` is worst first, by severity and then by room to the line."""

    RISK = "risk"
    HEALTH = "health"
    DISTANCE = "distance"
    BUFFER = "buffer"
    AGE = "age"
    NAME = "name"


@record
class UiSettings:
    """How the dashboard looks and behaves; made by the command line.

    `fps` caps paints per second. `label` is the mode in the header ("read-only"), `simulated` the scenario's name when
    the market is not real. `config_note` is the closing line of the first-run screen. `is_live` says that snapshots
    must keep coming, so that silence is reported; `expects_accounts` is false when nothing is configured at all.
    `has_rescue` says that someone here can carry out rescues; `countdown_s` is how long their one key waits.
    `arms_at_start` asks for the arming word at once.
    `ladders` are those of the desk, for chart thresholds.
    """

    theme: str = "deep"
    is_ascii: bool = False
    is_masked: bool = False
    fps: float = 10.0
    mouse: bool = True
    bell: bool = True
    label: str = "read-only"
    simulated: str = ""
    config_note: str = ""
    is_live: bool = True
    expects_accounts: bool = True
    ladders: Mapping[Kind, Ladder] = field(default_factory=lambda: dict(DEFAULT_LADDERS))
    account_ladders: Mapping[str, Ladder] = field(default_factory=dict)
    has_rescue: bool = False
    arms_at_start: bool = False
    countdown_s: float = 3.0

    def ladder_of(self, account: Account, source: str) -> Ladder:
        """Return the ladder that judges `account`, read by `source`."""
        own = self.account_ladders.get(account.name) or self.account_ladders.get(source)
        return own or self.ladders.get(account.kind) or DEFAULT_LADDERS[account.kind]


@record
class View:
    """What the user chose. `frozen_for_ns` is how long the screen has been frozen, `None` while it is not.

    `notice` is a short answer to the last key, shown in the line of sources for a moment. `armed_left_s` is for how
    many seconds sending stays armed, `None` while it is not.
    """

    selected: str | None = None
    sort: Sort = Sort.RISK
    is_reversed: bool = False
    filter: str = ""
    is_masked: bool = False
    frozen_for_ns: int | None = None
    selected_asset: str | None = None
    selected_alert: str | None = None
    notice: str = ""
    armed_left_s: int | None = None


@record
class Frame:
    """Everything a presenter may look at: one snapshot, one view, and the order in which accounts are shown.

    `worst_first` is the true order by urgency, `order` the one on screen after sort, filter and hold; `is_held` says
    that they differ only because the user is at the keys. `is_silent` says that a live desk stopped telling.
    `worked_out` is the cascade that was worked out last, of whatever account.
    """

    snapshot: Snapshot
    view: View
    settings: UiSettings
    worst_first: tuple[str, ...] = ()
    order: tuple[str, ...] = ()
    is_held: bool = False
    is_silent: bool = False
    worked_out: "CascadeFound | None" = None

    @property
    def cascade(self) -> "CascadeFound | None":
        """Return the cascade worked out for the account under the cursor, `None` while there is none."""
        found = self.worked_out
        return found if found is not None and found.account == self.selected_name else None

    @property
    def now_ns(self) -> int:
        """Return the moment that the screen shows: the snapshot's, in whole seconds, so that ages move once a second.

        It is the snapshot's and not the clock's, so that an idle screen stays as it is.
        """
        return self.snapshot.taken_at_ns // 1_000_000_000 * 1_000_000_000

    @property
    def selected_name(self) -> str | None:
        """Return the name of the account under the cursor, else of the worst one; `None` without accounts."""
        if self.view.selected is not None and self.view.selected in self.snapshot.accounts:
            return self.view.selected
        return next(iter(self.order or self.worst_first), None)

    @property
    def selected(self) -> AccountState | None:
        """Return the account under the cursor, else the worst one; `None` without accounts."""
        name = self.selected_name
        return self.snapshot.accounts.get(name) if name is not None else None

    @property
    def is_blackout(self) -> bool:
        """Return whether there are accounts and every one of them is stale."""
        states = at_triggers(self.snapshot.accounts)
        return bool(states) and all(state.is_stale for state in states.values())
