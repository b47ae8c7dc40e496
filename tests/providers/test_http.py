"""The HTTP transport: what it retries, what it waits for, what it bounds, and which errors leave it."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from providers.errors import (
    ConfigError,
    Malformed,
    ProviderError,
    RateLimited,
    Refused,
    Unauthorised,
    Unreachable,
)
from providers.http import Budget, HttpTransport, checked_url, decode, is_loopback, shared_budget, tls_context

Answer = Callable[[httpx.Request], httpx.Response]


class Clock:
    """A clock that moves when somebody sleeps, so that no test waits."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


def transport(answer: Answer, clock: Clock | None = None, **options: Any) -> HttpTransport:
    return HttpTransport(
        "acme",
        "https://api.acme.test/secret-key",
        transport=httpx.MockTransport(answer),
        sleep=(clock or Clock()).sleep,
        **options,
    )


def run(job: Callable[[], Coroutine[object, object, Any]]) -> Any:
    return asyncio.run(job())


def in_turn(*answers: httpx.Response | Exception) -> tuple[Answer, list[httpx.Request]]:
    asked: list[httpx.Request] = []
    left = list(answers)

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        reply = left.pop(0)
        if isinstance(reply, Exception):
            raise reply
        return reply

    return answer, asked


def failure(job: Callable[[], Awaitable[object]]) -> ProviderError:
    async def attempt() -> ProviderError:
        try:
            await job()
        except ProviderError as error:
            return error
        raise AssertionError("it should have failed")

    return asyncio.run(attempt())


def test_a_read_is_repeated_after_lost_connections_and_server_errors_with_growing_pauses() -> None:
    answer, asked = in_turn(httpx.ConnectError("no"), httpx.Response(503), httpx.Response(200, json={"ok": 1}))
    clock = Clock()
    assert run(lambda: transport(answer, clock).get_json("/x", dict[str, int])) == {"ok": 1}
    assert len(asked) == 3
    assert 0.3 <= clock.slept[0] <= 0.6 <= clock.slept[1] <= 1.2


def test_a_read_gives_up_after_its_attempts_and_says_where() -> None:
    answer, asked = in_turn(*[httpx.ReadTimeout("slow")] * 3)
    error = failure(lambda: transport(answer).get("/v1/ticker", params={"apikey": "hunter2"}))
    assert isinstance(error, Unreachable)
    assert str(error) == "acme: GET /v1/ticker: read timeout"
    assert len(asked) == 3


def test_a_write_is_sent_once_and_an_idempotent_post_like_a_read() -> None:
    for is_read, tries in ((False, 1), (True, 3)):
        answer, asked = in_turn(*[httpx.ReadError("cut")] * 3)
        error = failure(lambda answer=answer, is_read=is_read: transport(answer).post("/x", {"a": 1}, is_read=is_read))
        assert isinstance(error, Unreachable)
        assert len(asked) == tries
    assert json.loads(asked[0].content) == {"a": 1}
    assert asked[0].headers["content-type"] == "application/json"


def test_bytes_are_posted_as_they_are() -> None:
    answer, asked = in_turn(httpx.Response(200, content=b"{}"))
    run(lambda: transport(answer).post("/x", b'{"kept":  1}', headers={"X-Sign": "s"}))
    assert asked[0].content == b'{"kept":  1}'
    assert asked[0].headers["x-sign"] == "s"


@pytest.mark.parametrize(
    ("status", "kind"),
    [(400, Refused), (401, Unauthorised), (403, Refused), (404, Refused), (302, Refused), (451, Refused)],
)
def test_a_refusal_is_not_repeated_and_carries_its_status_and_the_venues_words(
    status: int, kind: type[Refused]
) -> None:
    answer, asked = in_turn(httpx.Response(status, json={"code": -1121, "msg": "Invalid \x1b[31msymbol.\u202e"}))
    error = failure(lambda: transport(answer).get("/x"))
    assert type(error) is kind
    assert isinstance(error, Refused)
    assert error.status == status
    assert error.detail.startswith(f"GET /x: HTTP {status} (Invalid")
    assert "\x1b" not in error.detail
    assert "\u202e" not in error.detail
    assert len(asked) == 1


def test_no_error_shows_the_base_url_the_query_a_header_or_the_body() -> None:
    for reply in (
        httpx.ConnectError("cannot connect to https://api.acme.test/secret-key?signature=abc"),
        httpx.Response(500, text="https://api.acme.test/secret-key signature=abc"),
        httpx.Response(400, text="signature=abc"),
        httpx.Response(200, text="secret-key signature=abc"),
    ):
        answer, _ = in_turn(*[reply] * 3)
        error = failure(
            lambda answer=answer: transport(answer).get_json(
                "/x", dict[str, int], params={"signature": "abc"}, headers={"X-Key": "abc"}
            )
        )
        assert "secret-key" not in str(error)
        assert "abc" not in str(error)
        assert "acme.test" not in str(error)


@pytest.mark.parametrize("status", [429, 418])
def test_a_short_retry_after_is_waited_for_exactly(status: int) -> None:
    answer, _ = in_turn(httpx.Response(status, headers={"Retry-After": "3"}), httpx.Response(200, content=b"1"))
    clock = Clock()
    assert run(lambda: transport(answer, clock).get("/x")) == b"1"
    assert clock.slept == [3.0]


def test_a_long_retry_after_is_raised_and_holds_back_every_other_request_of_the_venue() -> None:
    clock = Clock()
    budget = Budget(100, 60, clock=clock)
    answer, asked = in_turn(httpx.Response(429, headers={"Retry-After": "120"}), httpx.Response(200, content=b"1"))
    first = failure(lambda: transport(answer, clock, budget=budget).get("/x"))
    second = failure(lambda: transport(answer, clock, budget=budget).get("/y"))
    assert isinstance(first, RateLimited)
    assert first.retry_after_s == 120
    assert isinstance(second, RateLimited)
    assert second.retry_after_s == 120
    assert len(asked) == 1
    clock.now += 120
    assert run(lambda: transport(answer, clock, budget=budget).get("/y")) == b"1"


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("soon", None), ("-1", None), (None, None)])
def test_retry_after_is_seconds_or_unknown(header: str | None, seconds: float | None) -> None:
    headers = {} if header is None else {"Retry-After": header}
    answer, _ = in_turn(*[httpx.Response(429, headers=headers)] * 3)
    error = failure(lambda: transport(answer, patience_s=6.0).get("/x"))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == seconds


def test_retry_after_may_be_a_date() -> None:
    until = format_datetime(datetime.now(UTC) + timedelta(seconds=100), usegmt=True)
    answer, _ = in_turn(httpx.Response(429, headers={"Retry-After": until}))
    error = failure(lambda: transport(answer).get("/x"))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s is not None
    assert 90 < error.retry_after_s <= 100


def test_the_budget_lets_weights_through_until_it_is_empty_and_then_spaces_them() -> None:
    clock = Clock()
    budget = Budget(10, 20, clock=clock)
    answer, asked = in_turn(*[httpx.Response(200, content=b"1")] * 3)

    async def three() -> None:
        async with transport(answer, clock, budget=budget) as http:
            await http.get("/a", weight=6)
            await http.get("/b", weight=4)
            assert budget.used == 10
            await http.get("/c", weight=2)

    run(three)
    assert clock.slept == [4.0]
    assert len(asked) == 3


def test_a_budget_that_would_take_too_long_is_raised_not_waited_for() -> None:
    clock = Clock()
    budget = Budget(10, 60, clock=clock)
    budget.take(10)
    answer, asked = in_turn()
    error = failure(lambda: transport(answer, clock, budget=budget).get("/x", weight=5))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == pytest.approx(30)
    assert asked == []
    assert clock.slept == []


def test_a_write_goes_ahead_of_reads_but_not_against_the_venues_own_word() -> None:
    clock = Clock()
    budget = Budget(10, 60, clock=clock)
    budget.take(10)
    answer, asked = in_turn(httpx.Response(200), httpx.Response(200))
    run(lambda: transport(answer, clock, budget=budget).post("/move", {}, weight=5))
    assert (len(asked), clock.slept) == (1, [])
    assert budget.wait_s(1) == 36  # reads pay for it
    budget.block(60)
    assert "budget used up" in str(failure(lambda: transport(answer, clock, budget=budget).post("/move", {})))
    assert len(asked) == 1


def test_the_venues_own_count_corrects_the_budget_downwards_only() -> None:
    budget = Budget(6000, 60, clock=Clock())
    for told, used in (("5000", 5000), ("10", 5000), ("lots", 5000)):
        answer, _ = in_turn(httpx.Response(200, headers={"X-Used": told}, content=b"1"))
        run(lambda answer=answer: transport(answer, budget=budget, used_header="x-used").get("/x", weight=0))
        assert budget.used == used


def test_all_transports_of_a_venue_and_host_share_one_budget() -> None:
    one = shared_budget("acme", "https://a.test/x", 10, 1)
    assert shared_budget("acme", "https://a.test/y", 99, 9) is one
    assert shared_budget("acme", "https://b.test", 10, 1) is not one
    assert shared_budget("other", "https://a.test", 10, 1) is not one


def test_a_reply_over_the_bound_is_malformed_without_reading_it_all() -> None:
    read = 0

    class Endless(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            nonlocal read
            while True:
                read += 1024
                yield b"x" * 1024

    answer, _ = in_turn(httpx.Response(200, stream=Endless()))
    error = failure(lambda: transport(answer, max_reply_bytes=10 * 1024).get("/x"))
    assert isinstance(error, Malformed)
    assert "10 KiB" in str(error)
    assert read <= 12 * 1024


def test_a_reply_that_dribbles_for_ever_ends_at_the_deadline() -> None:
    class Dribble(httpx.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            yield b"["
            await asyncio.Event().wait()

    answer, _ = in_turn(httpx.Response(200, stream=Dribble()))
    error = failure(lambda: transport(answer, timeout_s=0.05, attempts=1).get("/x"))
    assert isinstance(error, Unreachable)
    assert "no answer within 0.05 s" in str(error)


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff", b"[" * 200_000, b'{"a": "text"}', b'{"a": 1} trailing'])
def test_an_undecodable_reply_is_malformed_and_names_the_place(raw: bytes) -> None:
    with pytest.raises(Malformed, match="acme: GET /x: "):
        decode("acme", "GET /x", raw, dict[str, int])


def test_a_garbled_compressed_reply_is_malformed() -> None:
    answer, _ = in_turn(httpx.Response(200, headers={"Content-Encoding": "gzip"}, stream=_Bytes(b"not gzip")))
    assert isinstance(failure(lambda: transport(answer).get("/x")), Malformed)


class _Bytes(httpx.AsyncByteStream):
    def __init__(self, content: bytes) -> None:
        self._content = content

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._content


@pytest.mark.parametrize("url", ["", "api.acme.test", "ftp://a.test", "https://", "https://a.test:notaport", "wss://a"])
def test_a_url_that_is_none_is_a_config_error(url: str) -> None:
    with pytest.raises(ConfigError, match=r"acme: the url must start with https:// or http://"):
        checked_url("acme", url, "https", "http")


def test_a_trailing_slash_of_a_url_is_dropped() -> None:
    assert checked_url("acme", "http://127.0.0.1:9001/", "http") == "http://127.0.0.1:9001"


def test_only_this_machine_is_loopback() -> None:
    assert is_loopback("http://127.0.0.1:8545")
    assert is_loopback("ws://localhost:1")
    assert is_loopback("http://[::1]:80")
    assert not is_loopback("https://api.acme.test")


def test_a_missing_or_wrong_tls_file_is_a_config_error(tmp_path: Any) -> None:
    wrong = tmp_path / "ca.pem"
    wrong.write_text("no certificate")
    for path in (str(tmp_path / "absent.pem"), str(wrong)):
        with pytest.raises(ConfigError, match="tls_ca"):
            tls_context(path)


def test_a_transport_works_again_after_it_was_closed() -> None:
    answer, asked = in_turn(*[httpx.Response(200, content=b"1")] * 2)

    async def twice() -> None:
        async with contextlib.aclosing(transport(answer)) as http:
            await http.get("/x")
            await http.aclose()
            await http.get("/x")

    run(twice)
    assert len(asked) == 2
