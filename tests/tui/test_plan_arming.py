"""Arming on screen: a word, a password that leaves no trace, a countdown in the header, and the key that ends it."""

import gc
import logging
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from providers.errors import AppError
from tests.tui import frames
from tests.tui.fake_rescue import PASSWORD, HandRescue, run, until
from tests.tui.frames import HandDesk
from tui.app import DashboardApp
from tui.export import screen_text
from tui.screen_arm import ArmScreen
from tui.screen_main import MainScreen
from tui.screen_plan import PlanScreen
from widgets.typed import TypedLine

WORD = ("a", "r", "m", "enter")


def with_signer() -> HandRescue:
    return HandRescue(signers=("rescue",))


def keys(text: str) -> tuple[str, ...]:
    return tuple("space" if char == " " else char for char in text)


def test_the_word_arms_where_no_signer_has_a_password() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("A", *WORD)
        shown = await until(app, pilot, "ARMED 15:00")
        assert "armed; ! disarms" in shown
        assert isinstance(app.screen, MainScreen)
        assert "T one key  ! disarm" in shown

    run(work)


def test_another_word_does_not_arm() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("A", "y", "e", "s", "enter")
        assert "not armed: the word is arm" in screen_text(app)
        assert rescue.arming == 0

    run(work)


def test_a_password_is_asked_for_and_taken() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("A", *WORD, *keys(PASSWORD))
        assert "*" * len(PASSWORD) in screen_text(app)
        await pilot.press("enter")
        await until(app, pilot, "ARMED 15:00")
        assert rescue.arming == 1

    run(work, with_signer)


def test_a_wrong_password_is_said_and_wiped_and_may_be_typed_again() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("A", *WORD, "x", "enter")
        await until(app, pilot, "wrong password")
        assert all(line.is_empty for line in app.screen.query(TypedLine))
        assert "ARMED" not in screen_text(app)
        await pilot.press(*WORD, *keys(PASSWORD), "enter")
        await until(app, pilot, "ARMED 15:00")

    run(work, with_signer)


def test_an_empty_password_is_not_tried() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("A", *WORD, "enter")
        assert "no password for rescue" in screen_text(app)
        assert rescue.arming == 0

    run(work, with_signer)


def test_backspace_and_ctrl_u_take_back_what_was_typed() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("A", "x", "x", "ctrl+u", "a", "r", "n", "backspace", "m", "enter")
        await until(app, pilot, "ARMED 15:00")

    run(work)


def test_the_password_is_in_no_text_model_log_or_object_that_is_left(caplog: pytest.LogCaptureFixture) -> None:
    secret = "".join(chr(ord(char) + 1) for char in "pqrstu") + "-7Q"

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("A", *WORD)
        await pilot.press(*("minus" if char == "-" else char for char in secret))
        screen = app.screen
        assert isinstance(screen, ArmScreen)
        lines = list(screen.query(TypedLine))
        assert secret not in screen_text(app)
        for line in lines:
            assert secret not in repr(line) + repr(line.model) + repr(vars(screen))
        await pilot.press("enter")
        await until(app, pilot, "wrong password")
        for line in lines:
            assert secret.encode() not in line._typed
        await pilot.press("escape")

    with caplog.at_level(logging.DEBUG):
        run(work, with_signer)
    assert secret not in caplog.text
    gc.collect()
    held = [each for each in gc.get_objects() if isinstance(each, (dict, list)) and len(each) < 64]
    assert not any(secret in each for each in held if each is not locals())


def test_leaving_while_typing_arms_nothing() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("A", *WORD, "x", "escape")
        assert isinstance(app.screen, MainScreen)
        assert rescue.arming == 0

    run(work, with_signer)


def test_arming_that_the_desk_refuses_says_why() -> None:
    class Refusing(HandRescue):
        async def arm(self, passwords: object, *, actor: str) -> int:
            raise AppError("journal is held by process 4711")

    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("A", *WORD)
        await until(app, pilot, "not armed: journal is held by process 4711")

    run(work, Refusing)


def test_the_header_counts_down_on_the_desks_clock_even_when_frozen() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        assert "ARMED 04:41" in screen_text(app)
        await pilot.press("space")
        desk.snapshot = replace(desk.snapshot, sequence=2, taken_at_ns=frames.NOW + 10 * frames.S)
        app.paint()
        await pilot.pause()
        assert "ARMED 04:31" in screen_text(app)
        desk.snapshot = replace(desk.snapshot, sequence=3, taken_at_ns=frames.NOW + 400 * frames.S)
        app.paint()
        await pilot.pause()
        shown = screen_text(app)
        assert "ARMED" not in shown
        assert "read-only" in shown

    run(work, lambda: HandRescue(armed=True))


def test_the_mode_is_the_last_thing_that_a_narrow_header_drops() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        assert "ARMED 04:41" in screen_text(app).splitlines()[0]

    run(work, lambda: HandRescue(armed=True), size=(40, 12))


@pytest.mark.parametrize("before", [(), ("t",), ("2",)], ids=["main", "plan", "pane"])
def test_one_key_disarms_at_once_from_everywhere(before: tuple[str, ...]) -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press(*before, "!")
        await until(app, pilot, "read-only")
        assert rescue.disarmed == 1
        assert "ARMED" not in screen_text(app)

    run(work, lambda: HandRescue(armed=True))


def test_a_plan_can_be_armed_from_where_it_is_read() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("t", "A", *WORD)
        await until(app, pilot, "enter sends: repay")
        assert isinstance(app.screen, PlanScreen)

    run(work)


def test_arming_twice_says_that_it_is() -> None:
    async def work(app: DashboardApp, pilot: "Pilot[str]", desk: HandDesk, rescue: HandRescue) -> None:
        await pilot.press("A")
        assert "armed already" in screen_text(app)
        assert isinstance(app.screen, MainScreen)

    run(work, lambda: HandRescue(armed=True))
