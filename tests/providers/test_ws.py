"""The WebSocket transport by itself: reconnects, the watchdog, bounds, signals, and a clean end."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve

from providers.errors import Malformed, Unreachable
from providers.ports import LinkChange, LinkState
from providers.ws import Backoff, Signal, SignalKind, Subscription, stream

Item = tuple[str, int]


def parse(raw: bytes, observed_at_ns: int) -> Sequence[Item | Signal]:
    """Read `ETH 5` as an item, `!kind text` as a signal, `.` as nothing."""
    words = raw.decode("latin-1").split(" ", 1)
    if words[0] == ".":
        return ()
    if words[0].startswith("!"):
        return (Signal(SignalKind(words[0][1:]), words[1]),)
    if len(words) != 2 or not words[1].isdigit():
        raise Malformed("acme", f"what is {raw[:20]!r}?")
    return ((words[0], int(words[1])),)


@asynccontextmanager
async def serving(talk: Callable[[ServerConnection, int], Awaitable[None]]) -> Any:
    """Run a server whose nth connection (from 1) is held by `talk`; yield its URL."""
    count = 0

    async def hold(connection: ServerConnection) -> None:
        nonlocal count
        count += 1
        await talk(connection, count)

    async with serve(hold, "127.0.0.1", 0, compression=None) as server:
        yield f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"


def subscription(url: str, **options: Any) -> Subscription[Item]:
    settings: dict[str, Any] = {"silence_after_s": 5.0, "backoff": Backoff(0.01, 0.02)} | options
    return Subscription(source="acme", url=url, parser=lambda: parse, key=lambda item: item[0], **settings)


async def collect(wanted: Subscription[Item], enough: Callable[[Item | LinkChange], bool]) -> list[Item | LinkChange]:
    """Return what the stream yields up to and with the first item that is `enough`."""
    seen: list[Item | LinkChange] = []
    async with asyncio.timeout(20), aclosing(stream(wanted)) as items:
        async for item in items:
            seen.append(item)
            if enough(item):
                return seen
    raise AssertionError("a stream does not end")


def is_state(state: LinkState) -> Callable[[Item | LinkChange], bool]:
    return lambda item: isinstance(item, LinkChange) and item.state is state


def changes(items: list[Item | LinkChange]) -> list[LinkChange]:
    return [item for item in items if isinstance(item, LinkChange)]


async def forever(connection: ServerConnection) -> None:
    await connection.wait_closed()


def test_every_connection_is_subscribed_again() -> None:
    heard: list[str] = []

    async def talk(connection: ServerConnection, nth: int) -> None:
        heard.append(str(await connection.recv()))
        heard.append(str(await connection.recv()))
        await connection.send(f"ETH {nth}")

    async def test() -> list[Item | LinkChange]:
        async with serving(talk) as url:
            return await collect(subscription(url, subscribe=("a", "b")), lambda item: item == ("ETH", 3))

    items = asyncio.run(test())
    assert heard == ["a", "b"] * 3
    assert [item for item in items if isinstance(item, tuple)] == [("ETH", 1), ("ETH", 2), ("ETH", 3)]
    downs = [change for change in changes(items) if change.state is LinkState.DOWN]
    assert all("connection lost" in change.detail for change in downs)


def test_the_parser_forgets_what_it_knew_with_the_connection() -> None:
    made: list[int] = []

    def parser() -> Callable[[bytes, int], Sequence[Item | Signal]]:
        made.append(1)
        return parse

    async def talk(connection: ServerConnection, nth: int) -> None:
        await connection.send(f"ETH {nth}")

    async def test() -> None:
        async with serving(talk) as url:
            wanted = Subscription(
                source="acme",
                url=url,
                parser=parser,
                key=lambda item: item[0],
                silence_after_s=5.0,
                backoff=Backoff(0.01, 0.02),
            )
            await collect(wanted, lambda item: item == ("ETH", 3))

    asyncio.run(test())
    assert len(made) == 3


async def beat(connection: ServerConnection, text: str) -> None:
    """Send an item, then `text` for well over twice the watchdog's budget of 0.6 s, then another item."""
    await connection.send("ETH 1")
    for _ in range(70):
        await connection.send(text)
        await asyncio.sleep(0.02)
    await connection.send("ETH 2")
    await forever(connection)


@pytest.mark.parametrize(
    ("text", "states"),
    [
        (".", [LinkState.CONNECTING, LinkState.LIVE, LinkState.STALE, LinkState.DOWN]),
        ("!alive yes", [LinkState.CONNECTING, LinkState.LIVE]),
    ],
)
def test_only_data_and_alive_signals_keep_a_link_alive(text: str, states: list[LinkState]) -> None:
    async def test() -> list[Item | LinkChange]:
        async with serving(lambda connection, nth: beat(connection, text)) as url:
            is_down = is_state(LinkState.DOWN)
            return await collect(subscription(url, silence_after_s=0.6), lambda i: i == ("ETH", 2) or is_down(i))

    assert [change.state for change in changes(asyncio.run(test()))] == states


def test_stale_turns_live_again_with_the_next_data() -> None:
    async def test() -> list[Item | LinkChange]:
        told_stale = asyncio.Event()

        async def talk(connection: ServerConnection, nth: int) -> None:
            await connection.send("ETH 1")
            await told_stale.wait()
            await connection.send("ETH 2")
            await forever(connection)

        def enough(item: Item | LinkChange) -> bool:
            if is_state(LinkState.STALE)(item):
                told_stale.set()
            return item == ("ETH", 2)

        async with serving(talk) as url:
            return await collect(subscription(url, silence_after_s=1.0), enough)

    items = asyncio.run(test())
    states = [change.state for change in changes(items)]
    assert states == [LinkState.CONNECTING, LinkState.LIVE, LinkState.STALE, LinkState.LIVE]


def test_a_planned_reconnect_needs_no_pause_and_is_not_down() -> None:
    async def talk(connection: ServerConnection, nth: int) -> None:
        await connection.send(f"ETH {nth}")
        await forever(connection)

    async def test(**options: Any) -> list[Item | LinkChange]:
        async with serving(talk) as url:
            return await collect(subscription(url, **options), lambda item: item == ("ETH", 2))

    items = asyncio.run(test(max_age_s=0.1))
    assert [change.state for change in changes(items)] == [LinkState.CONNECTING, LinkState.LIVE] * 2


def test_a_venue_that_announces_a_restart_is_left_before_it_hangs_up() -> None:
    async def talk(connection: ServerConnection, nth: int) -> None:
        await connection.send(f"ETH {nth}")
        await connection.send("!restart maintenance")
        await forever(connection)

    async def test() -> list[Item | LinkChange]:
        async with serving(talk) as url:
            return await collect(subscription(url), lambda item: item == ("ETH", 2))

    down = next(change for change in changes(asyncio.run(test())) if change.state is LinkState.DOWN)
    assert down.detail == "maintenance"


def test_a_rejected_list_is_asked_for_one_by_one_before_anything_is_said() -> None:
    heard: list[str] = []

    async def talk(connection: ServerConnection, nth: int) -> None:
        async for text in connection:
            heard.append(str(text))
            if text == "all":
                await connection.send("!rejected all of it")
            elif text == "bad":
                await connection.send("!rejected bad\x1b[2J")
                await connection.send("ETH 1")

    async def test() -> list[Item | LinkChange]:
        async with serving(talk) as url:
            wanted = subscription(url, subscribe=("all",), subscribe_singly=("good", "bad"))
            return await collect(wanted, lambda item: item == ("ETH", 1))

    told = changes(asyncio.run(test()))
    assert heard == ["all", "good", "bad"]
    assert [change.state for change in told] == [LinkState.CONNECTING, LinkState.DEGRADED]
    assert told[-1].detail.startswith("bad")
    assert "\x1b" not in told[-1].detail


def test_a_frame_over_the_bound_drops_the_connection() -> None:
    async def talk(connection: ServerConnection, nth: int) -> None:
        await connection.send("ETH " + "1" * 5000)
        await forever(connection)

    async def test() -> list[Item | LinkChange]:
        async with serving(talk) as url:
            return await collect(subscription(url, max_frame_bytes=1024), is_state(LinkState.DOWN))

    down = changes(asyncio.run(test()))[-1]
    assert "1009" in down.detail or "too big" in down.detail


def test_a_keepalive_is_sent_again_and_again() -> None:
    async def talk(connection: ServerConnection, nth: int) -> None:
        for n in range(3):
            assert await connection.recv() == "ping"
            await connection.send(f"ETH {n}")
        await forever(connection)

    async def test() -> None:
        async with serving(talk) as url:
            await collect(subscription(url, keepalive=("ping", 0.02)), lambda item: item == ("ETH", 2))

    asyncio.run(test())


def test_nobody_listening_is_down_with_growing_bounded_pauses() -> None:
    backoff = Backoff(first_s=0.5, cap_s=30.0)
    for attempt in range(60):
        longest = min(30.0, 0.5 * 2.0 ** min(attempt, 30))
        assert longest / 2 <= backoff.pause_s(attempt) <= longest

    async def test() -> list[Item | LinkChange]:
        async with serving(lambda connection, nth: forever(connection)) as url:
            pass
        tries = 0

        def third(item: Item | LinkChange) -> bool:
            nonlocal tries
            tries += is_state(LinkState.DOWN)(item)
            return tries == 3

        return await collect(subscription(url), third)

    downs = [change for change in changes(asyncio.run(test())) if change.state is LinkState.DOWN]
    assert all("cannot connect" in change.detail for change in downs)
    assert all(change.retry_at_ns is not None and change.retry_at_ns > change.at_ns for change in downs)


def test_a_forbidden_handshake_waits_a_minute_and_says_the_status() -> None:
    async def test() -> LinkChange:
        async def forbid(connection: ServerConnection, request: object) -> Any:
            return connection.respond(403, "not from your country\n")

        async def hold(connection: ServerConnection) -> None:
            await forever(connection)

        async with serve(hold, "127.0.0.1", 0, process_request=forbid) as server:
            url = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            return changes(await collect(subscription(url), is_state(LinkState.DOWN)))[-1]

    down = asyncio.run(test())
    assert "HTTP 403" in down.detail
    assert down.retry_at_ns is not None
    assert down.retry_at_ns - down.at_ns >= 59_000_000_000


def test_a_bad_tls_file_is_told_and_does_not_end_the_stream(tmp_path: Any) -> None:
    wanted = subscription("wss://127.0.0.1:1", tls_ca=str(tmp_path / "absent.pem"))
    down = changes(asyncio.run(collect(wanted, is_state(LinkState.DOWN))))[-1]
    assert "tls_ca" in down.detail


def test_a_failed_snapshot_is_told_and_the_stream_goes_on() -> None:
    async def broken(keys: frozenset[str]) -> Sequence[Item]:
        raise Unreachable("acme", "GET /book: connect error")

    async def test() -> list[Item | LinkChange]:
        told = asyncio.Event()

        async def talk(connection: ServerConnection, nth: int) -> None:
            await told.wait()
            await connection.send("ETH 1")
            await forever(connection)

        def enough(item: Item | LinkChange) -> bool:
            if isinstance(item, LinkChange) and "no REST snapshot" in item.detail:
                told.set()
            return item == ("ETH", 1)

        async with serving(talk) as url:
            return await collect(subscription(url, snapshot=broken, keys=frozenset({"ETH"})), enough)

    items = asyncio.run(test())
    assert [change.state for change in changes(items)][-1] is LinkState.LIVE
    assert any("GET /book: connect error" in change.detail for change in changes(items))


def test_a_snapshot_slower_than_the_stream_does_not_overwrite_it() -> None:
    async def test() -> list[Item | LinkChange]:
        seen_eth = asyncio.Event()

        async def slow(keys: frozenset[str]) -> Sequence[Item]:
            await seen_eth.wait()
            return [("ETH", 1), ("BTC", 1)]

        async def talk(connection: ServerConnection, nth: int) -> None:
            await connection.send("ETH 2")
            await forever(connection)

        def enough(item: Item | LinkChange) -> bool:
            if item == ("ETH", 2):
                seen_eth.set()
            return item == ("BTC", 1)

        async with serving(talk) as url:
            return await collect(subscription(url, snapshot=slow, keys=frozenset({"ETH", "BTC"})), enough)

    assert ("ETH", 1) not in asyncio.run(test())


@pytest.mark.parametrize("moment", ["connecting", "streaming", "waiting to retry"])
def test_closing_the_stream_leaves_no_task_behind(moment: str) -> None:
    async def talk(connection: ServerConnection, nth: int) -> None:
        await connection.send("ETH 1")
        await forever(connection)

    async def test() -> None:
        async with serving(talk) as url:
            before = asyncio.all_tasks()
            target = "ws://127.0.0.1:1" if moment == "waiting to retry" else url
            wanted = subscription(target, backoff=Backoff(60.0, 60.0))
            until = {
                "connecting": LinkState.CONNECTING,
                "streaming": LinkState.LIVE,
                "waiting to retry": LinkState.DOWN,
            }
            await collect(wanted, is_state(until[moment]))
            ours = {task for task in asyncio.all_tasks() - before if "link" in task.get_name()}
        assert ours == set()

    asyncio.run(test())


def test_closing_in_the_moment_of_a_loss_ends_the_stream_too() -> None:
    async def talk(connection: ServerConnection, nth: int) -> None:
        await connection.send(f"ETH {nth}")
        await connection.send("!restart again")

    async def test() -> None:
        async with serving(talk) as url:
            for _ in range(20):
                await collect(subscription(url, backoff=Backoff(0.0, 0.0)), lambda item: isinstance(item, tuple))

    asyncio.run(test())


def test_a_bug_in_a_parser_reaches_the_reader_and_is_not_swallowed() -> None:
    def buggy(raw: bytes, observed_at_ns: int) -> Sequence[Item | Signal]:
        raise KeyError("a bug")

    async def talk(connection: ServerConnection, nth: int) -> None:
        await connection.send("ETH 1")
        await forever(connection)

    async def test() -> None:
        async with serving(talk) as url:
            wanted = Subscription(
                source="acme", url=url, parser=lambda: buggy, key=lambda item: item[0], silence_after_s=5.0
            )
            with pytest.raises(ExceptionGroup) as caught:
                await collect(wanted, lambda item: False)
            assert caught.group_contains(KeyError)

    asyncio.run(test())
