"""Rescues from the dashboard's side: what a key opens, and what is being sent. Imported by the first such key."""

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from desk.actions import ActionState, Refusal, Stage
from desk.speedup import Faster
from engine.rescue import Plan
from providers.errors import AppError
from tui import present_actions, present_plan
from tui.rescue_like import RescueDesk

if TYPE_CHECKING:
    from tui.app import DashboardApp

log = logging.getLogger("marginline.tui")

GO = ("", "ready", "needs approve")
"""Readiness with which the one key may go on; the empty one is decided by the plan itself."""


@dataclass
class Sent:
    """One rescue begun here: its latest state, or why it was refused. `lost` says that its end was not told."""

    account: str
    said: str
    action: ActionState | None = None
    refused: str = ""
    lost: str = ""
    is_over: bool = False

    @property
    def is_unknown(self) -> bool:
        """Return whether only reading can tell what became of it."""
        return bool(self.lost) or (self.action is not None and self.action.stage is Stage.UNKNOWN)


class Rescues:
    """What the keys `t T A ! r f` do with a `RescueDesk`."""

    def __init__(self, app: "DashboardApp", desk: RescueDesk) -> None:
        self.desk = desk
        self._app = app
        self._sends: dict[str, Sent] = {}

    @property
    def in_flight(self) -> tuple[str, ...]:
        """Return the accounts for which something is being sent by this screen."""
        return tuple(name for name, sent in self._sends.items() if not sent.is_over)

    @property
    def is_armed(self) -> bool:
        """Return whether sending is allowed at the moment that the desk shows."""
        until_ns = self.desk.armed_until_ns
        return until_ns is not None and until_ns > self._app.live_snapshot.taken_at_ns

    def open_plan(self) -> None:
        """Show the plan of the selected account."""
        from tui.screen_plan import PlanScreen

        selected = self._app.session.frame.selected
        if selected is None:
            self._app.say("no account to rescue")
        else:
            self._app.push_screen(PlanScreen(self, selected.account.name))

    def open_arming(self) -> None:
        """Ask for the word and the passwords."""
        from tui.screen_arm import ArmScreen

        if self.is_armed:
            self._app.say("armed already; ! disarms")
        else:
            self._app.push_screen(ArmScreen(self))

    def open_standing(self) -> None:
        """Begin the countdown of the selected account's standing plan, or say why the key is off."""
        from tui.screen_send import StandingScreen

        selected = self._app.session.frame.selected
        name = selected.account.name if selected is not None else ""
        why = self._why_off(name)
        if why:
            self._app.say(f"T is off: {why}")
        else:
            self._app.push_screen(StandingScreen(self, name))

    def open_history(self) -> None:
        """Show what was done before."""
        from tui.screen_history import HistoryScreen

        self._app.show_pane(HistoryScreen(self))

    def disarm(self) -> None:
        """Wipe every key now."""
        self._app.run_worker(self._disarm(), group="disarm", exit_on_error=False)

    def reconcile(self, account: str | None = None) -> None:
        """Settle what is unknown by reading."""
        self._app.run_worker(self._reconcile(account), group="reconcile", exclusive=True, exit_on_error=False)

    def begin(self, plan: Plan, option_index: int, actor: str) -> None:
        """Send one option and show how it goes, in place of the screen that asked for it."""
        from tui.screen_send import SendScreen

        said = present_plan.sentence(self._app.session.frame, plan.account, plan.options[option_index])
        sent = Sent(plan.account, said)
        self._sends[plan.account] = sent
        self._app.run_worker(self._carry(sent, plan, option_index, actor), group="rescue", exit_on_error=False)
        self._app.switch_screen(SendScreen(self, sent))

    def open_faster(self, action: ActionState | None, *, is_shown: bool) -> None:
        """Offer to overtake the step of `action` that waits; `is_shown` says that its progress is on screen already."""
        from tui.screen_faster import FasterScreen

        if action is None or not present_actions.waits(action):
            self._app.say("nothing of it waits to land")
        else:
            self._app.push_screen(FasterScreen(self, action, is_shown=is_shown))

    def hasten(self, action: ActionState, offer: Faster, *, is_shown: bool) -> None:
        """Send what overtakes and show how it goes; one that is still followed goes on being shown as it is."""
        from tui.screen_send import SendScreen

        sent = self._sends.get(action.account)
        is_followed = sent is not None and not sent.is_over
        if sent is None or (sent.action is not None and sent.action.id != action.id):
            sent = self._sends[action.account] = Sent(action.account, "", action)
        self._app.run_worker(self._hasten(sent, offer, is_followed), group="rescue", exit_on_error=False)
        if is_shown:
            self._app.pop_screen()
        else:
            self._app.switch_screen(SendScreen(self, sent))

    async def _hasten(self, sent: Sent, offer: Faster, is_followed: bool) -> None:
        def show(action: ActionState) -> None:
            if not is_followed:  # else whoever follows it shows it
                sent.action = action
            self._app.paint_again()

        if not is_followed:
            sent.is_over, sent.lost = False, ""
        told = False
        try:
            action, told = await self.desk.speed_up(offer, actor="tui f", show=show), True
            if not is_followed:
                sent.action = action
        except Refusal as error:
            told = True
            self._app.say(f"not sent faster: {error}")
        except AppError as error:
            sent.lost, told = str(error), True
        finally:
            if not is_followed:
                sent.is_over = True
                if not told:
                    sent.lost = "the work was cut off; the journal knows how far it came"
            self._app.paint_again()

    async def _carry(self, sent: Sent, plan: Plan, option_index: int, actor: str) -> None:
        def show(action: ActionState) -> None:
            sent.action = action
            self._app.paint_again()

        told = False
        try:
            sent.action = await self.desk.execute(plan, option_index, actor=actor, show=show)
            told = True
        except Refusal as error:
            sent.refused, told = str(error), True
        except AppError as error:
            sent.lost, told = str(error), True
        finally:
            if not told:
                sent.lost = "the work was cut off; the journal knows how far it came"
            sent.is_over = True
            self._app.paint_again()

    async def _disarm(self) -> None:
        try:
            await self.desk.disarm(actor="tui !")
        except AppError as error:
            self._app.say(str(error))
        else:
            self._app.say("disarmed")

    async def _reconcile(self, account: str | None) -> None:
        self._app.say("reconciling by reading")
        try:
            looked = await self.desk.reconcile(account, actor="tui r")
        except AppError as error:
            self._app.say(f"not reconciled: {error}")
            return
        for action in looked:
            sent = self._sends.get(action.account)
            if sent is not None and (sent.action is None or sent.action.id == action.id):
                sent.action, sent.lost = action, ""
        still = [action.account for action in looked if action.is_open]
        self._app.say(f"still unknown: {', '.join(still)}" if still else f"reconciled {len(looked)}")

    def _why_off(self, name: str) -> str:
        snapshot = self._app.live_snapshot
        state = snapshot.accounts.get(name)
        if state is None:
            return "no account"
        if not self.is_armed:
            return "not armed, A arms"
        unknown = present_plan.unknown_of(snapshot, name)
        if unknown:
            return unknown
        if name in self.in_flight:
            return "a rescue of this account is under way"
        if state.is_stale:
            return "the reading is stale"
        word = snapshot.readiness.get(name, "")
        return "" if word in GO else word
