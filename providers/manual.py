"""Accounts that their owner describes, in the config or a CSV file: for what no adapter reads, or to try a position."""

import asyncio
import time
from collections.abc import AsyncGenerator, Callable
from math import inf

from engine.accounts import Account, Kind
from providers.errors import ConfigError, Malformed
from providers.ports import AccountOptions, LinkChange, LinkState, PositionSource, ProviderInfo, Reading

INFO = ProviderInfo(
    "manual",
    "Described in the config or a CSV file",
    kinds=frozenset(Kind),
    reads=("what you describe",),
    settings=frozenset({"file", "poll_s"}),
    live="poll 5 s of the file",
)
_LOOK_S = 5.0


def source(options: AccountOptions) -> PositionSource:
    """Return the source of one described account; raises `ConfigError` if there is no description, or a wrong one."""
    if options.manual is None:
        raise ConfigError(f"{options.name}: a manual account needs its legs in the config, or in a file")
    options.manual()
    return ManualAccount(options.name, options.manual, options.poll_s, look_s=inf if options.file is None else _LOOK_S)


class ManualAccount:
    """Always live: the figures are the user's word, only prices move. A `providers.ports.PositionSource`.

    `describe` gives the account as it is described now, and is asked every `look_s`: a description that cannot be used
    any more turns the source degraded. `poll_s` is for how long a word counts, for ever when `None`; watching repeats
    it twice within that time.
    """

    def __init__(
        self,
        name: str,
        describe: Callable[[], Account],
        poll_s: float | None,
        *,
        clock: Callable[[], int] = time.time_ns,
        look_s: float = inf,
    ) -> None:
        if poll_s is not None and not poll_s > 0:
            raise ConfigError(f"{name}: poll_s must be above 0")
        self._name, self._describe, self._poll_s, self._clock, self._look_s = name, describe, poll_s, clock, look_s

    @property
    def name(self) -> str:
        """Return the account's name."""
        return self._name

    @property
    def stale_after_s(self) -> float:
        """Return `poll_s`, or infinity."""
        return inf if self._poll_s is None else self._poll_s

    async def read(self) -> Reading:
        """Return the account as described, observed now; raises `Malformed` when it cannot be used any more."""
        try:
            account = await asyncio.to_thread(self._describe)
        except ConfigError as error:
            raise Malformed("manual", str(error)) from error
        return Reading(self._name, (account,), self._clock())

    async def watch(self) -> AsyncGenerator[Reading | LinkChange, None]:
        """Yield the account at once, whenever its description changed, and again before it would turn stale."""
        yield LinkChange(self._name, LinkState.LIVE, self._clock(), "as described")
        shown: Account | None = None
        fault, shown_ns = "", 0
        repeat_ns = inf if self._poll_s is None else self._poll_s / 2 * 1e9
        while True:
            try:
                reading = await self.read()
            except Malformed as error:
                if error.detail != fault:
                    fault = error.detail
                    yield LinkChange(self._name, LinkState.DEGRADED, self._clock(), fault)
            else:
                if fault:
                    fault = ""
                    yield LinkChange(self._name, LinkState.LIVE, self._clock(), "as described")
                if reading.accounts[0] is not shown or reading.observed_at_ns - shown_ns >= repeat_ns:
                    shown, shown_ns = reading.accounts[0], reading.observed_at_ns
                    yield reading
            pause_s = self._look_s if self._poll_s is None else min(self._look_s, self._poll_s / 2)
            if pause_s == inf:
                await asyncio.Event().wait()
            await asyncio.sleep(pause_s)
