"""Bars and rules: what they say at every width."""

import asyncio

import pytest
from textual.app import App, ComposeResult

from widgets.bars import Bar, HeaderBar, KeyBar, Section, SectionRule, bar_line, rule_line
from widgets.lines import length, plain
from widgets.tones import Ground, Phrase, Tone

HEADER = Bar(
    left=(
        Phrase.of("marginline", Tone.STRONG),
        Phrase.of("read-only"),
        Phrase.of("12 accounts", rank=2),
        Phrase.of("equity 237,709 $", rank=3),
    ),
    right=(Phrase.of("· 5", rank=1), Phrase.of("!! 2", Tone.DANGER), Phrase.of("10:00:14 UTC")),
)


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (80, " marginline  read-only  12 accounts  equity 237,709 $   · 5  !! 2  10:00:14 UTC "),
        (70, " marginline  read-only  12 accounts           · 5  !! 2  10:00:14 UTC "),
        (50, " marginline  read-only    · 5  !! 2  10:00:14 UTC "),
        (45, " marginline  read-only    !! 2  10:00:14 UTC "),
        (40, " marginline          !! 2  10:00:14 UTC "),
        (30, "           !! 2  10:00:14 UTC "),
        (10, " 10:00:14…"),
    ],
)
def test_whole_phrases_go_by_rank_and_the_right_side_stays(width: int, expected: str) -> None:
    assert plain(bar_line(HEADER, width, 2)) == expected


def test_the_last_phrase_standing_is_cropped() -> None:
    assert plain(bar_line(Bar((Phrase.of("marginline"),)), 6, 2)) == " marg…"


def test_a_ground_fills_the_whole_bar() -> None:
    line = bar_line(Bar((Phrase.of("main"),), (Phrase.of("r now"),), Ground.DROWNED), 40, 3)
    assert {span.ground for span in line} == {Ground.DROWNED}


def test_an_empty_bar_is_blank() -> None:
    assert plain(bar_line(Bar(), 12, 2)) == " " * 12


def test_hostile_text_in_a_bar_is_inert_and_bounded() -> None:
    line = bar_line(Bar((Phrase.of("\x1b]52;c;x\x07" + "W" * 10_000),)), 60, 2)
    assert length(line) == 60
    assert plain(line).startswith(" _]52;c;x_WWW")


def test_a_rule_drops_its_note_before_it_crops_its_title() -> None:
    section = Section("prices", "+ = market above oracle")
    assert plain(rule_line(section, 50)) == "── prices ────────────── + = market above oracle ─"
    assert plain(rule_line(section, 30)) == "── prices ────────────────────"
    assert plain(rule_line(section, 6)) == "── pr…"


def test_a_focused_rule_is_heavy() -> None:
    line = rule_line(Section("prices", is_focused=True), 20)
    assert plain(line) == "━━ prices ──────────"
    assert line[0].tone is Tone.KEY


def test_bars_run_alone_and_repaint_on_a_new_model() -> None:
    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield HeaderBar()
            yield SectionRule()
            yield KeyBar()

    async def scenario() -> None:
        app = Alone()
        async with app.run_test(size=(60, 5)) as pilot:
            app.query_one(HeaderBar).model = HEADER
            app.query_one(SectionRule).model = Section("legs")
            app.query_one(KeyBar).model = Bar((Phrase.key("enter", "detail"),), (Phrase.key("?", "help"),))
            await pilot.pause()
            assert app.query_one(HeaderBar).text_lines[0].startswith(" marginline  read-only")
            assert app.query_one(SectionRule).text_lines == ("── legs " + "─" * 52,)
            assert app.query_one(KeyBar).text_lines[0].split() == ["enter", "detail", "?", "help"]

    asyncio.run(scenario())
