"""Price venues of the lab: loopback servers whose quotes wander around the oracle, or around where they are pinned."""

import asyncio
import json
import random
from collections.abc import Mapping
from contextlib import AsyncExitStack
from decimal import Decimal
from types import TracebackType
from typing import Self

from providers.symbols import is_listed
from tests.venues import VenueServer

NAMES = ("binance", "coinbase", "kraken")
START = {"ETH": "2500", "BTC": "60000", "USDC": "1", "USDT": "1", "DAI": "1"}
"""What is quoted, and around which price until `centres` says otherwise."""
TICK_EVERY_S = 0.25
STEP = 0.00004
PULL = 0.05
"""Each tick a quote moves by a normal fraction of `STEP` and falls back toward its centre by `PULL`."""
CLOSES = 60
DAILY_MOVE = 0.03


class Walk:
    """Quotes and past closes of one venue, deterministic by seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._away: dict[str, float] = {}

    def quote(self, asset: str, centre: Decimal) -> tuple[str, str]:
        """Return the next bid and ask around `centre`."""
        away = self._away.get(asset, 0.0) * (1 - PULL) + self._random.gauss(0, STEP)
        self._away[asset] = away
        digit = Decimal("0.01") if centre >= 100 else Decimal("0.00001")
        bid = (centre * _moved(away)).quantize(digit)
        return str(bid), str(bid + digit * (1 + self._random.randrange(4)))

    def closes(self, centre: Decimal) -> list[str]:
        """Return daily closes, oldest first, that end at `centre`; a stable asset's hardly move."""
        move = DAILY_MOVE if centre >= 100 else DAILY_MOVE / 1000
        closes = [centre]
        for _ in range(CLOSES - 1):
            closes.append((closes[-1] * _moved(self._random.gauss(0, move))).quantize(Decimal("0.00001")))
        return [str(close) for close in reversed(closes)]


class Venues:
    """The running venues; an async context manager. `centres` are the prices they wander around."""

    def __init__(self) -> None:
        self.centres = {asset: Decimal(price) for asset, price in START.items()}
        self._servers = {name: VenueServer(name) for name in NAMES}
        self._walks = {name: Walk(seed) for seed, name in enumerate(NAMES)}
        self._pinned: dict[str, Decimal] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        for name, server in self._servers.items():
            await self._stack.enter_async_context(server)
            for asset, centre in self._quoted(name).items():
                server.set_book(asset, *self._walks[name].quote(asset, centre))
                server.set_closes(asset, self._walks[name].closes(centre), str(centre))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    @property
    def urls(self) -> Mapping[str, tuple[str, str]]:
        """Return WebSocket and REST addresses by venue."""
        return {name: (server.url_ws, server.url_rest) for name, server in self._servers.items()}

    async def wander(self) -> None:
        """Push quotes around `centres`, or around the pinned prices, until cancelled."""
        while True:
            for name, server in self._servers.items():
                for asset, centre in self._quoted(name).items():
                    await server.push(asset, *self._walks[name].quote(asset, centre))
            await asyncio.sleep(TICK_EVERY_S)

    def pin(self, asset: str, price: Decimal | None) -> str:
        """Hold the venues' `asset` at `price`, or let it follow the oracle again; returns what was done."""
        if asset not in START:
            return f"no venue quotes {asset}; there is {', '.join(START)}"
        if price is None:
            self._pinned.pop(asset, None)
            return f"venues: {asset} follows the oracle"
        self._pinned[asset] = price
        return f"venues: {asset} around {price}"

    async def obey(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one control connection: a JSON line `{"asset": "ETH", "price": "2250"}`, answered by a line."""
        try:
            order = json.loads(await reader.readline())
            price = order["price"]
            said = self.pin(order["asset"], None if price is None else Decimal(price))
        except (ValueError, LookupError, ArithmeticError, TypeError) as error:
            said = f"not understood: {error}"
        writer.write(said.encode() + b"\n")
        writer.close()
        await writer.wait_closed()

    def _quoted(self, name: str) -> dict[str, Decimal]:
        return {asset: price for asset, price in (self.centres | self._pinned).items() if is_listed(name, asset)}


def _moved(fraction: float) -> Decimal:
    return 1 + Decimal(round(fraction * 10**9)).scaleb(-9)
