"""The plan on screen: choosing, confirming, and every reason why enter sends nothing."""

import subprocess
import sys
from dataclasses import replace
from decimal import Decimal

import pytest
from textual.pilot import Pilot

from engine.rescue import Plan, Target
from providers.errors import Unreachable
from tests.tui import frames
from tests.tui.fake_rescue import PLAN, REPAY, SUPPLY, UNKNOWN, HandRescue, moved, run, until
from tests.tui.frames import HandDesk
from tui import present_plan
from tui.app import DashboardApp
from tui.export import screen_text
from tui.present_plan import PlanView
from tui.screen_main import MainScreen
from tui.screen_plan import PlanScreen
from tui.screen_send import SendScreen


def armed() -> HandRescue:
    return HandRescue(armed=True)


def test_a_plan_shows_its_alternatives_and_what_is_lost_otherwise() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t")
        shown = await until(app, pilot, "rescue main to health 1.50")
        for words in ("1 repay USDC", "2 supply ETH", "3 deleverage ETH", "12,741.2 USDC", "planned 4.0s ago at block"):
            assert words in shown
        assert "lose 1,149 $ at the line" in shown
        assert "its swap is not executed" in shown
        assert rescue.planned == [("main", None)]

    run(work)


def test_the_plan_is_of_the_account_under_the_cursor() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("j", "j", "t")
        await until(app, pilot, "rescue hl-short")
        assert rescue.planned[0][0] == "hl-short"

    run(work)


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        (("2",), "enter sends: supply 9.30125 ETH"),
        (("2", "1"), "enter sends: repay 12,741.2 USDC"),
        (("right",), "enter sends: supply"),
        (("left", "left"), "enter sends: supply"),
        (("9",), "enter sends: repay"),
        (("3",), "not ready: its swap is not executed yet"),
    ],
)
def test_numbers_and_arrows_choose(keys: tuple[str, ...], words: str) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t")
        await until(app, pilot, "enter sends")
        await pilot.press(*keys)
        assert words in screen_text(app)

    run(work, armed)


def test_enter_sends_the_chosen_option_and_shows_how_it_ends() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "2", "enter")
        shown = await until(app, pilot, "CONFIRMED")
        assert isinstance(app.screen, SendScreen)
        assert "health 1.083 → 1.500" in shown
        (plan, index, actor) = rescue.executed[0]
        assert (plan.options[index], actor) == (SUPPLY, "tui t")
        await pilot.press("escape")
        assert isinstance(app.screen, MainScreen)

    run(work, armed)


def test_unarmed_enter_says_what_arms_and_sends_nothing() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "enter")
        assert "not armed: A arms" in screen_text(app)
        assert rescue.executed == []

    run(work)


def test_arming_that_ended_meanwhile_is_seen_at_enter() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t")
        await until(app, pilot, "enter sends")
        rescue.armed_until_ns = desk.snapshot.taken_at_ns
        app.paint_again()
        await pilot.press("enter")
        assert "not armed" in screen_text(app)
        assert rescue.executed == []

    run(work, armed)


def test_an_option_that_is_not_ready_is_not_sent() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "3", "enter")
        assert "not ready" in screen_text(app)
        assert rescue.executed == []

    run(work, armed)


def test_nothing_is_sent_while_the_plan_is_being_computed() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.may_plan.clear()
        await pilot.press("t", "enter")
        assert "computing" in screen_text(app)
        assert rescue.executed == []
        rescue.may_plan.set()
        await until(app, pilot, "enter sends")

    run(work, armed)


def test_a_plan_that_the_market_overtook_says_so_and_is_computed_again_before_it_may_be_confirmed() -> None:
    now = [0.0]

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t")
        await until(app, pilot, "enter sends")
        rescue.may_plan.clear()
        desk.snapshot = moved("main", "2400")
        app.paint()
        await pilot.pause()
        shown = await until(app, pilot, "the market overtook the plan")
        assert "computing again" in shown
        await pilot.press("enter")
        assert rescue.executed == []
        new = replace(REPAY, amount=Decimal(14100))
        health = desk.snapshot.accounts["main"].assessment.health_factor
        rescue.plan = replace(PLAN, options=(SUPPLY, new), made_at_ns=frames.NOW, health_before=health)
        rescue.may_plan.set()
        await until(app, pilot, "enter sends: repay 14,100 USDC")
        await pilot.press("enter")
        assert "has just changed: look again" in screen_text(app)
        assert rescue.executed == []
        now[0] = 1.5
        await pilot.press("enter")
        await until(app, pilot, "CONFIRMED")
        plan, index, _ = rescue.executed[0]
        assert plan.options[index] == new

    run(work, armed, now=now)


def test_an_old_plan_is_computed_again() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t")
        await until(app, pilot, "enter sends")
        later = desk.snapshot.taken_at_ns + 50 * frames.S
        rescue.plan = replace(PLAN, made_at_ns=later)
        desk.snapshot = replace(desk.snapshot, sequence=2, taken_at_ns=later)
        app.paint()
        await until(app, pilot, "planned 0.0s ago")
        assert len(rescue.planned) == 2

    run(work, armed)


def test_a_plan_that_fails_says_why_and_r_computes_it_again() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.plan_fails = Unreachable("aave-v3", "rpc did not answer")
        await pilot.press("t")
        await until(app, pilot, "aave-v3: rpc did not answer")
        await pilot.press("enter")
        assert rescue.executed == []
        rescue.plan_fails = None
        await pilot.press("r")
        await until(app, pilot, "enter sends")
        assert desk.refreshed == 1

    run(work, armed)


def test_a_target_that_nothing_reaches_says_what_could_be_reached() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.plan = replace(PLAN, options=(), possible="repaying all 3,000 USDC in the wallet gives 1.16")
        await pilot.press("t", "enter")
        assert "repaying all 3,000 USDC in the wallet gives 1.16" in screen_text(app)
        assert rescue.executed == []

    run(work, armed)


def test_a_stale_account_is_not_rescued_from_here() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("j", "t", "enter")
        assert "the reading is stale" in screen_text(app)
        assert rescue.executed == []

    run(work, armed)


def test_an_unknown_outcome_forbids_another_and_r_reconciles_it() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        assert "OUTCOME UNKNOWN" in screen_text(app)
        await pilot.press("t", "enter")
        assert "do not send again" in screen_text(app)
        assert rescue.executed == []
        await pilot.press("r")
        await pilot.pause()
        assert rescue.reconciled == ["main"]

    run(work, armed, taken=frames.snapshot(actions=(UNKNOWN,)))


def test_an_account_that_vanishes_leaves_a_plan_that_says_so() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t")
        rest = {name: each for name, each in desk.snapshot.accounts.items() if name != "main"}
        desk.snapshot = replace(desk.snapshot, sequence=2, accounts=rest)
        app.paint()
        await until(app, pilot, "the account is gone from its source")
        await pilot.press("enter")
        assert rescue.executed == []

    run(work, armed)


def test_feeds_stay_live_behind_the_plan_even_on_a_frozen_screen() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t")
        desk.snapshot = replace(desk.snapshot, sequence=2, taken_at_ns=frames.NOW + 3 * frames.S)
        app.paint()
        await pilot.pause()
        shown = screen_text(app)
        assert "10:00:17 UTC" in shown
        assert "planned 7.0s ago" in shown
        await pilot.press("escape", "space", "t")
        desk.snapshot = replace(desk.snapshot, sequence=3, taken_at_ns=frames.NOW + 8 * frames.S)
        app.paint_again()
        await pilot.pause()
        shown = screen_text(app)
        assert "10:00:17 UTC" in shown
        assert "planned 12s ago" in shown

    run(work, armed)


@pytest.mark.parametrize(("typed", "target"), [("1.8", Target(health=Decimal("1.8"))), ("", None)])
def test_e_asks_for_another_target(typed: str, target: Target | None) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "e", *("full_stop" if char == "." else char for char in typed), "enter")
        await until(app, pilot, "enter sends")
        assert rescue.planned[-1] == ("main", target)
        assert len(rescue.planned) == 2

    run(work, armed)


def test_a_target_that_is_no_number_is_not_planned_for() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "e", "0", "x", "enter")
        assert "a health is a number above 1" in screen_text(app)
        assert len(rescue.planned) == 1
        assert isinstance(app.screen, PlanScreen)

    run(work, armed)


def test_masked_amounts_stay_masked() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "$")
        shown = screen_text(app)
        for figure in ("12,741", "12741", "14,000", "1,149", "0.004"):
            assert figure not in shown
        assert "repay ····· USDC with permit" in shown

    run(work, armed)


def test_a_reading_older_than_the_plan_overtakes_nothing() -> None:
    taken = frames.snapshot()
    other = replace(PLAN, health_before=Decimal("1.2"))
    seen = taken.accounts["main"].assessment.health_factor
    view = PlanView("main", other, is_computing=False, health_seen=seen)
    assert present_plan.overtaken(taken, view) == ""
    newer = replace(taken.accounts["main"], observed_at_ns=other.made_at_ns + 1)
    fresh = replace(taken, accounts={"main": newer})
    assert "overtook" in present_plan.overtaken(fresh, view)
    blocks = replace(newer, block_number=(PLAN.block_number or 0) - 1)
    assert present_plan.overtaken(replace(taken, accounts={"main": blocks}), view) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [("12741.2", "12,741.2"), ("9.3012441", "9.30125"), ("0.0000123456789", "0.0000123457"), ("0", "0"), ("3", "3")],
)
def test_amounts_are_rounded_up_and_never_to_nothing(value: str, text: str) -> None:
    assert present_plan.amount_text(Decimal(value)) == text


def test_the_chosen_option_is_found_again_in_a_new_plan() -> None:
    plan: Plan = replace(PLAN, options=(SUPPLY, replace(REPAY, amount=Decimal(1))))
    assert present_plan.same_option(REPAY, plan.options) == 1
    assert present_plan.same_option(REPAY, (SUPPLY,)) == 0


def test_the_dashboard_starts_without_anything_of_the_rescue_path() -> None:
    script = "import sys, tui.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    heavy = {"tui.rescues", "tui.screen_plan", "tui.present_plan", "widgets.plan", "desk.actions", "engine.rescue"}
    assert not loaded & (heavy | {"sqlite3", "eth_account", "desk.executor"})
