"""One WebSocket transport for every venue: reconnects, resubscribes, watches the data, and never blocks the socket.

Life of a link: CONNECTING, LIVE with the first data, STALE when data stops for `silence_after_s` (pings prove nothing:
venues have kept answering them while a stream was dead), DOWN when the connection is lost or data stayed away for
twice that, then CONNECTING again after a jittered pause that `retry_at_ns` lets a screen count down. DEGRADED instead
of LIVE while the venue refuses one of our subscriptions.

Keep-alive, fragmentation and close handshakes are those of RFC 6455, by `websockets`; compression is off, since
inflating costs more than the bytes saved (measured: 1.6x the CPU per message).
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from typing import TYPE_CHECKING, Generic, NoReturn, TypeVar

from providers.errors import ConfigError, Malformed, ProviderError, Refused
from providers.http import is_loopback, tls_context
from providers.mailbox import Mailbox
from providers.ports import LinkChange, LinkState
from providers.subscription import Backoff, Signal, SignalKind, Subscription
from providers.text import inert

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection, connect
    from websockets.exceptions import InvalidStatus

T = TypeVar("T")

__all__ = ["Backoff", "Signal", "SignalKind", "Subscription", "stream"]

MALFORMED_IN_A_ROW = 10
_SETTLED_S = 30.0  # a connection that lived this long starts the next pauses from the shortest again
_TELL_EVERY_S = 5.0  # how often a changed count of dropped frames is told
_REFUSED_PAUSE_S = 60.0  # the venue answered 4xx: it will not think better of it within seconds
_TURN = 32  # frames read before others get the loop
_LINK = "\0link"  # mailbox key of link changes; no symbol contains a NUL

_log = logging.getLogger("marginline.providers.ws")


async def stream(subscription: Subscription[T]) -> AsyncGenerator[T | LinkChange, None]:
    """Yield items and link changes for ever; ends only by cancellation or `aclose()`, and never raises for a lost link.

    The socket is read in a task of its own, which the iterator ends and awaits when it is closed.
    """
    mailbox: Mailbox[T | LinkChange] = Mailbox(subscription.backlog)
    link = _Link(subscription, mailbox)
    reader = asyncio.create_task(link.run(), name=f"{subscription.source} link")
    reader.add_done_callback(lambda _: mailbox.stir())
    try:
        while True:
            await mailbox.wait()
            while mailbox:
                yield mailbox.take()
            if reader.done():
                reader.result()
    finally:
        # A task group that fails in the very moment of its cancellation swallows it: the flag ends the link then.
        link.is_over = True
        reader.cancel()
        await asyncio.gather(reader, return_exceptions=True)


class _Lost(Exception):
    """The connection is to be given up; `pause_s` is the least pause before the next, `None` for no pause at all."""

    def __init__(self, detail: str, pause_s: float | None = 0.0) -> None:
        super().__init__(detail)
        self.detail = detail
        self.pause_s = pause_s


class _Link(Generic[T]):
    def __init__(self, subscription: Subscription[T], mailbox: Mailbox[T | LinkChange]) -> None:
        self.is_over = False
        self._sub = subscription
        self._mailbox = mailbox
        self._key = subscription.key
        self._now_s = asyncio.get_running_loop().time
        self._state = LinkState.CONNECTING
        self._unreadable = 0
        self._told = (0, -_TELL_EVERY_S)
        self._forget_connection()

    def _forget_connection(self) -> None:
        self._opened_s = self._data_s = self._now_s()
        self._unreadable_in_a_row = 0
        self._rejected: list[str] = []
        self._sent_singly = False
        self._seen: dict[str, float] = {}

    async def run(self) -> None:
        """Hold one connection after another until `is_over`."""
        failures = 0
        while True:
            self._change(LinkState.CONNECTING)
            self._forget_connection()
            lost = await self._connection()
            if self.is_over:
                return
            if self._now_s() - self._opened_s >= _SETTLED_S:
                failures = 0
            if lost.pause_s is None:
                continue
            pause_s = max(self._sub.backoff.pause_s(failures), lost.pause_s)
            failures += 1
            retry_at_ns = self._sub.clock() + round(pause_s * 1e9)
            self._change(LinkState.DOWN, lost.detail, retry_at_ns)
            await asyncio.sleep(pause_s)

    async def _connection(self) -> _Lost:
        """Hold one connection until it is lost; return why."""
        from websockets.exceptions import InvalidStatus, WebSocketException

        lost = _Lost("connection ended")
        try:
            url = self._sub.url if isinstance(self._sub.url, str) else await self._sub.url()
            async with self._connect(url) as socket:
                self._forget_connection()
                if self._sub.is_quiet:
                    self._note_data()
                wanted = self._sub.subscribe
                async with asyncio.TaskGroup() as tasks:
                    tasks.create_task(self._send(socket, wanted() if callable(wanted) else wanted))
                    tasks.create_task(self._read(socket, tasks))
                    tasks.create_task(self._watch(tasks))
                    tasks.create_task(self._reconcile(self._sub.keys, self._opened_s))
                    if self._sub.keepalive is not None:
                        tasks.create_task(self._keep_alive(socket, *self._sub.keepalive))
        except* _Lost as group:
            lost = _first(group)
        except* InvalidStatus as status:
            lost = _refused(_first(status))
        except* (ConfigError, Refused) as config:
            lost = _Lost(_words(_first(config)), _REFUSED_PAUSE_S)
        except* ProviderError as provider:
            lost = _Lost(_words(_first(provider)))
        except* (OSError, WebSocketException, ImportError) as fault:
            lost = _Lost(f"cannot connect: {_words(_first(fault))}")
        return lost

    def _connect(self, url: str) -> "connect":
        from websockets.asyncio.client import connect

        return connect(
            url,
            compression=None,
            max_size=self._sub.max_frame_bytes,
            open_timeout=self._sub.connect_timeout_s,
            close_timeout=1,
            ssl=tls_context(self._sub.tls_ca) if url.startswith("wss:") else None,
            proxy=None if is_loopback(url) else True,
            user_agent_header="marginline",
            logger=_log,
        )

    async def _send(self, socket: "ClientConnection", texts: Sequence[str]) -> None:
        from websockets.exceptions import ConnectionClosed

        try:
            for text in texts:
                await socket.send(text)
        except ConnectionClosed as error:
            raise _closed(error) from error

    async def _keep_alive(self, socket: "ClientConnection", text: str, every_s: float) -> None:
        while True:
            await asyncio.sleep(every_s)
            await self._send(socket, (text,))

    async def _read(self, socket: "ClientConnection", tasks: asyncio.TaskGroup) -> NoReturn:
        from websockets.exceptions import ConnectionClosed

        parse, clock, receive = self._sub.parser(), self._sub.clock, socket.recv
        while True:
            for _ in range(_TURN):
                try:
                    raw = await receive(decode=False)
                except ConnectionClosed as error:
                    raise _closed(error) from error
                try:
                    parsed = parse(raw, clock())
                except Malformed as error:
                    self._count_unreadable(error)
                    continue
                for item in parsed:
                    if isinstance(item, Signal):
                        self._heed(item, socket, tasks)
                    else:
                        self._pass_on(item)
            # A flood is read from memory without ever suspending: the reader of the mailbox gets its turn here.
            await asyncio.sleep(0)

    def _pass_on(self, item: T) -> None:
        key = self._key(item)
        self._unreadable_in_a_row = 0
        self._note_data()
        self._seen[key] = self._data_s
        if self._mailbox.put(key, item):
            self._tell_dropped()

    def _note_data(self) -> None:
        self._data_s = self._now_s()
        if self._state is LinkState.LIVE or self._state is LinkState.DEGRADED:
            return
        if self._rejected:
            self._change(LinkState.DEGRADED, "; ".join(self._rejected))
        else:
            self._change(LinkState.LIVE)

    def _heed(self, signal: Signal, socket: "ClientConnection", tasks: asyncio.TaskGroup) -> None:
        if signal.kind is SignalKind.ALIVE:
            self._note_data()
        elif signal.kind is SignalKind.RESTART:
            raise _Lost(signal.detail or "the venue asked for a new connection")
        elif signal.kind is SignalKind.ANSWER:
            tasks.create_task(self._send(socket, signal.texts))
        elif self._sub.subscribe_singly and not self._sent_singly:
            self._sent_singly = True
            tasks.create_task(self._send(socket, self._sub.subscribe_singly))
        elif len(self._rejected) < 8:
            self._rejected.append(signal.detail)
            self._change(LinkState.DEGRADED, "; ".join(self._rejected))

    def _count_unreadable(self, error: Malformed) -> None:
        self._unreadable += 1
        self._unreadable_in_a_row += 1
        if self._unreadable_in_a_row >= MALFORMED_IN_A_ROW:
            raise _Lost(f"{self._unreadable_in_a_row} unreadable frames in a row; the last: {error.detail}")
        self._tell_dropped(f"unreadable frame dropped: {error.detail}")

    def _tell_dropped(self, detail: str = "") -> None:
        """Tell the count of what was dropped, at once when it is the first and then every few seconds."""
        dropped = self._unreadable + self._mailbox.skipped
        if self._now_s() - self._told[1] < _TELL_EVERY_S or dropped == self._told[0]:
            return
        self._told = (dropped, self._now_s())
        self._change(self._state, detail or f"{self._mailbox.skipped} old ticks skipped: too fast for this machine")

    async def _watch(self, tasks: asyncio.TaskGroup) -> NoReturn:
        """Judge the link by its data alone, and fetch by REST what has gone quiet while the rest is alive."""
        budget_s = self._sub.silence_after_s
        asked_s = self._now_s()
        while True:
            now_s = self._now_s()
            idle_s = now_s - self._data_s
            if now_s - self._opened_s >= self._sub.max_age_s:
                raise _Lost("planned reconnect", pause_s=None)
            if idle_s >= 2 * budget_s:
                raise _Lost(f"no data for {idle_s:.1f} s")
            if idle_s >= budget_s and self._state is not LinkState.STALE:
                self._change(LinkState.STALE, f"no data for {idle_s:.1f} s")
            quiet = self._quiet(now_s - budget_s / 2) if idle_s < budget_s / 2 else frozenset[str]()
            if quiet and now_s - asked_s >= budget_s / 2:
                asked_s = now_s
                tasks.create_task(self._reconcile(quiet, now_s))
            due_s = budget_s / 2 if idle_s < budget_s / 2 else budget_s if idle_s < budget_s else 2 * budget_s
            await asyncio.sleep(max(0.001, min(due_s - idle_s, self._sub.max_age_s)))

    def _quiet(self, since_s: float) -> frozenset[str]:
        return frozenset(key for key in self._sub.keys if self._seen.get(key, self._opened_s) < since_s)

    async def _reconcile(self, keys: frozenset[str], since_s: float) -> None:
        """Pass on REST items of `keys`, except where the stream told one since; a failure leaves the stream alone."""
        if self._sub.snapshot is None or not keys:
            return
        try:
            items = await self._sub.snapshot(keys)
        except ProviderError as error:
            self._change(self._state, f"no REST snapshot: {error.detail}")
            return
        for item in items:
            key = self._sub.key(item)
            if key not in self._seen or self._seen[key] < since_s:
                self._mailbox.put(key, item)

    def _change(self, state: LinkState, detail: str = "", retry_at_ns: int | None = None) -> None:
        self._state = state
        dropped = self._unreadable + self._mailbox.skipped
        change = LinkChange(self._sub.source, state, self._sub.clock(), inert(detail, 200), retry_at_ns, dropped)
        self._mailbox.put(_LINK, change)


E = TypeVar("E", bound=BaseException)


def _first(group: BaseExceptionGroup[E]) -> E:
    for error in group.exceptions:
        return _first(error) if isinstance(error, BaseExceptionGroup) else error
    raise ValueError("an exception group is never empty")


def _closed(error: Exception) -> _Lost:
    return _Lost(f"connection lost: {_words(error)}")


def _refused(error: "InvalidStatus") -> _Lost:
    status = error.response.status_code
    wait = error.response.headers.get("Retry-After", "")
    pause_s = float(wait) if wait.isascii() and wait.isdigit() else 0.0
    if 400 <= status < 500:
        pause_s = max(pause_s, _REFUSED_PAUSE_S)
    return _Lost(f"the venue answered HTTP {status}", min(pause_s, 3600.0))


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__
