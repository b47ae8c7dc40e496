"""Legs, facts and plain lines."""

import asyncio

import pytest
from textual.app import App, ComposeResult

from widgets.facts import Fact, FactList, Facts, LegRow, Legs, LegTable, Text, TextLines, leg_layout
from widgets.lines import length, plain
from widgets.tones import Cell, Tone

LEGS = Legs(
    (
        LegRow(
            Cell("+ ETH"), Cell("24.1500"), Cell("59,916"), Cell("0.830"), Cell("+1.5"), Cell("2,481.0"), Cell("12s")
        ),
        LegRow(Cell("- USDC"), Cell("-38,400.00"), Cell("-38,400"), rate=Cell("-5.2"), price=Cell("1.0000")),
    )
)


class PaneApp(App[None]):
    def compose(self) -> ComposeResult:
        yield LegTable()
        yield Facts()
        yield TextLines()


def test_legs_facts_and_lines_take_the_height_of_their_rows() -> None:
    async def scenario() -> None:
        app = PaneApp()
        async with app.run_test(size=(68, 12)) as pilot:
            legs, facts, lines = app.query_one(LegTable), app.query_one(Facts), app.query_one(TextLines)
            legs.model = LEGS
            facts.model = FactList((Fact("to the line", (Cell("-6.9 %", Tone.DANGER),)), Fact("at market", ())))
            lines.model = Text(((Cell("rule     "), Cell("health < 1.15", Tone.MUTED)), ()))
            await pilot.pause()
            assert legs.text_lines == (
                "  LEG                  AMOUNT    VALUE $  THRESH  RATE %      PRICE",
                "  + ETH               24.1500     59,916   0.830    +1.5    2,481.0",
                "  - USDC           -38,400.00    -38,400            -5.2     1.0000",
            )
            assert facts.text_lines == ("  to the line" + " " * 48 + "-6.9 %", "  at market")
            assert lines.text_lines == (" rule     health < 1.15", "")
            facts.model = FactList((Fact("because", (Cell("x" * 63),)), Fact("because", (Cell("x" * 60),))))
            await pilot.pause()
            assert [line.split()[0] for line in facts.text_lines] == ["x" * 63, "bec…"]
            legs.model = Legs(threshold_header="MAINT", nothing="no positions")
            await pilot.pause()
            assert legs.text_lines[0].split() == ["LEG", "AMOUNT", "VALUE", "$", "MAINT", "RATE", "%", "PRICE"]
            assert legs.text_lines[1:] == ("  no positions",)

    asyncio.run(scenario())


def test_legs_that_do_not_fit_are_counted() -> None:
    async def scenario() -> None:
        app = PaneApp()
        async with app.run_test(size=(68, 12)) as pilot:
            legs = app.query_one(LegTable)
            legs.styles.height = 4
            legs.model = Legs(LEGS.rows * 5)
            await pilot.pause()
            assert len(legs.text_lines) == 4
            assert legs.text_lines[3] == "  8 more legs"

    asyncio.run(scenario())


def test_a_wider_pane_adds_the_age() -> None:
    assert plain(leg_layout(80, "THRESH").heading()).split()[-1] == "AGE"
    assert plain(leg_layout(41, "THRESH").heading()).split() == ["LEG", "AMOUNT", "VALUE", "$"]


@pytest.mark.parametrize("width", range(20, 201, 9))
def test_every_leg_line_has_its_width(width: int) -> None:
    hostile = Cell("\x1b[31m" + "日" * 4000)
    for row in (*LEGS.rows, LegRow(hostile, hostile, hostile, hostile, hostile, hostile, hostile)):
        line = leg_layout(width, "THRESH").line(row)
        assert length(line) == width
        assert plain(line).isprintable()


def test_a_long_label_gives_way_to_its_value() -> None:
    async def scenario() -> None:
        app = PaneApp()
        async with app.run_test(size=(24, 4)) as pilot:
            facts = app.query_one(Facts)
            facts.model = FactList((Fact("liquidation price of ETH", (Cell("2,309.4"),)),))
            await pilot.pause()
            assert facts.text_lines == ("  liquidation … 2,309.4",)

    asyncio.run(scenario())
