"""A bounded queue between a socket that must never wait and a reader that may be slow."""

import asyncio
from collections import deque
from typing import Generic, TypeVar

T = TypeVar("T")


class Mailbox(Generic[T]):
    """First in, first out, with at most `backlog` items of one key.

    When a key is full its own oldest item goes, never another key's: a slow reader skips old ticks, always gets the
    newest of every symbol, and no busy symbol starves a quiet one. Memory is bounded by `backlog` times the keys.
    """

    def __init__(self, backlog: int) -> None:
        self.skipped = 0
        self._backlog = backlog
        self._lots: dict[str, deque[T]] = {}
        self._order: deque[str] = deque()
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._order)

    def put(self, key: str, item: T) -> bool:
        """Add `item`; return whether an older one of the same key had to go. Never waits."""
        lot = self._lots.get(key)
        if lot is None:
            lot = self._lots[key] = deque()
        is_full = len(lot) >= self._backlog
        if is_full:
            lot.popleft()
            self.skipped += 1
        else:
            self._order.append(key)
        lot.append(item)
        self._wake.set()
        return is_full

    def take(self) -> T:
        """Return the next item; raises `IndexError` when there is none."""
        return self._lots[self._order.popleft()].popleft()

    async def wait(self) -> None:
        """Return once there is an item, or `stir` was called."""
        if not self._order:
            self._wake.clear()
            await self._wake.wait()

    def stir(self) -> None:
        """Wake the reader without an item, so that it looks at what else has happened."""
        self._wake.set()
