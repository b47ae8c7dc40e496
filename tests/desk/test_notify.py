"""Sending: in its own thread and time, with failures told and secrets kept."""

import asyncio
import threading

import pytest

from desk.notify import Notifier, apprise_sender, joined
from desk.settings import DeskSettings
from providers.errors import ConfigError
from tests.doubles import Outbox

SECRET = "tk_very_secret_token"
URL = f"ntfys://user:{SECRET}@ntfy.example/topic"


def test_a_message_reaches_every_url() -> None:
    outbox = Outbox()
    result = asyncio.run(Notifier([URL, lambda: "json://b"], sender=outbox).send("title", "body"))
    assert result.ok
    assert result.delivery == "push ok"
    assert outbox.messages == [("title", "body")] * 2


def test_one_service_that_refuses_is_named_without_its_url() -> None:
    outbox = Outbox(failures=["refused with status 403"])
    result = asyncio.run(Notifier([URL, "json://b"], sender=outbox).send("title", "body"))
    assert not result.ok
    assert result.delivery == "push failed: ntfys #1: refused with status 403"
    assert len(outbox.messages) == 2


def test_no_text_and_no_repr_carries_the_secret(caplog: pytest.LogCaptureFixture) -> None:
    def leaking(url: str, title: str, body: str) -> str:
        raise ValueError(f"cannot reach {url}")

    notifier = Notifier([URL], sender=leaking)
    result = asyncio.run(notifier.send("title", "body"))
    assert result.detail == "ntfys #1: ValueError"
    told = f"{result!r} {notifier!r} {DeskSettings(notify_urls=(URL,))!r} {caplog.text}"
    assert SECRET not in told


def test_a_reference_that_can_not_be_resolved_fails_in_its_own_words() -> None:
    def unresolved() -> str:
        raise ConfigError("env:NTFY_URL is not set")

    result = asyncio.run(Notifier([unresolved], sender=Outbox()).send("title", "body"))
    assert result.delivery == "push failed: #1: env:NTFY_URL is not set"


def test_a_service_that_hangs_is_left_behind_and_never_holds_the_loop() -> None:
    release = threading.Event()

    def hanging(url: str, title: str, body: str) -> str:
        release.wait(5)
        return ""

    async def story() -> list[str]:
        notifier = Notifier([URL], timeout_s=0.01, sender=hanging)
        try:
            return [(await notifier.send("title", "body")).detail for _ in range(5)]
        finally:
            release.set()

    details = asyncio.run(story())
    assert details[:4] == ["no answer within 0.01 s"] * 4
    assert details[4] == "4 earlier messages still hang"


def test_without_a_url_nothing_is_sent_and_it_says_so() -> None:
    notifier = Notifier([])
    assert not notifier.is_configured
    result = asyncio.run(notifier.test())
    assert result.delivery == "push failed: no notify url is configured"


def test_a_test_message_says_that_it_is_one() -> None:
    outbox = Outbox()
    assert asyncio.run(Notifier([URL], sender=outbox).test()).ok
    assert outbox.messages[0][0] == "marginline: test"


@pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")  # Apprise's own import
def test_apprise_refuses_what_is_no_url_and_reports_a_closed_port_without_raising() -> None:
    assert apprise_sender("no-such-service://x", "title", "body") == "not a URL that Apprise knows"
    assert apprise_sender(f"json://user:{SECRET}@127.0.0.1:9/", "title", "body") == "unreachable or refused"


def test_a_long_list_is_cut_and_counted() -> None:
    assert joined(["a", "b", "c"], limit=3) == "a\nb\nc"
    assert joined(["a", "b", "c"], limit=2) == "a\nb\nand 1 more"
