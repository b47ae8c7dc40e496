"""Accounts that the config itself describes: for what no adapter reads, or to try a position before opening it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from math import inf

from engine.accounts import Account, Kind
from providers.errors import ConfigError
from providers.ports import AccountOptions, LinkChange, LinkState, PositionSource, ProviderInfo, Reading

INFO = ProviderInfo("manual", "Described in the config", kinds=frozenset(Kind), settings=frozenset({"poll_s"}))


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one described account; raises `ConfigError` if there is no description."""
    if options.manual is None:
        raise ConfigError(f"{options.name}: a manual account needs its legs in the config")
    return ManualAccount(options.name, options.manual, options.poll_s)


class ManualAccount:
    """Always live: the figures are the user's word, only prices move. A `providers.ports.PositionSource`.

    `poll_s` is for how long a word counts, for ever when `None`; watching repeats it twice within that time.
    """

    def __init__(
        self, name: str, account: Account, poll_s: float | None, *, clock: Callable[[], int] = time.time_ns
    ) -> None:
        if poll_s is not None and not poll_s > 0:
            raise ConfigError(f"{name}: poll_s must be above 0")
        self._name, self._account, self._poll_s, self._clock = name, account, poll_s, clock

    @property
    def name(self) -> str:
        """Return the account's name."""
        return self._name

    @property
    def stale_after_s(self) -> float:
        """Return `poll_s`, or infinity."""
        return inf if self._poll_s is None else self._poll_s

    async def read(self) -> Reading:
        """Return the account as described, observed now."""
        return Reading(self._name, (self._account,), self._clock())

    async def watch(self) -> AsyncGenerator[Reading | LinkChange, None]:
        """Yield the account at once, and again in time so that it never turns stale."""
        yield LinkChange(self._name, LinkState.LIVE, self._clock(), "as described in the config")
        while True:
            yield await self.read()
            if self._poll_s is None:
                await asyncio.Event().wait()
            else:
                await asyncio.sleep(self._poll_s / 2)
