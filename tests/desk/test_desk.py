"""The running desk: sources that crash, lag and grow, feeds that follow the accounts, and a clean end."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing, suppress
from decimal import Decimal

import pytest

from desk.desk import Desk
from desk.notify import Notifier
from desk.settings import DeskSettings
from desk.snapshot import Snapshot, SourceState
from engine.accounts import Collateral
from engine.alerts import AlertRule, feed_key, key_of
from engine.assessment import Severity
from providers.errors import RateLimited, Refused, Unreachable
from providers.ports import LinkState
from tests.doubles import (
    SECOND_NS,
    START_NS,
    Clock,
    Closes,
    Outbox,
    ScriptedFeed,
    ScriptedSource,
    link,
    loan,
    perp,
    reading,
    tick,
    until,
)

FAST = DeskSettings(
    clock_every_s=0.005,
    settle_every_s=0.0,
    first_prices_after_s=60.0,
    past_after_s=0.0,
    past_every_s=0.0,
    restart_after_s=(0.001,),
    notify_again_after_s=(0.001,),
)


def during(desk: Desk, story: Callable[[], Awaitable[None]]) -> None:
    """Run `story` beside the running desk, then stop the desk and see that nothing is left of it."""

    async def both() -> None:
        running = asyncio.create_task(desk.run())
        try:
            await story()
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(both())


def source_state(snapshot: Snapshot, name: str) -> SourceState:
    return next(source for source in snapshot.sources if source.name == name)


def test_the_snapshot_is_there_before_anything_runs() -> None:
    snapshot = Desk([ScriptedSource("main")], [], FAST).snapshot
    assert (snapshot.sequence, len(snapshot.accounts)) == (0, 0)


def test_readings_and_quotes_meet_in_one_snapshot() -> None:
    main, binance, kraken = (
        ScriptedSource("main"),
        ScriptedFeed("binance", ("ETH", "USDC")),
        ScriptedFeed("kraken", ("ETH", "USDC")),
    )
    desk = Desk([main], [binance, kraken], FAST, clock=Clock())

    async def story() -> None:
        main.push(reading("main", loan()))
        for feed in (binance, kraken):
            feed.push(tick(feed.venue, "USDC", "1"))
            feed.push(tick(feed.venue, "ETH", "2490"))
        snapshot = await until(
            desk, lambda now: "main" in now.accounts and now.accounts["main"].assessment.at_market is not None
        )
        market = snapshot.accounts["main"].assessment.at_market
        assert market is not None
        assert market.health_factor == Decimal("1.3778")

    during(desk, story)
    assert main.is_closed
    assert binance.is_closed
    assert kraken.is_closed


def test_feeds_are_subscribed_once_for_all_accounts_and_again_for_a_new_asset() -> None:
    main, hl, feed = (
        ScriptedSource("main"),
        ScriptedSource("hl"),
        ScriptedFeed("kraken", ("ETH", "USDC", "BTC", "LINK")),
    )
    desk = Desk([main, hl], [feed], FAST, clock=Clock())

    async def story() -> None:
        main.push(reading("main", loan()))
        await until(desk, lambda now: "main" in now.accounts)
        assert feed.subscriptions == []
        hl.push(reading("hl", perp()))
        feed.push(tick("kraken", "ETH", "2490"))
        await until(desk, lambda now: "ETH" in now.prices and bool(now.prices["ETH"].price.quotes))
        assert feed.subscriptions == [frozenset({"ETH", "USDC", "BTC"})]
        wider = loan()
        wider = type(wider)(
            **{name: getattr(wider, name) for name in wider.__slots__ if name != "collateral"},
            collateral=(*wider.collateral, Collateral("LINK", Decimal(5), Decimal("0.7"))),
        )
        main.push(reading("main", wider, at_ns=START_NS + 1))
        await until(desk, lambda now: "LINK" in now.accounts["main"].account.assets)
        feed.push(tick("kraken", "LINK", "14"))
        await until(desk, lambda now: "LINK" in now.prices and bool(now.prices["LINK"].price.quotes))
        assert feed.subscriptions[1:] == [frozenset({"ETH", "USDC", "BTC", "LINK"})]

    during(desk, story)


def test_prices_do_not_wait_for_an_account_that_never_answers() -> None:
    main, mute, feed = ScriptedSource("main"), ScriptedSource("mute"), ScriptedFeed("kraken")
    desk = Desk([main, mute], [feed], DeskSettings(first_prices_after_s=0.0), clock=Clock())

    async def story() -> None:
        main.push(reading("main", loan()))
        feed.push(tick("kraken", "ETH", "2490"))
        await until(desk, lambda now: "ETH" in now.prices and bool(now.prices["ETH"].price.quotes))

    during(desk, story)


def test_a_feed_that_quotes_nothing_we_hold_is_idle_and_says_so() -> None:
    main, feed = ScriptedSource("main"), ScriptedFeed("kraken", ("DOGE",))
    desk = Desk([main], [feed], FAST, clock=Clock())

    async def story() -> None:
        main.push(reading("main", loan()))
        snapshot = await until(desk, lambda now: source_state(now, "kraken").state is LinkState.LIVE)
        assert source_state(snapshot, "kraken").detail == "quotes no asset of the accounts"
        assert feed.subscriptions == []

    during(desk, story)


def test_a_source_that_crashes_is_told_logged_restarted_and_takes_no_other_down(
    caplog: pytest.LogCaptureFixture,
) -> None:
    main, hl = ScriptedSource("main"), ScriptedSource("hl")
    desk = Desk([main, hl], [], FAST, clock=Clock())
    down: list[SourceState] = []

    async def story() -> None:
        main.push(KeyError("secret-looking detail"))
        down.append(
            source_state(await until(desk, lambda now: source_state(now, "main").state is LinkState.DOWN), "main")
        )
        hl.push(reading("hl", perp()))
        await until(desk, lambda now: "hl" in now.accounts)
        main.push(reading("main", loan()))
        await until(desk, lambda now: source_state(now, "main").state is LinkState.LIVE)

    during(desk, story)
    assert down[0].detail == "internal error: KeyError, see the log"
    assert down[0].retry_at_ns is not None
    assert main.watches == 2
    assert any(record.exc_info for record in caplog.records)


def test_a_feed_that_crashes_leaves_accounts_and_other_feeds_alone() -> None:
    main, bad, good = ScriptedSource("main"), ScriptedFeed("binance"), ScriptedFeed("kraken")
    desk = Desk([main], [bad, good], FAST, clock=Clock())

    async def story() -> None:
        main.push(reading("main", loan()))
        bad.push(ZeroDivisionError())
        await until(desk, lambda now: source_state(now, "binance").state is LinkState.DOWN)
        good.push(tick("kraken", "ETH", "2490"))
        await until(desk, lambda now: source_state(now, "kraken").state is LinkState.LIVE)
        bad.push(tick("binance", "ETH", "2491"))
        snapshot = await until(desk, lambda now: now.prices["ETH"].consensus.price is not None)
        assert snapshot.prices["ETH"].consensus.price == Decimal("2490.5")

    during(desk, story)


@pytest.mark.parametrize(
    ("error", "pause_s"),
    [
        (Refused("acme", "no right to read this account", 403), 300),
        (RateLimited("acme", "too many requests", 42.0), 42),
    ],
)
def test_a_refusal_and_a_rate_limit_are_waited_out_as_long_as_they_ask(error: Exception, pause_s: int) -> None:
    main = ScriptedSource("main")
    desk = Desk([main], [], FAST, clock=Clock())

    async def story() -> None:
        main.push(error)
        state = source_state(await until(desk, lambda now: source_state(now, "main").state is LinkState.DOWN), "main")
        assert state.retry_at_ns == START_NS + pause_s * SECOND_NS
        assert state.detail == error.detail  # type: ignore[attr-defined]

    during(desk, story)


def test_refreshing_ends_a_pause_and_reads_again() -> None:
    main = ScriptedSource("main")
    main.answer = reading("main", loan())
    desk = Desk([main], [], FAST, clock=Clock())

    async def story() -> None:
        main.push(Refused("acme", "not yet", 403))
        await until(desk, lambda now: source_state(now, "main").state is LinkState.DOWN)
        desk.refresh()
        await until(desk, lambda now: "main" in now.accounts)
        main.push(reading("main", loan(price="2000"), at_ns=START_NS + 1))
        await until(desk, lambda now: now.accounts["main"].assessment.severity is Severity.DANGER)

    during(desk, story)
    assert (main.reads, main.watches) == (1, 2)


def test_a_failed_refresh_degrades_the_source_and_keeps_its_reading() -> None:
    main = ScriptedSource("main")
    desk = Desk([main], [], FAST, clock=Clock())

    async def story() -> None:
        main.push(reading("main", loan()))
        await until(desk, lambda now: "main" in now.accounts)
        main.answer = Unreachable("aave", "rpc timed out")
        desk.refresh()
        snapshot = await until(desk, lambda now: source_state(now, "main").state is LinkState.DEGRADED)
        assert source_state(snapshot, "main").detail == "rpc timed out"
        assert snapshot.accounts["main"].assessment.severity is Severity.WARN

    during(desk, story)


def test_refreshing_a_desk_that_does_not_run_does_nothing() -> None:
    main = ScriptedSource("main")
    Desk([main], [], FAST).refresh()
    assert main.reads == 0


def test_time_makes_a_silent_account_unknown_and_its_feed_lost() -> None:
    main, clock = ScriptedSource("main"), Clock()
    desk = Desk([main], [], FAST, clock=clock)

    async def story() -> None:
        main.push(reading("main", loan()))
        await until(desk, lambda now: "main" in now.accounts)
        clock.advance(31)
        snapshot = await until(desk, lambda now: now.accounts["main"].is_stale)
        assert snapshot.accounts["main"].assessment.severity is Severity.UNKNOWN
        clock.advance(60)
        snapshot = await until(desk, lambda now: any(alert.key == feed_key("account", "main") for alert in now.alerts))
        assert snapshot.bell == 2

    during(desk, story)


def test_acknowledging_shows_at_once() -> None:
    main = ScriptedSource("main")
    desk = Desk([main], [], FAST, clock=Clock())

    async def story() -> None:
        main.push(reading("main", loan("main:a"), loan("main:b")))
        await until(desk, lambda now: len(now.alerts) == 2)
        desk.acknowledge(key_of(AlertRule.SEVERITY, "main:a"))
        assert sorted(alert.phase.value for alert in desk.snapshot.alerts) == ["acknowledged", "firing"]
        desk.acknowledge_all()
        assert {alert.phase.value for alert in desk.snapshot.alerts} == {"acknowledged"}

    during(desk, story)


def test_what_rings_is_sent_as_one_message_and_marked() -> None:
    main, outbox = ScriptedSource("main"), Outbox()
    desk = Desk([main], [], FAST, notifier=Notifier(["json://x"], sender=outbox), clock=Clock())

    async def story() -> None:
        main.push(reading("main", loan("main:a"), loan("main:b", debt="20000"), loan("main:c", debt="100")))
        await until(desk, lambda now: any(alert.delivery == "push ok" for alert in now.alerts))

    during(desk, story)
    assert outbox.messages == [
        (
            "marginline: 2 alerts, main:b danger",
            "main:b is danger: health_factor 1.0375 < 1.15\nmain:a is warn: health_factor 1.3833 < 1.5",
        )
    ]


def test_a_message_that_fails_is_visible_and_sent_again() -> None:
    main, outbox = ScriptedSource("main"), Outbox(failures=["refused with status 500"])
    desk = Desk([main], [], FAST, notifier=Notifier(["json://x"], sender=outbox), clock=Clock())
    seen: list[str] = []

    async def story() -> None:
        main.push(reading("main", loan()))
        async with asyncio.timeout(3), aclosing(desk.snapshots()) as snapshots:
            async for snapshot in snapshots:
                told = [alert.delivery for alert in snapshot.alerts if alert.delivery]
                if told and told[0] not in seen:
                    seen.append(told[0])
                if seen and seen[-1] == "push ok":
                    break

    during(desk, story)
    assert len(outbox.messages) == 2
    assert seen[-1] == "push ok"


def test_a_slow_reader_of_snapshots_skips_to_the_newest() -> None:
    main = ScriptedSource("main")
    desk = Desk([main], [], FAST, clock=Clock())

    async def story() -> None:
        snapshots = desk.snapshots()
        first = await anext(snapshots)
        for step in range(20):
            main.push(reading("main", loan(price=str(2500 + step)), at_ns=START_NS + step))
        await until(
            desk,
            lambda now: now.accounts.get("main") is not None and now.accounts["main"].observed_at_ns == START_NS + 19,
        )
        newest = await anext(snapshots)
        await snapshots.aclose()
        assert first.sequence == 0
        assert newest is desk.snapshot

    during(desk, story)


def test_a_flood_of_ticks_starves_no_one_and_shows_the_last() -> None:
    main, feed = ScriptedSource("main"), ScriptedFeed("kraken")
    desk = Desk([main], [feed], DeskSettings(venues=("kraken",)), clock=Clock())

    async def story() -> None:
        main.push(reading("main", loan()))
        for step in range(20_000):
            feed.push(tick("kraken", "ETH", f"{2400 + step / 1000:.3f}", at_ns=START_NS + step))
        snapshot = await until(
            desk, lambda now: "ETH" in now.prices and now.prices["ETH"].consensus.price == Decimal("2419.999")
        )
        assert snapshot.sequence < 2000

    during(desk, story)


def test_volatility_is_learned_and_its_lack_is_told_without_alarm() -> None:
    main = ScriptedSource("main")
    closes = Closes({"ETH": [Decimal(2400 + day % 3 * 40) for day in range(31)]}, Refused("acme", "no such market"))
    desk = Desk([main], [], FAST, history=closes, clock=Clock())

    async def story() -> None:
        main.push(reading("main", loan(), perp("main:b")))
        snapshot = await until(desk, lambda now: any(source.name == "history" for source in now.sources))
        assert snapshot.prices["ETH"].price.volatility is not None
        assert snapshot.prices["BTC"].price.volatility is None
        assert snapshot.accounts["main"].assessment.sigma_days is not None
        assert source_state(snapshot, "history").detail == "no volatility of BTC"
        assert not any("history" in reason for reason in snapshot.degraded)

    during(desk, story)


def test_past_readings_are_taken_in_without_holding_up_the_present() -> None:
    main = ScriptedSource("main")
    past = [reading("main", loan(price="3000"), at_ns=START_NS - step * 900 * SECOND_NS) for step in range(96, 0, -1)]
    desk = Desk([main], [], FAST, clock=Clock(), past=past)

    async def story() -> None:
        main.push(reading("main", loan()))
        await until(desk, lambda now: "main" in now.accounts and len(now.accounts["main"].health_history) == 97)

    during(desk, story)


def test_a_desk_with_nothing_to_watch_runs_and_ends() -> None:
    desk = Desk([], [], FAST)

    async def story() -> None:
        assert (await until(desk, lambda now: now.sequence == 0)).accounts == {}

    during(desk, story)


def test_a_source_that_fails_to_close_hides_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Stubborn(ScriptedSource):
        async def aclose(self) -> None:
            raise OSError("socket is gone")

    stubborn, main = Stubborn("stubborn"), ScriptedSource("main")
    desk = Desk([stubborn, main], [], FAST, clock=Clock())

    async def story() -> None:
        main.push(link("main", LinkState.CONNECTING))
        await until(desk, lambda now: now.sequence > 0)

    during(desk, story)
    assert main.is_closed
    assert any("did not close" in record.getMessage() for record in caplog.records)


def once(desk: Desk, timeout_s: float = 3.0) -> Snapshot:
    async def read() -> Snapshot:
        try:
            return await desk.read_once(timeout_s)
        finally:
            await desk.aclose()

    return asyncio.run(read())


def test_one_reading_has_accounts_prices_and_volatility() -> None:
    main, feeds = ScriptedSource("main"), [ScriptedFeed(venue, ("ETH", "USDC")) for venue in ("binance", "kraken")]
    main.answer = reading("main", loan())
    for feed in feeds:
        feed.answer = [tick(feed.venue, "ETH", "2490"), tick(feed.venue, "USDC", "1")]
    closes = Closes({"ETH": [Decimal(2400 + day % 3 * 40) for day in range(31)]}, Refused("acme", "none"))
    snapshot = once(Desk([main], feeds, FAST, history=closes, clock=Clock()))
    assessment = snapshot.accounts["main"].assessment
    assert assessment.at_market is not None
    assert assessment.sigma_days is not None
    assert {source.state for source in snapshot.sources} == {LinkState.LIVE}
    assert feeds[0].subscriptions == [frozenset({"ETH", "USDC"})]
    assert main.is_closed


def test_one_reading_records_each_failure_as_a_source_state() -> None:
    good, bad, buggy = ScriptedSource("good"), ScriptedSource("bad"), ScriptedSource("buggy")
    good.answer = reading("good", loan("good"))
    bad.answer = Unreachable("aave", "rpc timed out")
    buggy.answer = RuntimeError("bug")
    feed = ScriptedFeed("kraken")
    feed.answer = RateLimited("kraken", "429", 5.0)
    snapshot = once(Desk([good, bad, buggy], [feed], FAST, clock=Clock()))
    assert {source.name: (source.state, source.detail) for source in snapshot.sources} == {
        "good": (LinkState.LIVE, ""),
        "bad": (LinkState.DOWN, "rpc timed out"),
        "buggy": (LinkState.DOWN, "internal error: RuntimeError, see the log"),
        "kraken": (LinkState.DOWN, "429"),
    }
    assert list(snapshot.accounts) == ["good"]


def test_one_reading_waits_for_no_one_beyond_its_time() -> None:
    good, mute, feed = ScriptedSource("good"), ScriptedSource("mute"), ScriptedFeed("kraken")
    good.answer = reading("good", loan("good"))
    feed.answer = [tick("kraken", "ETH", "2490")]
    snapshot = once(Desk([good, mute], [feed], FAST, clock=Clock()), timeout_s=0.1)
    assert source_state(snapshot, "mute").detail == "no answer in time"
    assert snapshot.prices["ETH"].consensus.price is None or snapshot.prices["ETH"].consensus.single_venue
    assert source_state(snapshot, "kraken").state is LinkState.LIVE


def test_prices_can_be_asked_for_without_any_account() -> None:
    feed = ScriptedFeed("kraken")
    feed.answer = [tick("kraken", "BTC", "61000")]
    settings = DeskSettings(venues=("kraken",), assets=frozenset({"BTC"}))
    snapshot = once(Desk([], [feed], settings, clock=Clock()))
    assert snapshot.prices["BTC"].consensus.price == 61000
