"""Keeping endless readers alive: whatever one raises is told, logged, waited out and tried again."""

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

from engine.record import record
from providers.errors import ProviderError, RateLimited, Refused

log = logging.getLogger("marginline.desk")

T = TypeVar("T")
_STEADY_S = 60.0
_BATCH = 64


@record
class Pauses:
    """How long to wait before the next try: after the n-th failure in a row, and after a refusal."""

    after_failure_s: tuple[float, ...]
    after_refusal_s: float

    def of(self, error: Exception, failures: int) -> float:
        """Return the pause in seconds; what a venue asked for is kept to exactly, others are spread by jitter."""
        if isinstance(error, RateLimited) and error.retry_after_s is not None:
            return error.retry_after_s
        if isinstance(error, Refused):
            return self.after_refusal_s
        step = self.after_failure_s[min(failures, len(self.after_failure_s)) - 1]
        return step * random.uniform(0.8, 1.2)


async def attempt(what: str, work: Awaitable[T]) -> T | Exception:
    """Return what `work` gives, or what it raised: logged with its traceback unless a provider meant it."""
    try:
        return await work
    except (ProviderError, TimeoutError) as error:
        return error
    except Exception as error:  # the feed supervisor: a bug in one adapter must not take the others down
        log.exception("%s crashed", what)
        return error


async def within(timeout_s: float, answer: Awaitable[T]) -> T:
    """Return the answer; raises `TimeoutError` when it takes longer than `timeout_s`."""
    async with asyncio.timeout(timeout_s):
        return await answer


async def pump(iterator: AsyncIterator[T], take: Callable[[T], None]) -> None:
    """Hand every item to `take`, letting others run even when items never stop being ready; close it on the way out."""
    try:
        count = 0
        async for item in iterator:
            take(item)
            count += 1
            if count % _BATCH == 0:
                await asyncio.sleep(0)
    finally:
        close = getattr(iterator, "aclose", None)
        if close is not None:
            await close()


async def supervise(
    what: str,
    work: Callable[[], Awaitable[None]],
    failed: Callable[[str, float], None],
    pauses: Pauses,
    poke: asyncio.Event,
) -> None:
    """Run `work` again and again until cancelled; it never raises, so one failing task never reaches another.

    `failed` is told the reason and the pause in seconds before the next try. Setting `poke` ends the pause.
    """
    loop = asyncio.get_running_loop()
    failures = 0
    while True:
        started = loop.time()
        ended = await attempt(what, work())
        error = ended if isinstance(ended, Exception) else ProviderError(what, "stopped by itself")
        failures = 1 if loop.time() - started > _STEADY_S else failures + 1
        pause_s = pauses.of(error, failures)
        failed(reason_of(error), pause_s)
        poke.clear()
        try:
            async with asyncio.timeout(pause_s):
                await poke.wait()
        except TimeoutError:
            continue


def reason_of(error: Exception) -> str:
    """Return one line for a human: a provider's own words, else the kind of the error that is in our log."""
    if isinstance(error, ProviderError):
        return error.detail
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return f"internal error: {type(error).__name__}, see the log"
