"""The verdict, the header, the sources and the keys."""

from dataclasses import replace

from desk.snapshot import Snapshot, SourceState
from providers.ports import LinkState
from tests.tui import frames
from tui import present_bars
from tui.view import Sort, UiSettings, View
from widgets.bars import Bar, bar_line
from widgets.lines import plain
from widgets.tones import Ground, Tone


def text(bar: Bar, width: int = 200, gap: int = 2) -> str:
    return " ".join(plain(bar_line(bar, width, gap)).split())


def test_the_verdict_is_the_worst_account_as_a_sentence() -> None:
    bar = present_bars.verdict(frames.frame())
    assert text(bar, 118, 3) == (
        "!! DANGER main 1.083 oracle 1.074 market ETH -7.7 % to 2,290.0 next print 1.074 2.3 σ-days"
    )
    assert bar.ground is Ground.DROWNED


def test_whole_phrases_drop_from_the_least_important_on() -> None:
    bar = present_bars.verdict(frames.frame())
    assert text(bar, 70, 3) == "!! DANGER main 1.083 oracle 1.074 market ETH -7.7 % to 2,290.0"
    assert text(bar, 45, 3) == "!! DANGER main 1.083 oracle"


def test_a_stale_account_is_never_called_safe() -> None:
    bar = present_bars.verdict(frames.frame(frames.snapshot([frames.state(frames.SAFE, age_s=300, is_stale=True)])))
    assert text(bar).startswith("? UNKNOWN no reading is younger than 5m00s nothing below is vouched for")


def test_an_unknown_account_ranks_before_a_watched_one_and_says_for_how_long() -> None:
    taken = frames.snapshot([frames.state(frames.LOST, age_s=252, is_stale=True), frames.state(frames.SHORT)])
    said = text(present_bars.verdict(frames.frame(taken)))
    assert said.startswith("? UNKNOWN bybit-sol 14.984? mark")
    assert "no reading for 4m12s" in said


def test_a_vanished_account_says_what_happened_instead_of_its_age() -> None:
    lost = frames.state(frames.LOST, age_s=252, is_stale=True)
    gone = replace(lost, assessment=replace(lost.assessment, severity_because="gone from its source"))
    said = text(present_bars.verdict(frames.frame(frames.snapshot([gone, frames.state(frames.SAFE)]))))
    assert "gone from its source" in said


def test_the_second_account_in_danger_is_named_too() -> None:
    twin = frames.state(replace(frames.MAIN, name="second"))
    said = text(present_bars.verdict(frames.frame(frames.snapshot([frames.state(frames.MAIN), twin]))))
    assert "also second 1.083" in said


def test_safe_accounts_give_a_quiet_verdict() -> None:
    bar = present_bars.verdict(frames.frame(frames.snapshot([frames.state(frames.SAFE)])))
    assert text(bar).startswith("· SAFE spark 3.432 oracle 3.402 market")
    assert bar.ground is Ground.NONE


def test_freeze_silence_and_a_held_order_are_said() -> None:
    frozen = frames.frame(view=View(frozen_for_ns=12 * frames.S))
    assert text(present_bars.verdict(frozen)).startswith("frozen 12s")
    held = replace(frames.frame(), is_held=True)
    assert text(present_bars.verdict(held)).endswith("order held, s")
    silent = replace(frames.frame(), is_silent=True)
    assert "no news from the desk since 10:00:14" in text(present_bars.verdict(silent))


def test_without_accounts_the_verdict_says_what_is_awaited() -> None:
    waiting = frames.snapshot([])
    assert text(present_bars.verdict(frames.frame(waiting))) == "reading accounts"
    assert text(present_bars.verdict(frames.frame(Snapshot(0, 0)))) == "no accounts"


def test_the_header_counts_severities_worst_first_and_adds_up() -> None:
    said = text(present_bars.header(frames.frame()))
    assert said == ("marginline read-only 5 accounts equity 63,799? $ owed 57,900? $ !! 1 ? 1 o 1 · 2 10:00:14 UTC")


def test_the_header_names_a_simulated_market_and_a_mask() -> None:
    taken = frames.snapshot(simulated="crash")
    said = text(present_bars.header(frames.frame(taken, View(is_masked=True), UiSettings(label="read-only"))))
    assert "SIMULATED crash read-only masked" in said
    assert "63,799" not in said


def test_a_sum_with_an_unknown_or_foreign_part_is_not_shown() -> None:
    taken = frames.snapshot([frames.state(frames.MAIN), frames.state(replace(frames.SAFE, quote="EUR"))])
    said = text(present_bars.header(frames.frame(taken)))
    assert "equity" not in said


def test_sick_sources_come_first_by_name_with_their_age() -> None:
    said = text(present_bars.feeds(frames.frame()))
    assert said == "feeds bybit-sol down 4m 2 live oldest main 12s │ push ok 3m │ 1 alert new"


def test_many_sick_sources_are_counted() -> None:
    sources = tuple(SourceState(f"s{n}", "account", LinkState.DOWN, frames.NOW) for n in range(9))
    said = text(present_bars.feeds(frames.frame(frames.snapshot(sources=sources))))
    assert said.startswith("feeds 9 down")


def test_a_push_that_fails_is_told_in_danger() -> None:
    sources = (SourceState("notify", "notify", LinkState.DOWN, frames.NOW - 180 * frames.S),)
    bar = present_bars.feeds(frames.frame(frames.snapshot(sources=sources)))
    assert ("failed 3m", Tone.DANGER) in [(cell.text, cell.tone) for phrase in bar.left for cell in phrase.cells]


def test_help_is_the_last_key_to_go_and_the_sort_is_named() -> None:
    bar = present_bars.keys((("enter", "detail"), ("s", "sort")), sort=Sort.BUFFER)
    assert text(bar, 80) == "enter detail s sort: buffer 1-5 panes ? help"
    assert text(bar, 24) == "enter detail ? help"
