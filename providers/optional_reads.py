"""What a reader of an account can do without: noted when it cannot be had, and asked for again soon."""

import asyncio
from collections.abc import Awaitable
from math import inf
from typing import TypeVar

from providers.errors import Malformed, RateLimited, Refused, Unreachable

T = TypeVar("T")
RETRY_S = 30.0


class OptionalReads:
    """When each part is due again, and why those that are missing could not be read (`unread`, by what they are).

    At most `at_once` are asked at a time, so that many contracts take longer instead of more than the venue allows.
    """

    def __init__(self, at_once: int = 1_000) -> None:
        self.unread: dict[str, str] = {}
        self._due_s: dict[str, float] = {}
        self._turn = asyncio.Semaphore(at_once)

    def make_all_due(self) -> None:
        """Have everything read again at its next chance."""
        self._due_s.clear()

    def is_due(self, what: str, every_s: float) -> bool:
        """Return whether `what` is to be read now; if so it is due again after `every_s` seconds."""
        now_s = asyncio.get_running_loop().time()
        if now_s < self._due_s.get(what, -inf):
            return False
        self._due_s[what] = now_s + every_s
        return True

    async def read(self, what: str, wanted: Awaitable[T], due: str = "") -> T | None:
        """Return what was wanted, or `None` after noting why not; then `due` is tried again soon.

        Without a `due` the caller waits by itself, and a rate limit, which concerns every request, is raised.
        """
        try:
            async with self._turn:
                found = await wanted
        except (Refused, Malformed, Unreachable, RateLimited) as error:
            if isinstance(error, RateLimited) and not due:
                raise
            asked_s = error.retry_after_s if isinstance(error, RateLimited) else None
            self.missing(what, error.detail)
            if due:
                self._due_s[due] = asyncio.get_running_loop().time() + max(RETRY_S, asked_s or 0.0)
            return None
        self.has(what)
        return found

    def missing(self, what: str, why: str) -> None:
        """Note that `what` could not be read."""
        self.unread[what] = why

    def has(self, what: str) -> None:
        """Note that `what` was read."""
        self.unread.pop(what, None)

    def degraded(self, *besides: str) -> tuple[str, ...]:
        """Return what is missing and why, in words, `besides` left out."""
        return tuple(f"{what} not read: {why}" for what, why in self.unread.items() if what not in besides)
