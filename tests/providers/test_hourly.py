"""Hourly candles of the venues that have them: page by page, finished hours only, nothing that contradicts itself."""

import asyncio
from collections.abc import Callable, Sequence
from decimal import Decimal
from itertools import pairwise

import pytest

from providers import binance, bybit, coinbase
from providers.errors import Malformed, RateLimited, Refused
from providers.ports import CandleSource, HourlyCandle, VenueOptions
from tests.venues import VenueServer

FEEDS: dict[str, Callable[[VenueOptions], CandleSource]] = {
    "binance": binance.feed,
    "bybit": bybit.feed,
    "coinbase": coinbase.feed,
}
every_venue = pytest.mark.parametrize("venue", FEEDS)
Row = tuple[str, str, str, str]


async def read(server: VenueServer, hours: int, asset: str = "ETH") -> Sequence[HourlyCandle]:
    source = FEEDS[server.wire.venue](VenueOptions(rest_url=server.url_rest, ws_url=server.url_ws))
    return await source.hourly_candles(asset, hours)


def rows(count: int) -> list[Row]:
    return [(f"{at + 10}.5", f"{at + 12}.75", f"{at + 9}.25", f"{at + 11}.5") for at in range(count)]


@every_venue
def test_candles_come_page_by_page_oldest_first_without_the_unfinished_hour(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            start = server.set_hours("ETH", rows(2501))
            found = await read(server, 2400)
            asked = len(server.requests)
        assert len(found) == 2400
        assert found[-1] == HourlyCandle(
            start + 2499 * 3600, Decimal("2509.5"), Decimal("2511.75"), Decimal("2508.25"), Decimal("2510.5")
        )
        assert {later.opened_at_s - one.opened_at_s for one, later in pairwise(found)} == {3600}
        assert asked == (8 if venue == "coinbase" else 3)

    asyncio.run(test())


@every_venue
def test_a_venue_with_a_shorter_history_gives_what_it_has(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            server.set_hours("ETH", rows(40))
            assert len(await read(server, 2400)) == 39

    asyncio.run(test())


@every_venue
@pytest.mark.parametrize("bad", [("10", "9", "8", "9"), ("10", "11", "9", "NaN"), ("0", "11", "0", "10")])
def test_a_candle_that_is_none_is_malformed(venue: str, bad: Row) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            server.set_hours("ETH", [*rows(5), bad, *rows(2)])
            with pytest.raises(Malformed):
                await read(server, 24)

    asyncio.run(test())


@every_venue
def test_what_is_not_listed_is_refused_and_a_busy_venue_asks_to_wait(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            with pytest.raises(Refused):
                await read(server, 24, "NOT-LISTED")
            server.limit_rest(5, 429, retry_after="120")
            with pytest.raises(RateLimited):
                await read(server, 24)

    asyncio.run(test())
