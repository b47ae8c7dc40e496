"""One conformance suite for all price venues: a new one is an entry in `FEEDS` and a wire in `tests/venue_wires`."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest

from providers import binance, bybit, coinbase, hyperliquid_prices, kraken, okx
from providers.errors import Malformed, RateLimited, Refused, Unreachable
from providers.ports import LinkChange, LinkState, PriceFeed, PriceTick, VenueOptions
from tests.venues import VenueServer

FEEDS: dict[str, Callable[[VenueOptions], PriceFeed]] = {
    "binance": binance.feed,
    "coinbase": coinbase.feed,
    "kraken": kraken.feed,
    "okx": okx.feed,
    "bybit": bybit.feed,
    "hyperliquid": hyperliquid_prices.feed,
}
CURRENCY = {
    "binance": "USDT", "coinbase": "USD", "kraken": "USD", "okx": "USDT", "bybit": "USDT", "hyperliquid": "USDC",
}  # fmt: skip
BUDGET_S = {"binance": 10, "coinbase": 30, "kraken": 15, "okx": 15, "bybit": 10, "hyperliquid": 10}
PATIENCE_S = 20.0
"""How long a fact may take before a test gives up on it; none of them measures speed."""

every_venue = pytest.mark.parametrize("venue", FEEDS)


class Heard:
    """What one stream has yielded so far, and a way to wait for the next fact."""

    def __init__(self, items: AsyncIterator[PriceTick | LinkChange]) -> None:
        self._items = items
        self.all: list[PriceTick | LinkChange] = []

    async def until(self, fact: Callable[[PriceTick | LinkChange], bool]) -> PriceTick | LinkChange:
        """Return the next item for which `fact` holds."""
        async for item in self._items:
            self.all.append(item)
            if fact(item):
                return item
        raise AssertionError("a stream of quotes never ends")

    async def link(self, state: LinkState) -> LinkChange:
        """Return the next change to `state`."""
        found = await self.until(lambda item: isinstance(item, LinkChange) and item.state is state)
        assert isinstance(found, LinkChange)
        return found

    async def tick(self, asset: str, bid: str) -> PriceTick:
        """Return the next quote of `asset` with `bid`."""
        found = await self.until(
            lambda item: isinstance(item, PriceTick) and item.asset == asset and item.bid == Decimal(bid)
        )
        assert isinstance(found, PriceTick)
        return found

    @property
    def states(self) -> Sequence[LinkState]:
        """Return the states so far, repeats left out."""
        states = [item.state for item in self.all if isinstance(item, LinkChange)]
        return [state for at, state in enumerate(states) if at == 0 or states[at - 1] is not state]


@asynccontextmanager
async def streaming(server: VenueServer, *assets: str, stale_after_s: float | None = None) -> AsyncIterator[Heard]:
    feed = feed_of(server, stale_after_s)
    items = feed.ticks(frozenset(assets))
    try:
        async with asyncio.timeout(PATIENCE_S):
            yield Heard(items)
    finally:
        await items.aclose()


def feed_of(server: VenueServer, stale_after_s: float | None = None) -> PriceFeed:
    options = VenueOptions(rest_url=server.url_rest, ws_url=server.url_ws, stale_after_s=stale_after_s)
    return FEEDS[server.wire.venue](options)


async def server_live(server: VenueServer, heard: Heard, bid: str) -> None:
    """Return once `heard` is live on a quote of ETH with `bid`."""
    server.set_book("ETH", bid, "2480.3")
    await asyncio.gather(heard.until(lambda item: isinstance(item, PriceTick)), server.wait_subscribed("ETH"))
    await server.push("ETH", bid, "2480.3")
    if LinkState.LIVE not in heard.states:
        await heard.link(LinkState.LIVE)


def run(test: Coroutine[object, object, None]) -> None:
    asyncio.run(test)


@every_venue
def test_a_rest_snapshot_comes_first_then_the_stream_with_exact_prices(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue, sends_snapshots=False) as server:
            server.set_book("ETH", "2480.10", "2480.30")
            server.set_book("BTC", "61100.5", "61100.6")
            async with streaming(server, "ETH", "BTC") as heard:
                first = await heard.until(lambda item: isinstance(item, PriceTick))
                await heard.until(lambda item: isinstance(item, PriceTick))
                await server.wait_subscribed("ETH", "BTC")
                await server.push("ETH", "2481.123456789012345678", "2481.2")
                tick = await heard.tick("ETH", "2481.123456789012345678")
        assert isinstance(first, PriceTick)
        assert first.bid in (Decimal("2480.10"), Decimal("61100.5"))
        assert tick.ask == Decimal("2481.2")
        assert (tick.venue, tick.quote_currency) == (venue, CURRENCY[venue])
        assert heard.states == [LinkState.CONNECTING, LinkState.LIVE]

    run(test())


@every_venue
def test_silence_with_pings_alive_turns_stale_then_reconnects_and_reconciles(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server, streaming(server, "ETH", stale_after_s=0.4) as heard:
            await server_live(server, heard, "2480.1")
            server.silence()
            await server.send_heartbeat("ETH")
            stale = await heard.link(LinkState.STALE)
            last = max(item.observed_at_ns for item in heard.all if isinstance(item, PriceTick))
            server.set_book("ETH", "2390.1", "2390.3")
            down = await heard.link(LinkState.DOWN)
            reconciled = await heard.tick("ETH", "2390.1")
            server.resume()
            await server.wait_subscribed("ETH", connections=2)
            await server.push("ETH", "2391.1", "2391.3")
            await heard.tick("ETH", "2391.1")
        assert stale.at_ns - last >= 400_000_000
        assert "no data" in stale.detail
        assert down.retry_at_ns is not None
        assert reconciled.observed_at_ns > down.at_ns
        assert heard.states[:4] == [LinkState.CONNECTING, LinkState.LIVE, LinkState.STALE, LinkState.DOWN]
        assert heard.states[-1] is LinkState.LIVE

    run(test())


@every_venue
@pytest.mark.parametrize("mid_frame", [False, True], ids=["cut", "cut mid-frame"])
def test_a_lost_connection_goes_down_counts_to_the_next_try_and_resumes(venue: str, mid_frame: bool) -> None:
    async def test() -> None:
        async with VenueServer(venue, sends_snapshots=False) as server, streaming(server, "ETH") as heard:
            await server_live(server, heard, "2480.1")
            server.set_book("ETH", "2400.1", "2400.3")
            server.drop(mid_frame=mid_frame)
            down = await heard.link(LinkState.DOWN)
            reconciled = await heard.tick("ETH", "2400.1")
            await server.wait_subscribed("ETH", connections=2)
            await server.push("ETH", "2401.1", "2401.3")
            await heard.tick("ETH", "2401.1")
        assert down.retry_at_ns is not None
        assert down.retry_at_ns > down.at_ns
        assert down.detail
        assert reconciled.ask == Decimal("2400.3")
        assert heard.states[-3:] == [LinkState.DOWN, LinkState.CONNECTING, LinkState.LIVE]

    run(test())


def bad_frames(server: VenueServer) -> list[str | bytes]:
    symbol = server.wire.symbol("ETH")
    good = server.wire.frame(symbol, "2480.1", "2480.3")
    nan = server.wire.frame(symbol, "2480.1", "NaN")
    return [
        good[: len(good) // 2],
        server.wire.frame(symbol, "-2480.1", "2480.3"),
        server.wire.frame(symbol, "0", "2480.3"),
        nan,
        server.wire.frame(symbol, "2490.1", "2480.3"),
        server.wire.frame(symbol, "1e999999", "1e999999"),
        b"\xff\xfe" + good.encode(),
        "[" * 5000,
    ]


@every_venue
def test_unreadable_frames_are_dropped_counted_and_told_while_ticks_go_on(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server, streaming(server, "ETH") as heard:
            await server_live(server, heard, "2480.1")
            frames = bad_frames(server)
            for frame in frames:
                await server.send_raw(frame)
            await server.push("ETH", "2481.1", "2481.3")
            await heard.tick("ETH", "2481.1")
            server.drop()
            down = await heard.link(LinkState.DOWN)
        told = next(item for item in heard.all if isinstance(item, LinkChange) and item.dropped == 1)
        assert "unreadable frame dropped" in told.detail
        assert told.state is LinkState.LIVE
        assert down.dropped == len(frames)
        assert {tick.bid for tick in heard.all if isinstance(tick, PriceTick)} == {Decimal("2480.1"), Decimal("2481.1")}
        assert server.connections == 1

    run(test())


@every_venue
def test_ten_unreadable_frames_in_a_row_drop_the_connection_with_the_reason(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server, streaming(server, "ETH") as heard:
            await server_live(server, heard, "2480.1")
            for _ in range(10):
                await server.send_raw(server.wire.frame(server.wire.symbol("ETH"), "-1", "2"))
            down = await heard.link(LinkState.DOWN)
            await heard.tick("ETH", "2480.1")
        assert "10 unreadable frames in a row" in down.detail
        assert down.dropped == 10

    run(test())


@every_venue
def test_frames_of_other_symbols_are_ignored(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server, streaming(server, "ETH") as heard:
            await server_live(server, heard, "2480.1")
            await server.send_raw(server.wire.frame(server.wire.symbol("BTC"), "61000", "61001"))
            await server.send_raw(server.wire.frame(server.wire.symbol("ETH"), "2482.1", "2482.3").encode())
            await heard.tick("ETH", "2482.1")
            server.drop()
            down = await heard.link(LinkState.DOWN)
        assert {tick.asset for tick in heard.all if isinstance(tick, PriceTick)} == {"ETH"}
        assert down.dropped == 0

    run(test())


@pytest.mark.parametrize("venue", [venue for venue in FEEDS if venue != "binance"])
def test_a_refused_symbol_is_named_and_the_others_tick(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            server.refuse("SOL")
            server.set_book("ETH", "2480.1", "2480.3")
            async with streaming(server, "ETH", "SOL") as heard:
                degraded = await heard.link(LinkState.DEGRADED)
                await server.wait_subscribed("ETH")
                await server.push("ETH", "2483.1", "2483.3")
                await heard.tick("ETH", "2483.1")
        assert "SOL" in degraded.detail
        assert server.connections == 1

    run(test())


@every_venue
def test_a_flood_reaches_a_slow_reader_with_the_newest_of_every_symbol(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            server.limit_rest(99, status=404)
            async with streaming(server, "ETH", "BTC") as heard:
                await asyncio.gather(heard.link(LinkState.CONNECTING), server.wait_subscribed("ETH", "BTC"))
                await server.push("BTC", "61000", "61001")
                await server.flood("ETH", [(f"{2000 + n}.1", f"{2000 + n}.3") for n in range(10_000)])
                await heard.tick("ETH", "11999.1")
                server.drop()
                down = await heard.link(LinkState.DOWN)
        bids = [item.bid for item in heard.all if isinstance(item, PriceTick) and item.asset == "ETH"]
        assert bids == sorted(bids)
        assert Decimal(61000) in {item.bid for item in heard.all if isinstance(item, PriceTick)}
        assert len(bids) + down.dropped == 10_000

    run(test())


@every_venue
def test_a_snapshot_gives_one_quote_per_asset_and_leaves_out_what_is_refused(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            server.set_book("ETH", "2480.1", "2480.3")
            server.set_book("BTC", "61000.5", "61000.6")
            server.refuse("SOL")
            ticks = await feed_of(server).snapshot(frozenset({"ETH", "BTC", "SOL", "NOT-LISTED"}))
        assert {tick.asset: (tick.bid, tick.ask) for tick in ticks} == {
            "ETH": (Decimal("2480.1"), Decimal("2480.3")),
            "BTC": (Decimal("61000.5"), Decimal("61000.6")),
        }
        assert all(tick.observed_at_ns > 0 and tick.quote_currency == CURRENCY[venue] for tick in ticks)

    run(test())


@every_venue
def test_a_snapshot_of_nothing_but_refused_assets_says_so(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            server.refuse("SOL")
            with pytest.raises((Refused, Malformed)) as caught:
                await feed_of(server).snapshot(frozenset({"SOL"}))
        assert caught.value.venue == venue

    run(test())


@every_venue
def test_a_rate_limit_is_waited_for_when_short_and_raised_with_its_length_when_long(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            server.set_book("ETH", "2480.1", "2480.3")
            server.limit_rest(1, retry_after="0")
            ticks = await feed_of(server).snapshot(frozenset({"ETH"}))
            server.limit_rest(1, retry_after="120")
            with pytest.raises(RateLimited) as caught:
                await feed_of(server).snapshot(frozenset({"ETH"}))
            asked = len(server.requests)
            with pytest.raises(RateLimited):
                await feed_of(server).snapshot(frozenset({"ETH"}))
        assert len(ticks) == 1
        assert caught.value.retry_after_s == 120
        assert len(server.requests) == asked == 3

    run(test())


@every_venue
def test_an_unreachable_venue_is_an_unreachable_error(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            feed = feed_of(server)
        with pytest.raises(Unreachable):
            await feed.snapshot(frozenset({"ETH"}))

    run(test())


@every_venue
def test_daily_closes_are_finished_days_oldest_first(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            server.set_closes("ETH", ["2400.5", "2410.25", "2390.75", "2450.5"], today="9999.5")
            closes = await feed_of(server).daily_closes("ETH", 3)
            with pytest.raises(Refused):
                await feed_of(server).daily_closes("NOT-LISTED", 3)
        assert list(closes) == [Decimal("2410.25"), Decimal("2390.75"), Decimal("2450.5")]

    run(test())


@every_venue
def test_a_venue_that_refuses_the_handshake_is_left_alone_for_as_long_as_it_says(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            server.refuse_connections(429, retry_after="90")
            async with streaming(server, "ETH") as heard:
                down = await heard.link(LinkState.DOWN)
        assert down.retry_at_ns is not None
        assert down.retry_at_ns - down.at_ns >= 89_000_000_000
        assert "429" in down.detail

    run(test())


@every_venue
def test_an_asset_that_goes_quiet_while_others_tick_is_asked_by_rest(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server:
            server.set_book("BTC", "61000.5", "61000.6")
            async with streaming(server, "ETH", "BTC", stale_after_s=1.0) as heard:
                await server_live(server, heard, "2480.1")
                server.set_book("BTC", "60000.5", "60000.6")

                async def trade() -> None:
                    while True:
                        await server.push("ETH", "2480.1", "2480.3")
                        await asyncio.sleep(0.02)

                trading = asyncio.create_task(trade())
                quiet = await heard.tick("BTC", "60000.5")
                trading.cancel()
                await asyncio.gather(trading, return_exceptions=True)
        assert quiet.ask == Decimal("60000.6")
        assert server.connections == 1

    run(test())


@every_venue
def test_a_feed_knows_its_defaults_and_what_it_lists(venue: str) -> None:
    feed = FEEDS[venue](VenueOptions())
    assert feed.venue == venue
    assert feed.stale_after_s == BUDGET_S[venue]
    assert FEEDS[venue](VenueOptions(stale_after_s=3)).stale_after_s == 3
    assert all(map(feed.supports, ("ETH", "btc", "SOL", "WETH")))
    assert not feed.supports("stETH")
    assert not feed.supports("")


@every_venue
def test_a_feed_without_any_listed_asset_waits_and_opens_no_connection(venue: str) -> None:
    async def test() -> None:
        async with VenueServer(venue) as server, streaming(server, "NOT-LISTED") as heard:
            change = await heard.link(LinkState.CONNECTING)
            assert "none of the watched assets" in change.detail
            assert server.connections == 0

    run(test())
