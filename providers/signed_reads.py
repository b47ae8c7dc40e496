"""Signed reads of a venue whose signatures carry the time: its clock is measured first, and again when it complains."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import inf
from typing import TypeVar

from providers.credentials import Credentials
from providers.errors import ProviderError, Refused, Unreachable
from providers.http import Call, HttpTransport
from providers.venue_clock import VenueClock

T = TypeVar("T")

CLOCK_S = 600.0

Sign = Callable[[Credentials, int, str, str, str, bytes | None], Call]
"""From credentials, the venue's time in ms, method, path, query and body to the request as it goes out."""


class OffTime(Refused):
    """The venue says that the time in the signature is not its own."""


class SignedReads:
    """Reads with one key over one transport. `ask_time` returns the venue's time in ns; `now_ns` is ours, in UTC."""

    def __init__(
        self,
        http: HttpTransport,
        clock: VenueClock,
        credentials: Credentials,
        sign: Sign,
        ask_time: Callable[[HttpTransport], Awaitable[int]],
        *,
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.http, self.clock, self.credentials = http, clock, credentials
        self._sign, self._ask_time, self._now_ns = sign, ask_time, now_ns
        self._measured_at_s = -inf
        self._measuring = asyncio.Lock()

    async def read(self, path: str, query: str = "", *, weight: float = 1) -> bytes:
        """Return the reply of a signed GET; raises `ProviderError`. A refused time is measured anew, once."""
        await self.keep_time()
        try:
            return await self._get(path, query, weight)
        except OffTime:
            await self.keep_time(anew=True)
        try:
            return await self._get(path, query, weight)
        except OffTime as error:
            why = self.clock.complaint() or "its clock could not be followed"
            raise Unreachable(
                self.http.venue, f"{error.detail}: signatures are refused by their time; {why}"
            ) from error

    async def keep_time(self, *, anew: bool = False) -> None:
        """Ask the venue for its time when that is due; when it does not say, the last known difference stays."""
        async with self._measuring:
            now_s = asyncio.get_running_loop().time()
            if not anew and now_s - self._measured_at_s < CLOCK_S:
                return
            self.clock.forget()
            sent_ns = self._now_ns()
            try:
                venue_ns = await self._ask_time(self.http)
            except ProviderError:
                if anew:
                    raise
                return
            self.clock.learn(venue_ns, sent_ns, self._now_ns())
            self._measured_at_s = now_s

    def signed_by(self, credentials: Credentials, method: str, path: str, content: bytes) -> Call:
        """Return a request that may move money, signed with what its owner armed and the venue's time of now."""
        return self._sign(credentials, self.clock.now_ms(), method, path, "", content)

    async def _get(self, path: str, query: str, weight: float) -> bytes:
        def make() -> Call:
            return self._sign(self.credentials, self.clock.now_ms(), "GET", path, query, None)

        return await self.http.call(make, is_read=True, weight=weight)


async def together(*work: Awaitable[T]) -> list[T]:
    """Return what all of `work` gives; all are awaited before the error of the first that failed is raised."""
    done: list[T] = []
    for each in await asyncio.gather(*work, return_exceptions=True):
        if isinstance(each, BaseException):
            raise each
        done.append(each)
    return done
