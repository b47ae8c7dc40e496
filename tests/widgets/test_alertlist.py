"""The alert list and the first-run page."""

import asyncio

import pytest
from textual.app import App, ComposeResult

from widgets.alertlist import AlertList, AlertRow, Alerts, alert_layout
from widgets.empty import Choice, Empty, EmptyState
from widgets.lines import length, plain
from widgets.tones import Cell, Tone

ROW = AlertRow(
    "severity:main",
    Cell("09:58:40", Tone.MUTED),
    Cell("!!", Tone.DANGER),
    Cell("main", Tone.STRONG),
    Cell("health 1.142 to 1.083, below 1.15"),
    Cell("push ok", Tone.MUTED),
    Cell("new", Tone.ACCENT),
)
EMPTY = Empty(
    "No accounts yet.",
    "A public address is enough to watch. No key is needed.",
    (Choice("d", "demo", "a simulated market, offline"), Choice("i", "init", "add an address")),
    "config  ~/.config/marginline/config.toml (not found)",
)


@pytest.mark.parametrize(
    ("width", "expected"),
    [
        (50, " 09:58 !! main        health 1.142 to 1.083, belo…"),
        (80, " 09:58:40 !! main        health 1.142 to 1.083, below 1.15                  new"),
        (
            120,
            " 09:58:40 !! main        health 1.142 to 1.083, below 1.15" + " " * 38 + "push ok" + " " * 13 + "new",
        ),
    ],
)
def test_an_alert_reads_at_every_width(width: int, expected: str) -> None:
    assert plain(alert_layout(width).line(ROW)).rstrip() == expected


def test_every_alert_line_has_its_width() -> None:
    hostile = Cell("\x07[b]日\u202e" * 3000)
    for width in range(20, 201):
        for row in (ROW, AlertRow("k", hostile, hostile, hostile, hostile, hostile, hostile)):
            line = alert_layout(width).line(row)
            assert length(line) == width
            assert plain(line).isprintable()


def test_alerts_are_walked_and_chosen() -> None:
    class Alone(App[None]):
        def __init__(self) -> None:
            super().__init__()
            self.chosen: list[str | None] = []

        def compose(self) -> ComposeResult:
            yield AlertList()

        def on_alert_list_chosen(self, message: AlertList.Chosen) -> None:
            self.chosen.append(message.key)

    async def scenario() -> None:
        app = Alone()
        async with app.run_test(size=(80, 4)) as pilot:
            alerts = app.query_one(AlertList)
            await pilot.pause()
            assert alerts.cursor_key is None
            rows = tuple(
                AlertRow(f"k{index}", ROW.time, ROW.glyph, Cell(f"account{index}"), ROW.text) for index in range(9)
            )
            alerts.model = Alerts(rows)
            await pilot.pause()
            await pilot.press("G", "enter", "g")
            await pilot.click(AlertList, offset=(4, 2))
            await pilot.press("enter")
            assert app.chosen == ["k8", "k2"]
            assert alerts.text_lines[2].startswith("▌09:58:40 !! account2")
            alerts.model = Alerts(nothing="nothing fired")
            await pilot.pause()
            assert alerts.text_lines[0] == " nothing fired"

    asyncio.run(scenario())


@pytest.mark.parametrize("size", [(120, 40), (80, 24), (40, 12), (30, 5)])
def test_the_first_run_page_offers_its_choices(size: tuple[int, int]) -> None:
    class Alone(App[None]):
        def compose(self) -> ComposeResult:
            yield EmptyState()

    async def scenario() -> None:
        app = Alone()
        async with app.run_test(size=size) as pilot:
            page = app.query_one(EmptyState)
            page.model = EMPTY
            await pilot.pause()
            shown = [line.strip() for line in page.text_lines if line.strip()]
            assert "No accounts yet." in shown[:2]
            choices = [line for line in shown if line.startswith(("d  demo", "i  init"))]
            assert len(choices) == 2
            if size[0] >= 80:
                assert shown[0].startswith("░░░░░┃───")
                assert shown[2:] == [
                    "A public address is enough to watch. No key is needed.",
                    "d  demo    a simulated market, offline",
                    "i  init    add an address",
                    "config  ~/.config/marginline/config.toml (not found)",
                ]

    asyncio.run(scenario())
