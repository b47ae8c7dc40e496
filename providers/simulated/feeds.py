"""Six price venues that quote the simulated market: each a little off, a little late, and at times not at all."""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from decimal import Decimal
from math import floor
from zlib import crc32

from engine.record import record
from providers.errors import Refused
from providers.ports import HourlyCandle, LinkChange, PriceTick
from providers.simulated.clock import SHORTEST_REST_S, SimulatedClock
from providers.simulated.links import SimulatedLink
from providers.simulated.path import PLACES, STEP_S, Prices, decimal_of, noise
from providers.simulated.scenarios import Scenario

_COINS = frozenset({"BTC", "ETH", "SOL", "XRP"})
_DOLLARS = frozenset({"USDC", "USDT"})
_TOKENISED_STOCKS = frozenset({"SPY", "QQQ"})
_CADENCE_S = 0.25
_NOISE_BPS = 0.7
# A quote that did not change is said again this often, as venues do by heartbeat.
_REPEAT_S = 2.0
# Half of the spread between bid and ask.
_HALF_SPREAD_BPS = {
    "BTC": 0.2,
    "ETH": 0.3,
    "SOL": 0.7,
    "XRP": 0.9,
    "USDC": 0.5,
    "USDT": 0.5,
    "wstETH": 3.0,
    "SPY": 1.5,
    "QQQ": 1.5,
}


@record
class Venue:
    """One price venue: how it is off, how late it is, what it quotes in, and when a quote of it is too old."""

    name: str
    quote_currency: str
    bias_bps: float
    lag_s: float
    stale_after_s: float
    assets: frozenset[str] = _COINS


VENUES = (
    Venue("binance", "USDT", -0.2, 0.1, 10, _COINS | {"USDC"}),
    Venue("coinbase", "USD", 1.8, 0.4, 30, _COINS | _DOLLARS | {"wstETH"}),
    Venue("kraken", "USD", 0.9, 0.9, 15, _COINS | _DOLLARS | _TOKENISED_STOCKS | {"wstETH"}),
    Venue("okx", "USD", -0.6, 0.3, 15, _COINS | _DOLLARS | _TOKENISED_STOCKS | {"wstETH"}),
    Venue("bybit", "USDT", 0.5, 0.2, 10, _COINS | _TOKENISED_STOCKS | {"USDC"}),
    Venue("hyperliquid", "USDC", -1.1, 0.2, 10),
)


class SimulatedFeed:
    """One venue's quotes; a `providers.ports.PriceFeed`."""

    def __init__(self, venue: Venue, prices: Prices, scenario: Scenario, clock: SimulatedClock) -> None:
        self._venue, self._prices, self._scenario, self._clock = venue, prices, scenario, clock
        self._keys: Mapping[str, int] = {asset: crc32(f"{venue.name} {asset}".encode()) for asset in venue.assets}

    @property
    def venue(self) -> str:
        """Return the venue's name."""
        return self._venue.name

    @property
    def stale_after_s(self) -> float:
        """Return the venue's budget in simulated seconds, wider where time runs so fast that one wake-up eats it."""
        return max(self._venue.stale_after_s, 4 * SHORTEST_REST_S * self._clock.speed)

    def supports(self, asset: str) -> bool:
        """Return whether this venue quotes `asset`."""
        return asset in self._venue.assets

    async def ticks(self, assets: frozenset[str]) -> AsyncGenerator[PriceTick | LinkChange, None]:
        """Yield every quote at once, then those that changed, and link changes."""
        link = SimulatedLink(self.venue, self._scenario, self._clock, self.stale_after_s)
        wanted = sorted(assets & self._venue.assets)
        said: dict[str, tuple[Decimal, Decimal, float]] = {}
        while True:
            for change in link.changes():
                said.clear()
                yield change
            if link.is_up:
                now_s = self._clock.elapsed_s()
                for asset in wanted:
                    tick = self._tick(asset, now_s)
                    last = said.get(asset)
                    if last is None or (tick.bid, tick.ask) != last[:2] or now_s - last[2] >= _REPEAT_S:
                        said[asset] = (tick.bid, tick.ask, now_s)
                        yield tick
            await self._clock.rest(_CADENCE_S)

    async def snapshot(self, assets: frozenset[str]) -> Sequence[PriceTick]:
        """Return one quote per supported asset; raises `Unreachable` during an outage."""
        SimulatedLink(self.venue, self._scenario, self._clock, self.stale_after_s).require()
        now_s = self._clock.elapsed_s()
        return [self._tick(asset, now_s) for asset in sorted(assets & self._venue.assets)]

    def _tick(self, asset: str, now_s: float) -> PriceTick:
        venue = self._venue
        seen_s = now_s - venue.lag_s
        step = floor(seen_s / (10 * STEP_S))
        off_bps = venue.bias_bps + _NOISE_BPS * noise(self._keys[asset], step)
        mid = self._prices.at(asset, seen_s) * (1 + off_bps / 10_000)
        if venue.quote_currency != "USD":
            mid /= self._prices.at(venue.quote_currency, seen_s)
        half, places = _HALF_SPREAD_BPS[asset] / 10_000, PLACES[asset]
        bid = decimal_of(mid * (1 - half), places)
        ask = max(decimal_of(mid * (1 + half), places), bid + Decimal(1).scaleb(-places))
        return PriceTick(venue.name, asset, bid, ask, self._clock.ns_at(now_s), venue.quote_currency)


_CANDLES, _LOOKS = 32 * 24, 4


class SimulatedHistory:
    """Past prices of the simulated market; a `providers.ports.HistorySource`."""

    def __init__(self, prices: Prices, clock: SimulatedClock, assets: frozenset[str]) -> None:
        self._prices, self._clock, self._assets = prices, clock, assets

    async def daily_closes(self, asset: str, days: int) -> Sequence[Decimal]:
        """Return the last `days` daily closes, oldest first; raises `Refused` for an asset that is not simulated."""
        return self._closes(asset, days, 86_400)

    async def hourly_candles(self, asset: str, hours: int) -> Sequence[HourlyCandle]:
        """Return the last finished hours up to 32 days, oldest first; raises `Refused` for a stranger."""
        self._closes(asset, 0, 3600)
        return await asyncio.to_thread(self._candles, asset, min(hours, _CANDLES))

    def _candles(self, asset: str, hours: int) -> list[HourlyCandle]:
        # Candles open on the hour of the clock that everybody reads, not of the simulation's own start.
        zero_s = self._clock.ns_at(0) / 1e9
        end_s = (zero_s + self._clock.elapsed_s()) // 3600 * 3600 - zero_s
        starts = [end_s - 3600 * age for age in range(hours, 0, -1)]
        found = []
        for start_s in starts:
            seen = [self._prices.at(asset, start_s + 3600 * part / _LOOKS) for part in range(_LOOKS + 1)]
            prices = (decimal_of(price, PLACES[asset]) for price in (seen[0], max(seen), min(seen), seen[-1]))
            found.append(HourlyCandle(round(zero_s + start_s), *prices))
        return found

    async def minute_prices(self, asset: str, minutes: int) -> Sequence[Decimal]:
        """Return the last `minutes` prices, a minute apart, oldest first; raises `Refused` for a stranger."""
        return self._closes(asset, minutes, 60)

    def _closes(self, asset: str, count: int, apart_s: int) -> Sequence[Decimal]:
        if asset not in self._assets:
            raise Refused("simulated", f"no history of {asset[:20]!r}: it is not part of the simulated market")
        last_s = self._clock.elapsed_s() // apart_s * apart_s
        ages = range(count - 1, -1, -1)
        return [decimal_of(self._prices.at(asset, last_s - age * apart_s), PLACES[asset]) for age in ages]
