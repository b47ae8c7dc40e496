"""One session at the screen: what the user chose, in which order accounts stand, and the next frame to show."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from desk.roster import at_triggers
from desk.snapshot import AccountState, Snapshot
from tui import order
from tui.desk_like import DeskLike
from tui.view import Frame, Sort, UiSettings, View

if TYPE_CHECKING:
    from tui.cascade_like import CascadeFound

SILENT_AFTER_S = 15.0
"""A live desk that does not rest makes a snapshot every second; after this long without one the screen says so."""
NOTICE_S = 3.0
"""How long an answer to a key stands."""
_RESTING_PAUSE_S = 1.0
_EAGER_PAUSE_S = 0.005
_REST_PER_WORK = 4
_LONGEST_REST_S = 1.0
_EAGER_LOOKS = 400
_SECOND_NS = 1_000_000_000
_SORTS = tuple(Sort)


class Session:
    """Turns snapshots into frames. Every `now_s` is a monotonic clock in seconds."""

    def __init__(self, desk: DeskLike, settings: UiSettings) -> None:
        self.settings = settings
        self.armed_until_ns: Callable[[], int | None] = lambda: desk.snapshot.armed_until_ns
        self.view = View(is_masked=settings.is_masked)
        self.cascade: CascadeFound | None = None
        """What was worked out last of a cascade, of whatever account."""
        self.is_touched = False
        """Whether anyone has pressed a key yet: until then the cursor stands on the worst account."""
        self._desk = desk
        self._order = order.Order()
        self._ranked: Mapping[str, AccountState] | None = None
        self._ranking: tuple[str, ...] = ()
        self._frozen: Snapshot | None = None
        self._frozen_at_s = 0.0
        self._said_at_s = 0.0
        self._eager_looks = _EAGER_LOOKS
        self._spent_s = (0.0, 0.0)
        self._seen: Snapshot | None = None
        self._seen_at_s: float | None = None
        self._shown: tuple[Snapshot, View, bool] | None = None
        self._frame = Frame(desk.snapshot, self.view, settings)

    @property
    def frame(self) -> Frame:
        """Return the frame made last."""
        return self._frame

    @property
    def pause_s(self) -> float:
        """Return for how long nobody need ask for the next frame: a second while the desk rests and no words expire.

        Until the first account is there it is a blink, so that the first real frame does not wait for a beat. Where
        frames cost much (a thousand accounts), they follow one another more slowly: the desk shares the processor.
        """
        view, snapshot = self.view, self._desk.snapshot
        if not self._frame.snapshot.accounts and self._eager_looks:
            self._eager_looks -= 1
            return _EAGER_PAUSE_S
        is_still = snapshot is self._seen and snapshot.is_resting and not view.notice and not self._frame.is_held
        rest_s = min(_LONGEST_REST_S, _REST_PER_WORK * min(self._spent_s))
        return max(1 / self.settings.fps, _RESTING_PAUSE_S if is_still else 0.0, rest_s)

    def painted(self, spent_s: float) -> None:
        """Note what a frame cost on the processor, in seconds; one that was dear by itself changes nothing."""
        self._spent_s = (self._spent_s[1], spent_s)

    def next_frame(self, now_s: float) -> Frame | None:
        """Return a frame when there is something new to show, else `None`."""
        latest = self._desk.snapshot
        if latest is not self._seen:
            self._seen, self._seen_at_s = latest, now_s
        is_silent = (
            self.settings.is_live
            and bool(latest.sources)
            and not latest.is_resting
            and self._seen_at_s is not None
            and now_s - self._seen_at_s > SILENT_AFTER_S
        )
        snapshot = self._frozen or latest
        if self.view.notice and now_s - self._said_at_s > NOTICE_S:
            self.view = replace(self.view, notice="")
        if self._frozen is not None:
            self.view = replace(self.view, frozen_for_ns=int(now_s - self._frozen_at_s) * _SECOND_NS)
        left_s = self._armed_left_s(latest)
        if left_s != self.view.armed_left_s:
            self.view = replace(self.view, armed_left_s=left_s)
        wanted = (snapshot, self.view, is_silent)
        if self._shown is not None and not self._frame.is_held and self._is_shown(wanted):
            return None
        self._shown = wanted
        states = at_triggers(snapshot.accounts)
        if states is not self._ranked:
            self._ranked, self._ranking = states, order.worst_first(states)
        names, is_held = self._order.arrange(
            states,
            self._ranking,
            self.view.sort,
            self.view.filter,
            now_s,
            is_reversed=self.view.is_reversed,
        )
        self._frame = Frame(snapshot, self.view, self.settings, self._ranking, names, is_held, is_silent, self.cascade)
        return self._frame

    def _armed_left_s(self, latest: Snapshot) -> int | None:
        """Return the seconds of arming left by the desk's clock, frozen screen or not; `None` when none is."""
        until_ns = self.armed_until_ns()
        left_ns = 0 if until_ns is None else until_ns - latest.taken_at_ns
        return left_ns // _SECOND_NS if left_ns > 0 else None

    def _is_shown(self, wanted: tuple[Snapshot, View, bool]) -> bool:
        shown = self._shown
        return shown is not None and shown[0] is wanted[0] and shown[1:] == wanted[1:]

    def touched(self, now_s: float) -> None:
        """Take note of a key or a click: the order holds still for a while."""
        self.is_touched = True
        self._order.touched(now_s)

    def select(self, *, account: str | None = None, asset: str | None = None, alert: str | None = None) -> None:
        """Take what a cursor came to."""
        self.view = replace(
            self.view,
            selected=account if account is not None else self.view.selected,
            selected_asset=asset if asset is not None else self.view.selected_asset,
            selected_alert=alert if alert is not None else self.view.selected_alert,
        )

    def next_sort(self) -> Sort:
        """Rank a held order again; otherwise sort by the next column."""
        if self._frame.is_held:
            self._order.release()
        else:
            following = _SORTS[(_SORTS.index(self.view.sort) + 1) % len(_SORTS)]
            self.view = replace(self.view, sort=following, is_reversed=False)
        self._shown = None
        return self.view.sort

    def reverse_sort(self) -> None:
        """Turn the order round."""
        self.view = replace(self.view, is_reversed=not self.view.is_reversed)

    def filter_by(self, text: str) -> None:
        """Show only what matches; the empty text shows all."""
        self.view = replace(self.view, filter=text)

    def toggle_mask(self) -> None:
        """Hide amounts, or show them again."""
        self.view = replace(self.view, is_masked=not self.view.is_masked)

    def toggle_freeze(self, now_s: float) -> None:
        """Hold the picture still, or let it go on; feeds, rules and alarms never stop."""
        if self._frozen is None:
            self._frozen, self._frozen_at_s = self._desk.snapshot, now_s
        else:
            self._frozen = None
            self.view = replace(self.view, frozen_for_ns=None)

    def say(self, notice: str, now_s: float) -> None:
        """Answer a key with a few words that go by themselves."""
        self.view, self._said_at_s = replace(self.view, notice=notice), now_s

    def show_again(self) -> None:
        """Make the next frame even if nothing changed: another screen has come up."""
        self._shown = None
