"""The state of every source: what its link says, how old its data is, and for how long it has been blind."""

from collections.abc import Mapping
from math import inf

from desk.snapshot import SourceState
from engine.record import replace
from providers.ports import LinkChange, LinkState

ACCOUNT = "account"
PRICES = "prices"
NOTIFY = "notify"
HISTORY = "history"

SEEING = frozenset({LinkState.LIVE, LinkState.DEGRADED})
SILENT = "silent beyond its budget"

Key = tuple[str, str]


class SourceBook:
    """Holds one `SourceState` per (kind, name); data decides whether a source is live, its link only explains."""

    def __init__(self) -> None:
        self._states: dict[Key, SourceState] = {}
        self._budgets_ns: dict[Key, float] = {}
        self._since_ns: dict[Key, int] = {}
        self._idle: set[Key] = set()

    @property
    def states(self) -> tuple[SourceState, ...]:
        """Return every source in the order of registration."""
        return tuple(self._states.values())

    @property
    def are_resting(self) -> bool:
        """Return whether none has anything more to say: each is live, and has no budget or nothing to do."""
        return all(
            state.state is LinkState.LIVE and (key in self._idle or self._budgets_ns.get(key, inf) == inf)
            for key, state in self._states.items()
        )

    def register(self, kind: str, name: str, stale_after_s: float, now_ns: int) -> None:
        """Add a source that has yet to say anything."""
        key = (kind, name)
        self._states[key] = SourceState(name, kind, LinkState.CONNECTING)
        self._budgets_ns[key] = stale_after_s * 1e9
        self._since_ns[key] = now_ns

    def of_kind(self, kind: str) -> Mapping[str, SourceState]:
        """Return the sources of one kind by name."""
        return {name: state for (of, name), state in self._states.items() if of == kind}

    def heard(self, kind: str, name: str, at_ns: int, wrong: str = "", warnings: tuple[str, ...] = ()) -> None:
        """Data came: the source is live, or degraded when `wrong` names what is the matter with it."""
        key = (kind, name)
        self._idle.discard(key)
        former = self._former(key)
        state = LinkState.DEGRADED if wrong else LinkState.LIVE
        newest = at_ns if former.updated_at_ns is None else max(at_ns, former.updated_at_ns)
        self._states[key] = replace(
            former,
            state=state,
            updated_at_ns=newest,
            detail=wrong,
            retry_at_ns=None,
            is_unauthorised=False,
            warnings=warnings,
        )

    def linked(self, kind: str, name: str, change: LinkChange) -> None:
        """The link says something about itself."""
        key = (kind, name)
        self._idle.discard(key)
        former = self._former(key)
        self._states[key] = replace(
            former,
            state=change.state,
            detail=change.detail,
            retry_at_ns=change.retry_at_ns,
            dropped=max(former.dropped, change.dropped),
            is_unauthorised=change.is_unauthorised,
        )

    def idle(self, kind: str, name: str, detail: str, *, waits: bool) -> None:
        """The source has nothing to do: it is not blind, and connecting only if it `waits` for something."""
        key = (kind, name)
        self._idle.add(key)
        state = LinkState.CONNECTING if waits else LinkState.LIVE
        self._states[key] = replace(self._states[key], state=state, detail=detail, retry_at_ns=None)
        self._since_ns.pop(key, None)

    def _former(self, key: Key) -> SourceState:
        return self._states.get(key) or SourceState(key[1], key[0], LinkState.CONNECTING)

    def age(self, now_ns: int) -> bool:
        """Turn silent sources stale; return whether any turned."""
        turned = False
        for key, state in self._states.items():
            if state.state not in SEEING or state.updated_at_ns is None or key in self._idle:
                continue
            if now_ns - state.updated_at_ns > self._budgets_ns.get(key, inf):
                self._states[key] = replace(state, state=LinkState.STALE, detail=SILENT)
                turned = True
        return turned

    def blind_ns(self, kind: str, name: str, now_ns: int) -> int | None:
        """Return for how long the source has had no data; `None` while it sees or has nothing to see."""
        key = (kind, name)
        state = self._states[key]
        if key in self._idle or state.state in SEEING:
            return None
        since = state.updated_at_ns if state.updated_at_ns is not None else self._since_ns.setdefault(key, now_ns)
        return max(0, now_ns - since)
