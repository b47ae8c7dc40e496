"""Sending words to a phone: Apprise, imported when something is first sent, in its own thread with its own time limit.

A service that hangs, refuses or can't be imported never delays the desk. What goes wrong is a `DeliveryResult`, whose
text names a service by kind and position ("ntfy #1"), never by URL: user, token and topic all live in there.
"""

import asyncio
import contextlib
import logging
import re
import threading
from collections.abc import Sequence
from typing import Protocol

from desk.settings import NotifyUrl
from engine.record import record
from providers.errors import AppError

log = logging.getLogger("marginline.desk")

TIMEOUT_S = 15.0
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]{0,15})://")
_STATUS = re.compile(r"error=(\d{3})")
_MAX_STUCK = 4


@record
class DeliveryResult:
    """What became of one message: `ok` when every service took it; `detail` is one line without secrets."""

    ok: bool
    detail: str

    @property
    def delivery(self) -> str:
        """Return the words for `Alert.delivery`."""
        return f"push {self.detail}" if self.ok else f"push failed: {self.detail}"


class Sender(Protocol):
    """Hands one message to the service behind one URL; returns "" when it was taken, else why not, without secrets."""

    def __call__(self, url: str, title: str, body: str) -> str: ...


class Notifier:
    """Sends to every configured URL. `urls` are Apprise URLs, or callables that resolve one when it is needed."""

    def __init__(
        self, urls: Sequence[NotifyUrl], *, timeout_s: float = TIMEOUT_S, sender: Sender | None = None
    ) -> None:
        self._urls = tuple(urls)
        self._timeout_s = timeout_s
        self._sender = sender or apprise_sender
        self._stuck: list[threading.Thread] = []

    def __repr__(self) -> str:
        return f"Notifier({len(self._urls)} urls)"

    @property
    def is_configured(self) -> bool:
        """Return whether there is anywhere to send to."""
        return bool(self._urls)

    async def send(self, title: str, body: str) -> DeliveryResult:
        """Send to every URL and return within the time limit; never raises but for cancellation."""
        if not self._urls:
            return DeliveryResult(False, "no notify url is configured")
        self._stuck = [thread for thread in self._stuck if thread.is_alive()]
        if len(self._stuck) >= _MAX_STUCK:
            return DeliveryResult(False, f"{_MAX_STUCK} earlier messages still hang")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[DeliveryResult] = loop.create_future()

        def settle(result: DeliveryResult) -> None:
            if not answer.done():
                answer.set_result(result)

        def work() -> None:
            result = self._deliver(title, body)
            with contextlib.suppress(RuntimeError):  # the loop closed before the service answered
                loop.call_soon_threadsafe(settle, result)

        thread = threading.Thread(target=work, name="marginline-notify", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError:
            self._stuck.append(thread)
            return DeliveryResult(False, f"no answer within {self._timeout_s:g} s")

    async def test(self) -> DeliveryResult:
        """Send a message that says it is a test."""
        return await self.send("marginline: test", "This is a test: alerts that ring would reach you here.")

    def _deliver(self, title: str, body: str) -> DeliveryResult:
        failures = []
        for position, source in enumerate(self._urls, start=1):
            label = f"#{position}"
            try:
                url = source() if callable(source) else source
                scheme = _SCHEME.match(url)
                label = f"{scheme.group(1).lower() if scheme else 'url'} #{position}"
                failure = self._sender(url, title, body)
            except AppError as error:
                failure = str(error)
            except (OSError, ValueError, TypeError, RuntimeError, LookupError, ImportError, AttributeError) as error:
                # Its text may carry the URL, so only the kind of error is told.
                failure = type(error).__name__
            if failure:
                failures.append(f"{label}: {failure}")
        if failures:
            return DeliveryResult(False, "; ".join(failures))
        return DeliveryResult(True, "ok")


class _Overheard(logging.Handler):
    """Collects what a library logs, so that a status can be picked from it."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.words: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.words.append(record.getMessage())


def apprise_sender(url: str, title: str, body: str) -> str:
    """Hand the message to Apprise; see `Sender`."""
    import apprise  # 112 ms of import that only a message is worth

    overheard = _Overheard()
    library = logging.getLogger("apprise")
    library.propagate = False  # its warnings carry URLs, and would be painted over the dashboard
    library.addHandler(overheard)
    try:
        service = apprise.Apprise()
        if not service.add(url):
            return "not a URL that Apprise knows"
        if service.notify(body=body, title=title):
            return ""
    finally:
        library.removeHandler(overheard)
    status = _STATUS.search(" ".join(overheard.words))
    return f"refused with status {status.group(1)}" if status else "unreachable or refused"


def joined(texts: Sequence[str], limit: int = 10) -> str:
    """Return one body for several alerts, one line each, saying how many more there are beyond `limit`."""
    more = len(texts) - limit
    return "\n".join(texts if more <= 0 else (*texts[:limit], f"and {more} more"))
