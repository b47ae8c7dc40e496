"""What a stream is asked for, and what a frame may say about the link that carries it."""

import random
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Generic, TypeVar

from engine.record import record

T = TypeVar("T")


class SignalKind(StrEnum):
    """What a frame says about the link rather than about the market."""

    ALIVE = "alive"
    REJECTED = "rejected"
    RESTART = "restart"
    ANSWER = "answer"


@record
class Signal:
    """A frame's word on the link.

    `ALIVE`: counts as data for the watchdog. `REJECTED`: the venue refuses a subscription, `detail` says which.
    `RESTART`: the venue asks us to reconnect. `ANSWER`: the venue waits for `texts` (a log-in, a heartbeat's reply);
    it is no data for the watchdog.
    """

    kind: SignalKind
    detail: str = ""
    texts: tuple[str, ...] = field(default=(), repr=False)


@record
class Backoff:
    """Pauses before a reconnect: `first_s`, doubling up to `cap_s`, each shortened at random by up to half."""

    first_s: float = 0.5
    cap_s: float = 30.0

    def pause_s(self, attempt: int) -> float:
        """Return the pause after `attempt` earlier failures in a row (0 = none)."""
        return min(self.cap_s, self.first_s * 2.0 ** min(attempt, 30)) * random.uniform(0.5, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Subscription(Generic[T]):
    """What to stream, and how one venue speaks.

    `parser` makes a parse function for each new connection (so it may remember deltas); that function turns one frame
    and its arrival time into items and signals, returns nothing for frames that do not concern us, and raises
    `Malformed`. `key` names the symbol of an item, `keys` all symbols. `subscribe` is sent after connecting;
    `subscribe_singly` instead, once, if the venue rejects that as a whole. `keepalive` is a text and the seconds
    between two of them. `snapshot` fetches items of some keys by REST: of all after each connect, and of those that
    are quiet while the others tick. `silence_after_s` is the watchdog's budget. A `url` or `subscribe` that ages (a
    listen key, a signed log-in) is a function, asked before each connection; a `ProviderError` of it is a lost link.
    `is_quiet` says that the venue is silent while nothing happens: being connected is then as good as data.
    """

    source: str
    url: str | Callable[[], Awaitable[str]] = field(repr=False)
    parser: Callable[[], Callable[[bytes, int], Sequence[T | Signal]]]
    key: Callable[[T], str]
    silence_after_s: float
    keys: frozenset[str] = frozenset()
    subscribe: Sequence[str] | Callable[[], Sequence[str]] = field(default=(), repr=False)
    subscribe_singly: Sequence[str] = ()
    keepalive: tuple[str, float] | None = None
    is_quiet: bool = False
    snapshot: Callable[[frozenset[str]], Awaitable[Sequence[T]]] | None = None
    tls_ca: str | None = None
    max_frame_bytes: int = 1 << 20
    max_age_s: float = 23 * 3600.0
    connect_timeout_s: float = 10.0
    backlog: int = 64
    backoff: Backoff = field(default_factory=Backoff)
    clock: Callable[[], int] = time.time_ns
