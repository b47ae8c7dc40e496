"""Speeding up what waits: from the progress, the unknown and the history; the fee first, then enter."""

from dataclasses import replace

import pytest
from textual.pilot import Pilot

from desk.actions import Refusal, Stage, StepFate
from providers.errors import AppError
from tests.tui import frames
from tests.tui.fake_rescue import CONFIRMED, FASTER, REJECTED, RUNNING, UNKNOWN, HandRescue, action, run, until
from tests.tui.frames import HandDesk
from tui.app import DashboardApp
from tui.export import screen_text
from tui.screen_faster import FasterScreen
from tui.screen_send import SendScreen

OFFER = "FASTER  fee of at most 4.13 $, in place of 2.90 $"


def stuck() -> HandRescue:
    made = HandRescue(armed=True)
    made.end = UNKNOWN
    return made


def test_an_unknown_outcome_is_sped_up_where_it_is_shown() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "enter")
        shown = await until(app, pilot, "OUTCOME UNKNOWN")
        assert "f sends it again under its nonce at a higher fee" in shown
        await pilot.press("f")
        shown = await until(app, pilot, OFFER)
        assert "one of the two lands at most" in shown
        assert (rescue.asked, rescue.sped) == ([UNKNOWN.id], [])
        await pilot.press("enter")
        await until(app, pilot, "CONFIRMED  health 1.083 → 1.500")
        assert rescue.sped == [(FASTER, "tui f")]
        assert len(rescue.executed) == 1

    run(work, stuck)


def test_what_is_still_followed_is_sped_up_and_goes_on() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.may_end.clear()
        rescue.shown, rescue.end = [RUNNING], CONFIRMED
        rescue.sped_end = RUNNING
        await pilot.press("t", "enter")
        shown = await until(app, pilot, "UNDER WAY  step 2 of 2")
        assert "f faster" in shown
        await pilot.press("f")
        await until(app, pilot, OFFER)
        await pilot.press("enter")
        await until(app, pilot, "UNDER WAY  step 2 of 2")
        assert isinstance(app.screen, SendScreen)
        assert len(app.rescues.in_flight if app.rescues else ()) == 1
        rescue.may_end.set()
        await until(app, pilot, "CONFIRMED  health 1.083 → 1.500")
        assert len(rescue.sped) == 1

    run(work, stuck)


def test_the_history_offers_it_for_the_action_under_the_cursor() -> None:
    def make() -> HandRescue:
        made = stuck()
        made.kept = (UNKNOWN, replace(REJECTED, id="b" * 16, started_at_ns=frames.NOW - 600 * frames.S))
        return made

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("6")
        await until(app, pilot, "main · 9f3c2a7b11d04e55")
        await pilot.press("j")
        await until(app, pilot, f"main · {'b' * 16}")
        await pilot.press("f")
        await until(app, pilot, "nothing of it waits to land")
        await pilot.press("k")
        await until(app, pilot, "main · 9f3c2a7b11d04e55")
        await pilot.press("f")
        await until(app, pilot, OFFER)
        await pilot.press("enter")
        await until(app, pilot, "CONFIRMED  health 1.083 → 1.500")
        assert isinstance(app.screen, SendScreen)

    run(work, make)


def test_nothing_is_sent_unarmed_and_arming_is_one_key_away() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "enter")
        await until(app, pilot, "OUTCOME UNKNOWN")
        await pilot.press("f")
        await until(app, pilot, OFFER)
        rescue.armed_until_ns = None
        await until(app, pilot, "not armed: A arms")
        await pilot.press("enter")
        assert isinstance(app.screen, FasterScreen)
        assert rescue.sped == []
        await pilot.press("A")
        await until(app, pilot, "type arm")
        await pilot.press(*"arm", "enter")
        await until(app, pilot, "enter sends it")
        await pilot.press("enter")
        await until(app, pilot, "CONFIRMED")

    run(work, stuck)


@pytest.mark.parametrize("key", ["escape", "q"])
def test_leaving_sends_nothing(key: str) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "enter")
        await until(app, pilot, "OUTCOME UNKNOWN")
        await pilot.press("f")
        await until(app, pilot, OFFER)
        await pilot.press(key)
        await until(app, pilot, "OUTCOME UNKNOWN")
        assert rescue.sped == []

    run(work, stuck)


def test_what_cannot_be_sped_up_says_why_and_r_asks_again() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.offer = Refusal("it waits behind transaction 6 of the wallet")
        await pilot.press("t", "enter")
        await until(app, pilot, "OUTCOME UNKNOWN")
        await pilot.press("f")
        shown = await until(app, pilot, "it waits behind transaction 6 of the wallet")
        assert "what was sent before still waits" in shown
        await pilot.press("enter")
        assert rescue.sped == []
        rescue.offer = FASTER
        await pilot.press("r")
        await until(app, pilot, OFFER)

    run(work, stuck)


@pytest.mark.parametrize(
    ("end", "words"),
    [
        (Refusal("its fee is over the cap"), "not sent faster: its fee is over the cap"),
        (AppError("journal: the disk is full"), "journal: the disk is full"),
        (action(Stage.UNKNOWN, StepFate.CONFIRMED, StepFate.UNKNOWN, evidence="waits"), "do not send again"),
    ],
    ids=["refused", "lost", "unknown"],
)
def test_an_outcome_that_stays_unknown_stays_loud(end: object, words: str) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.sped_end = end  # type: ignore[assignment]  # an end, from the list above
        await pilot.press("t", "enter")
        await until(app, pilot, "OUTCOME UNKNOWN")
        await pilot.press("f")
        await until(app, pilot, OFFER)
        await pilot.press("enter")
        await until(app, pilot, words)
        assert "OUTCOME UNKNOWN" in screen_text(app)
        assert app.rescues is not None
        assert app.rescues.in_flight == ()

    run(work, stuck)


def test_a_replaced_reference_stays_on_screen() -> None:
    step = replace(UNKNOWN.steps[1], reference="0x" + "cd34" * 16, earlier=(UNKNOWN.steps[1].reference,))
    twice = replace(UNKNOWN, steps=(UNKNOWN.steps[0], step))

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        rescue.end = twice
        await pilot.press("t", "enter")
        await until(app, pilot, "0xcd34cd..cd34  in place of 0xab12ab..ab12")

    run(work, stuck)
