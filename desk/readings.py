"""Reading an account around a rescue: as it is before, and as it is in a later block than that."""

import asyncio
from collections.abc import Callable

from desk.carry import Patience
from desk.preflight import Prices, Seen, answered, look
from engine.rescue import Plan
from providers.ports import PositionSource, Reading

_LOOKS = 4


class Readings:
    """Reads at `clock` with shared `prices`; every reading goes to `on_reading`, so that the desk shows it at once."""

    def __init__(
        self, clock: Callable[[], int], prices: Prices, patience: Patience, on_reading: Callable[[Reading], None]
    ) -> None:
        self._clock, self._prices, self._patience, self._on_reading = clock, prices, patience, on_reading

    async def now(self, source: PositionSource, plan: Plan) -> Seen:
        """Return the plan's account as of now; a node that is a block behind the plan's is asked a few times.

        Raises `Refusal`.
        """
        for _ in range(_LOOKS):
            seen = await answered("reading the account", look(source, plan.account, self._prices, self._clock()))
            self._on_reading(seen.reading)
            block = seen.reading.block_number
            if block is None or plan.block_number is None or block >= plan.block_number:
                break
            await asyncio.sleep(self._patience.look_every_s)
        return seen

    async def later(self, source: PositionSource, account: str, before: Seen | None) -> Seen:
        """Return the account as of a later block than before, where there are blocks; a lagging node gets its time.

        Raises `TimeoutError`, `Refusal` when the account is gone, and what the source raises.
        """
        old_block = None if before is None else before.reading.block_number
        async with asyncio.timeout(self._patience.answer_s):
            while True:
                seen = await look(source, account, self._prices, self._clock())
                self._on_reading(seen.reading)
                block = seen.reading.block_number
                if old_block is None or block is None or block > old_block:
                    return seen
                await asyncio.sleep(self._patience.look_every_s)
