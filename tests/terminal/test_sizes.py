"""The demo in a real terminal: whole at every size, in every scenario, in every locale."""

import os
import re

import pyte
import pytest

from benchmarks.terminal import Program
from providers.simulated.scenarios import SCENARIOS
from tests.marginline.command import MARGINLINE
from tests.terminal.programs import SIZES, assert_framed, command, running
from tests.terminal.tmux import Terminal

ACCOUNTS = ("main", "hl-short", "kraken-fut", "vault-old")


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_the_demo_fills_the_terminal_and_never_more(size: tuple[int, int]) -> None:
    with running("demo", size=size, until="vault-old") as terminal:
        picture = terminal.wait_for(lambda it: "live" in it.lines[-2] and "connecting" not in it.lines[-2])
        assert_framed(picture, size[1], ACCOUNTS)
        assert "SIMULATED calm" in picture.lines[0]
        assert "DANGER" in picture.lines[1]
        assert "ETH" in picture.lines[1]
        assert picture.is_alternate
        assert not picture.shows_cursor
        columns = re.split(r" +", picture.line_with("ACCOUNT").strip())
        assert columns[:2] == (["ACCOUNT", "HEALTH"] if size[0] < 91 else ["ACCOUNT", "VENUE"])
        assert ("LEG" in picture) is ("── alerts" in picture) is (size != (80, 24))
        assert ("what if all assets move" in picture) is (size == (200, 50))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_every_scenario_starts(scenario: str) -> None:
    with running("demo", "--scenario", scenario, size=(80, 24), until="vault-old") as terminal:
        picture = terminal.picture()
        assert_framed(picture, 24, ACCOUNTS)
        assert f"SIMULATED {scenario}" in picture


def test_a_locale_without_utf8_gets_ascii_alone() -> None:
    with running("demo", until="vault-old", LANG="C") as terminal:
        assert_ascii(terminal.wait_for("1.00 line").text)
    with running("demo", "--ascii", until="vault-old") as terminal:
        assert_ascii(terminal.wait_for("1.00 line").text)


def assert_ascii(shown: str) -> None:
    assert shown.isascii(), {char for char in shown if not char.isascii()}
    assert "_" not in re.sub(r"health_\w*", "", shown)
    assert "SIMULATED" in shown
    assert "-- prices" in shown


def test_a_client_without_utf8_reads_every_number() -> None:
    with running("demo", size=(80, 24), until="vault-old") as terminal:
        client = Program.start(terminal.attach_command(), 80, 24, {**os.environ, "LC_ALL": "C", "TMUX": ""})
        screen = pyte.Screen(80, 24)
        stream = pyte.ByteStream(screen)
        stream.feed(client.read(10, until=lambda seen: b"help" in seen))
        client.stop()
    numbers = re.findall(r"[_-][\d.]+ %|\s[_-][\d.]+\s", "\n".join(screen.display))
    assert len(numbers) > 5
    assert not [number for number in numbers if "_" in number]


def test_a_terminal_that_is_too_small_shows_what_fits() -> None:
    for size in ((40, 12), (20, 5)):
        with Terminal(*size) as terminal:
            terminal.run(command("demo"))
            picture = terminal.wait_for(lambda it: "main" in it or "marginline" in it.lines[0])
            assert picture.widest <= size[0]
            assert len(picture.lines) == size[1]
            terminal.press("q")
            terminal.wait_for("code=0")


def test_the_screen_needs_a_terminal_on_every_stream() -> None:
    with Terminal(80, 24) as terminal:
        for number, redirected in enumerate(("</dev/null", "2>/dev/null", ">/dev/null")):
            terminal.run(f"clear; {MARGINLINE} demo {redirected}; echo run{number} code=$?")
            picture = terminal.wait_for(f"run{number} code=2")
            assert not picture.is_alternate
            assert ("stdin, stdout and stderr" in picture) is (redirected != "2>/dev/null")
