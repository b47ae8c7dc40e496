"""The one key, its countdown, progress to the end, the loud unknown, and leaving meanwhile."""

from dataclasses import replace

import pytest
from textual.pilot import Pilot

from desk.actions import ActionState, Refusal, Stage, StepFate
from desk.snapshot import Snapshot
from providers.errors import AppError, Unreachable
from tests.tui import frames
from tests.tui.fake_rescue import (
    CONFIRMED,
    DELEVERAGE,
    PLAN,
    REJECTED,
    RUNNING,
    SUPPLY,
    UNKNOWN,
    HandRescue,
    action,
    moved,
    run,
    until,
)
from tests.tui.frames import HandDesk
from tui.app import DashboardApp
from tui.export import screen_text
from tui.screen_main import MainScreen
from tui.screen_send import LeaveScreen, StandingScreen


def armed() -> HandRescue:
    return HandRescue(armed=True)


def ending(end: ActionState | AppError, *shown: ActionState) -> HandRescue:
    made = armed()
    made.end, made.shown = end, list(shown)
    return made


def test_the_one_key_counts_down_and_sends_the_first_ready_option() -> None:
    def make() -> HandRescue:
        made = armed()
        made.plan = replace(PLAN, options=(DELEVERAGE, SUPPLY))
        return made

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("T")
        await until(app, pilot, "CONFIRMED")
        plan, index, actor = rescue.executed[0]
        assert (plan.options[index], actor) == (SUPPLY, "tui T")

    run(work, make, countdown_s=0)


def test_the_countdown_is_seen_and_esc_stops_it() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("T")
        shown = await until(app, pilot, "SENDS IN 3")
        assert "repay 12,741.2 USDC for main from rescue 0x12ab..90" in shown
        await pilot.press("escape")
        await until(app, pilot, "stopped: nothing was sent")
        assert isinstance(app.screen, MainScreen)
        assert rescue.executed == []

    run(work, armed)


def test_the_one_key_rehearses_before_it_counts() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.may_rehearse.clear()
        await pilot.press("T")
        await until(app, pilot, "rehearsing it: nothing is signed")
        assert "SENDS IN" not in screen_text(app)
        assert rescue.rehearsed == [(PLAN, 0)]
        rescue.may_rehearse.set()
        await until(app, pilot, "SENDS IN 3")
        assert rescue.executed == []

    run(work, armed)


def test_what_fails_its_rehearsal_says_so_at_once_and_is_not_counted() -> None:
    def make() -> HandRescue:
        made = armed()
        made.rehearsal_fails = Refusal("simulation: the reserve is frozen")
        return made

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("T")
        shown = await until(app, pilot, "NOT SENT  simulation: the reserve is frozen")
        assert "SENDS IN" not in shown
        assert rescue.executed == []

    run(work, make)


OFF: dict[str, tuple[HandRescue | None, Snapshot, tuple[str, ...], str]] = {
    "unarmed": (None, frames.snapshot(), ("T",), "T is off: not armed, A arms"),
    "stale": (armed(), frames.snapshot(), ("j", "T"), "T is off: the reading is stale"),
    "no gas": (armed(), frames.snapshot(readiness={"main": "no gas"}), ("T",), "T is off: no gas"),
    "over cap": (armed(), frames.snapshot(readiness={"main": "over cap"}), ("T",), "T is off: over cap"),
    "unknown": (armed(), frames.snapshot(actions=(UNKNOWN,)), ("T",), "T is off: outcome unknown"),
}


@pytest.mark.parametrize("case", OFF)
def test_the_one_key_is_off_and_says_why(case: str) -> None:
    made, taken, keys, words = OFF[case]

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press(*keys)
        assert words in screen_text(app)
        assert rescue.executed == []
        assert not isinstance(app.screen, StandingScreen)

    run(work, lambda: armed() if made is not None else HandRescue(), taken=taken, countdown_s=0)


@pytest.mark.parametrize(
    ("plan", "fails", "words"),
    [
        (replace(PLAN, options=(DELEVERAGE,)), None, "NOT SENT  not ready: its swap is not executed yet"),
        (replace(PLAN, options=(), possible="nothing is in the wallet"), None, "NOT SENT  nothing to send"),
        (replace(PLAN, made_at_ns=frames.NOW - 50 * frames.S), None, "NOT SENT  the plan is 50s old"),
        (PLAN, Unreachable("aave-v3", "rpc is down"), "NOT SENT  aave-v3: rpc is down"),
    ],
    ids=["blocked", "empty", "old", "failed"],
)
def test_a_standing_plan_that_would_not_work_is_not_sent(plan: object, fails: AppError | None, words: str) -> None:
    def make() -> HandRescue:
        made = armed()
        made.plan, made.plan_fails = plan, fails  # type: ignore[assignment]  # a plan, from the list above
        return made

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("T")
        await until(app, pilot, words)
        assert rescue.executed == []
        await pilot.press("escape")
        assert isinstance(app.screen, MainScreen)

    run(work, make, countdown_s=0)


def test_a_market_that_moves_during_the_countdown_stops_it() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("T")
        await until(app, pilot, "SENDS IN")
        desk.snapshot = moved("main", "2300")
        await until(app, pilot, "NOT SENT  the market overtook the plan")
        assert rescue.executed == []

    run(work, armed, countdown_s=0.6)


def test_disarming_during_the_countdown_stops_it() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("T", "!")
        await until(app, pilot, "NOT SENT  not armed")
        assert rescue.executed == []

    run(work, armed, countdown_s=0.6)


def test_every_step_is_shown_as_it_goes() -> None:
    signed = action(Stage.RUNNING, StepFate.SIGNED, StepFate.WAITING)

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.may_end.clear()
        rescue.shown = [signed]
        await pilot.press("t", "enter")
        shown = await until(app, pilot, "UNDER WAY  step 1 of 2")
        assert "1   approve 12741.2 USDC    signed" in shown
        assert "2   repay 12741.2 USDC      waiting" in shown
        assert "closing this stops nothing" in shown
        rescue.may_end.set()
        shown = await until(app, pilot, "CONFIRMED  health 1.083 → 1.500")
        assert "3   read the account again  read" in shown

    run(work, armed)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (REJECTED, ("REJECTED", "reverted in block 23,871,404", "make a plan anew")),
        (Refusal("6,000 USD is over the cap"), ("REFUSED  nothing was signed", "6,000 USD is over the cap")),
        (UNKNOWN, ("OUTCOME UNKNOWN", "do not send again; r reconciles", "nothing more is sent for this account")),
        (AppError("journal: the disk is full"), ("OUTCOME UNKNOWN", "journal: the disk is full", "do not send again")),
        (
            action(Stage.UNFINISHED, StepFate.CONFIRMED, StepFate.WAITING, evidence="repay: was never signed"),
            ("UNFINISHED", "was never signed", "some steps landed"),
        ),
    ],
    ids=["rejected", "refused", "unknown", "lost", "unfinished"],
)
def test_every_end_says_what_to_do(end: ActionState | AppError, words: tuple[str, ...]) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "enter")
        shown = await until(app, pilot, words[0])
        for word in words:
            assert word in shown

    run(work, lambda: ending(end, RUNNING))


def test_r_settles_an_unknown_outcome_where_it_is_shown() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "enter")
        await until(app, pilot, "OUTCOME UNKNOWN")
        rescue.settled = (UNKNOWN,)
        await pilot.press("r")
        await until(app, pilot, "still unknown: main")
        rescue.settled = (CONFIRMED,)
        await pilot.press("r")
        await until(app, pilot, "CONFIRMED  health 1.083 → 1.500")
        assert rescue.reconciled == ["main", "main"]
        assert len(rescue.executed) == 1

    run(work, lambda: ending(UNKNOWN))


def test_the_main_screen_stays_loud_about_an_unknown_outcome_and_r_reconciles() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        assert "OUTCOME UNKNOWN   main: do not send again, r reconciles" in screen_text(app).splitlines()[1]
        await pilot.press("r")
        await pilot.pause()
        assert (desk.refreshed, rescue.reconciled) == (1, [None])

    run(work, taken=frames.snapshot(actions=(UNKNOWN,)))


def test_a_second_rescue_of_an_account_waits_for_the_first() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.may_end.clear()
        await pilot.press("t", "enter", "escape", "t", "enter")
        await until(app, pilot, "a rescue of this account is under way")
        await pilot.press("escape", "T")
        assert "T is off: a rescue of this account is under way" in screen_text(app)
        assert len(rescue.executed) == 1

    run(work, armed)


def test_enter_twice_sends_once() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t")
        await until(app, pilot, "enter sends")
        await pilot.press("enter", "enter", "enter")
        await until(app, pilot, "CONFIRMED")
        assert len(rescue.executed) == 1

    run(work, armed)


def test_quitting_asks_only_while_something_is_being_sent() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.may_end.clear()
        await pilot.press("t", "enter", "escape", "q")
        shown = await until(app, pilot, "A rescue of main is under way")
        assert "quit all the same" in shown
        await pilot.press("escape")
        assert app.return_code is None
        rescue.may_end.set()
        await pilot.pause()
        await pilot.press("q")
        assert not isinstance(app.screen_stack[-1] if app.screen_stack else None, LeaveScreen)
        assert app.return_code == 0

    run(work, armed)


def test_one_may_leave_all_the_same() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.may_end.clear()
        await pilot.press("t", "enter", "escape", "q", "Q")
        assert app.return_code == 0

    run(work, armed)
