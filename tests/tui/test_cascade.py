"""The cascade pane: figures as they were answered, reasons in words, keys at every size, failures that end nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from textual.pilot import Pilot

from desk.snapshot import Snapshot
from marginline.cascade_pane import Cascades, demo_cascades
from marginline.cascade_wish import Wish
from tests.tui import frames
from tests.tui.frames import HandDesk
from tui import numbers, present_cascade
from tui.app import DashboardApp
from tui.cascade_like import CascadeDesk, CascadeFound
from tui.export import screen_text
from tui.present_method import method
from tui.screen_cascade import CascadeScreen
from tui.view import Frame, UiSettings, View
from widgets.facts import Text

MARKET = Wish("prior", pools=("120000",), borrowers=300, debt=2e8, seed=5, volatility=1.5, paths=64)
WORKED_OUT = asyncio.run(Cascades({"ETH": MARKET}).cascade_of(frames.snapshot(), "main", with_paths=True))


def frame(found: CascadeFound = WORKED_OUT, taken: Snapshot | None = None, view: View | None = None) -> Frame:
    return replace(frames.frame(taken, view or View(selected="main")), worked_out=found)


def lines(text: Text) -> list[str]:
    return ["".join(cell.text for cell in line) for line in text.lines]


def pane(shown: Frame, width: int = 120) -> str:
    return "\n".join(lines(present_cascade.cascade(shown, width)))


def changed(found: CascadeFound, path: tuple[str, ...], value: object) -> CascadeFound:
    """Return the answer with one figure replaced."""
    answer: dict[str, Any] = dict(found.answer or {})
    inner = answer
    for name in path[:-1]:
        inner[name] = dict(inner[name])
        inner = inner[name]
    inner[path[-1]] = value
    return replace(found, answer=answer)


def test_every_figure_of_the_pane_is_one_of_the_answer() -> None:
    answer: dict[str, Any] = dict(WORKED_OUT.answer or {})
    shown = pane(frame())
    for row in answer["shocks"]:
        static = row["static"]
        figures = (
            numbers.price(Decimal(row["exogenous_prices"]["ETH"]), 1),
            numbers.signed_percent(-Decimal(static["endogenous_drop"])),
            numbers.debt(Decimal(static["liquidated_debt"])),
            numbers.debt(Decimal(static["bad_debt"])),
        )
        (line,) = [one for one in shown.splitlines() if f" {figures[0]} " in one]
        assert line.split()[1] == figures[0]
        assert line.split()[3:] == list(figures[1:])
    for shock, figure in answer["watch"]["r0"].items():
        assert f"at {(Decimal(shock) * 100).normalize():f} % {numbers.multiple(Decimal(figure))}" in shown
    account, paths = answer["account"], answer["dynamic"]
    assert f"main is number {account['rank']} of 301 in the queue" in shown
    assert f"debt ahead {numbers.debt(Decimal(account['debt_ahead']))} $; liquidated at 2,290.0" in shown
    for key in ("alone", "cascade"):
        figures = (
            numbers.distance(Decimal(account[f"shock_{key}"]), falls=True),
            numbers.sigma_days(Decimal(account[f"sigma_days_{key}"])),
            numbers.chance(float(account[f"chance_{key}"])),
        )
        assert any(one.split()[-3:] == list(figures) for one in shown.splitlines())
    share, error = (numbers.chance(float(account[f"chance_simulated{part}"])) for part in ("", "_error"))
    assert f"reached in {share} % of {paths['paths']} simulated paths of 24h, standard error {error} %" in shown
    first = account["liquidators"]["first"]
    assert f"profit {numbers.cents(Decimal(first['profit']), 'ROUND_FLOOR')} $ on" in shown


def test_a_drawn_book_is_labelled_at_any_width_and_the_market_has_its_size_and_age() -> None:
    assert present_cascade.section(frame()).title == f"cascade of ETH around main: {present_cascade.DRAWN}"
    said = " ".join(lines(present_cascade.market(frame(), 120)))
    assert "301 loans, debt 200.1M $, of a prior of 300 borrowers, seed 5: drawn, not read from a market" in said
    assert "a constant-product pool of 120,000 units, ETH at 2,481.0" in said
    read = replace(WORKED_OUT, is_drawn=False, book_at_ns=frames.NOW - 7200 * frames.S)
    assert present_cascade.DRAWN not in present_cascade.section(frame(read)).title
    assert "2h old" in " ".join(lines(present_cascade.market(frame(read), 120)))
    simulated = frame(taken=replace(frames.snapshot(), simulated="calm"))
    assert present_cascade.MADE_UP in " ".join(lines(present_cascade.market(simulated, 120)))


@pytest.mark.parametrize(
    ("path", "value", "says"),
    [
        (("watch", "r0"), {"-0.05": "0.4", "-0.1": "1.02", "-0.15": "2"}, "at -10, -15 % a fall feeds itself"),
        (("watch", "r0"), {"-0.05": "0.4", "-0.1": "0.99", "-0.15": "0.9901"}, "at -15 % a fall feeds itself"),
        (("watch", "r0"), {"-0.05": "0.4", "-0.1": "0.5"}, "falls die out: a further 1 % sets off at most 0.50 % more"),
        (("watch", "throughput_over_replenishment"), "0.8", "0.80: the market takes up as fast"),
        (("watch", "throughput_over_replenishment"), None, "throughput over replenishment unknown: "),
        (("account", "chance_simulated"), "0", "reached in none of 64 simulated paths of 24h"),
        (("account", "liquidatable"), True, "it is at or past its liquidation price now"),
        (("book", "liquidatable_now"), {"loans": 3, "debt": "1200"}, "liquidatable now: 3 loans, debt 1,200"),
        (("account", "liquidators", "profitable_from"), None, "a call pays at no price down to"),
        (("account", "liquidators", "raises_health"), False, "it lowers its health"),
    ],
)
def test_what_figures_mean_is_said_in_words(path: tuple[str, ...], value: object, says: str) -> None:
    assert says in pane(frame(changed(WORKED_OUT, path, value)))


def test_unknown_chances_are_marked_and_paths_to_come_are_announced() -> None:
    lacking = WORKED_OUT
    for part in ("sigma_days_alone", "sigma_days_cascade", "chance_alone", "chance_cascade"):
        lacking = changed(lacking, ("account", part), None)
    shown = pane(frame(changed(lacking, ("account", "because"), "volatility unknown")))
    assert present_cascade.NO_VOLATILITY in shown
    (line,) = [one for one in shown.splitlines() if "its price alone" in one]
    assert line.split()[-2:] == ["?", "?"]
    assert present_cascade.NO_PATHS_YET in pane(frame(replace(WORKED_OUT, is_whole=False)))


def test_a_mask_hides_what_the_account_is_worth_and_nothing_of_the_market() -> None:
    masked = pane(frame(view=View(selected="main", is_masked=True)))
    assert f"profit {numbers.MASK} $ on {numbers.MASK} $" in masked
    first: dict[str, Any] = dict(WORKED_OUT.answer or {})["account"]["liquidators"]["first"]
    assert numbers.cents(Decimal(first["repay"])) in pane(frame())
    assert numbers.cents(Decimal(first["repay"])) not in masked


def test_a_stale_account_is_marked_and_another_accounts_cascade_is_not_shown() -> None:
    stale = frames.snapshot([frames.state(frames.MAIN, is_stale=True)])
    assert "the account is stale" in " ".join(lines(present_cascade.market(frame(taken=stale), 120)))
    shown, sound = pane(frame(taken=stale)), pane(frame())
    assert "liquidated at 2,290.0?" in shown
    assert all(word.endswith("?") for one in shown.splitlines() if "its price alone" in one for word in one.split()[3:])
    assert "?" not in sound
    assert "being worked out" in pane(frame(view=View(selected="spark")))
    assert present_cascade.section(frame(view=View(selected="spark"))).title == "cascade around spark"


def test_the_method_overlay_tells_of_a_cascade_once_it_was_worked_out() -> None:
    told = "\n".join(lines(method(frame(), 120)))
    assert "a prior of 300 borrowers, seed 5" in told
    assert "baseline of its chances: closed form without drift" in told
    assert "64 paths of 24h" in told
    assert "a prior of" not in "\n".join(lines(method(frames.frame(), 120)))


Work = Callable[[DashboardApp, "Pilot[str]", HandDesk], Awaitable[None]]


def run(work: Work, cascades: CascadeDesk | None, size: tuple[int, int] = (120, 40), *, is_ascii: bool = False) -> None:
    """Run `work` on the app with someone who works out cascades."""

    async def running() -> None:
        desk = HandDesk(frames.snapshot())
        settings = UiSettings(is_live=False, is_ascii=is_ascii)
        made = None if cascades is None else lambda: cascades
        app = DashboardApp(desk, settings=settings, cascades=made)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            app.paint_again()
            async with asyncio.timeout(30):
                await work(app, pilot, desk)

    asyncio.run(running())


async def until(app: DashboardApp, pilot: "Pilot[str]", words: str) -> str:
    while words not in screen_text(app):
        await pilot.pause(0.02)
    return screen_text(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (200, 50)])
def test_the_keys_open_it_move_through_accounts_and_scroll(size: tuple[int, int]) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("9")
        assert isinstance(app.screen, CascadeScreen)
        shown = await until(app, pilot, "cascade of ETH around main: a drawn prior, no real book")
        assert "R0" in shown
        await pilot.press("end")
        await until(app, pilot, "assumed: the book is a prior")
        assert present_cascade.DRAWN in screen_text(app)
        await pilot.press("j")
        await until(app, pilot, "bybit-sol is no loan")
        await pilot.press("escape", "c")
        assert isinstance(app.screen, CascadeScreen)

    run(work, demo_cascades(7), size)


def test_it_is_pure_ascii_where_the_terminal_is() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("c")
        await until(app, pilot, "S-DAYS")
        await pilot.press("dollar_sign")
        assert screen_text(app).isascii()

    run(work, demo_cascades(7), is_ascii=True)


class Broken:
    """Works nothing out: it fails, with words that must not be shown."""

    def __init__(self) -> None:
        self.asked: list[bool] = []

    async def cascade_of(self, snapshot: Snapshot, account: str, *, with_paths: bool) -> CascadeFound:
        """Fail."""
        self.asked.append(with_paths)
        raise RuntimeError("https://node.example/secret-in-a-url")


def test_a_failure_is_said_in_words_and_the_dashboard_goes_on() -> None:
    broken = Broken()

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("c")
        shown = await until(app, pilot, "unknown: it could not be worked out (RuntimeError)")
        assert "secret" not in shown
        await pilot.pause(0.1)
        assert broken.asked == [False]  # not again before a minute has passed
        desk.snapshot = replace(desk.snapshot, sequence=2, taken_at_ns=frames.NOW + 61 * frames.S)
        while broken.asked != [False, False]:
            await pilot.pause(0.02)
        await pilot.press("1")
        assert "hl-short" in screen_text(app)

    run(work, broken)


def test_where_nobody_works_them_out_that_is_said() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk) -> None:
        await pilot.press("c")
        await until(app, pilot, present_cascade.NOBODY)

    run(work, None)
