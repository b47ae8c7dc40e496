"""What of an account is read when: each part by its own period, failures noted by name and tried again soon."""

import asyncio
from collections.abc import Awaitable
from math import inf
from typing import TypeVar

from providers.errors import Malformed, Refused, Unreachable

T = TypeVar("T")
RETRY_S = 30.0


class Agenda:
    """When each named part is due next. `unread` names parts that could not be read, with the reason."""

    def __init__(self) -> None:
        self._due_s: dict[str, float] = {}
        self.unread: dict[str, str] = {}

    def is_due(self, part: str) -> bool:
        """Return whether `part` was never read, or its period is over."""
        return asyncio.get_running_loop().time() >= self._due_s.get(part, -inf)

    def forget(self) -> None:
        """Make every part due."""
        self._due_s.clear()

    async def read(self, part: str, every_s: float, wanted: Awaitable[T]) -> T | None:
        """Return what was wanted, or `None` after noting why not. A rate limit concerns every request and raises."""
        now_s = asyncio.get_running_loop().time()
        try:
            found = await wanted
        except (Refused, Malformed, Unreachable) as error:
            self.unread[part] = error.detail
            self._due_s[part] = now_s + min(RETRY_S, every_s)
            return None
        self.unread.pop(part, None)
        self._due_s[part] = now_s + every_s
        return found
