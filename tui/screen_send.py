"""The countdown of the one key, the progress of what is being sent, and leaving while something is."""

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.widget import Widget

from engine.rescue import Plan
from providers.errors import AppError
from tui import present_actions, present_plan
from tui.present_plan import PlanView
from tui.rescues import Rescues, Sent
from tui.screens import Overlay
from tui.view import Frame
from widgets.bars import Bar, KeyBar, Section, SectionRule
from widgets.facts import Text, TextLines
from widgets.plan import Progress, ProgressSteps
from widgets.tones import Cell, Ground, Line, Phrase, Tone

COUNT = 3


class StandingScreen(Overlay):
    """Counts down to sending the standing plan; `esc` stops it, and so does anything that speaks against sending."""

    def __init__(self, rescues: Rescues, account: str) -> None:
        super().__init__()
        self._rescues = rescues
        self._view = PlanView(account)
        self._left: int | None = None
        self._why = ""
        self._is_rehearsing = False

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule()
        yield ProgressSteps(classes="gap")
        yield KeyBar(classes="gap")

    def on_mount(self) -> None:
        """Compute the standing plan, rehearse it, then count: what can't work says so before anyone waits for it."""
        self._count()

    @work(exclusive=True, group="standing", exit_on_error=False)
    async def _count(self) -> None:
        try:
            plan = await self._rescues.desk.plan_for(self._view.account)
        except AppError as error:
            self._stop(str(error))
            return
        self._take(plan)
        if self._is_off():
            return
        self._is_rehearsing = True
        self._dashboard.paint_again()
        try:
            await self._rescues.desk.rehearse(plan, self._view.chosen)
        except AppError as error:
            self._stop(str(error))
            return
        for left in range(COUNT, 0, -1):
            self._left = left
            if self._is_off():
                return
            self._dashboard.paint_again()
            await asyncio.sleep(self._dashboard.settings.countdown_s / COUNT)
        if not self._is_off() and self.is_current:
            self._rescues.begin(plan, self._view.chosen, "tui T")

    def _take(self, plan: Plan) -> None:
        state = self._dashboard.live_snapshot.accounts.get(plan.account)
        seen = state.assessment.health_factor if state is not None else None
        ready = next((at for at, option in enumerate(plan.options) if option.ready), 0)
        self._view = replace(self._view, plan=plan, chosen=ready, is_computing=False, health_seen=seen)

    def _is_off(self) -> bool:
        snapshot = self._dashboard.live_snapshot
        self._view = view = replace(
            self._view,
            is_armed=self._rescues.is_armed,
            is_sending=self._view.account in self._rescues.in_flight,
            overtaken=present_plan.overtaken(snapshot, self._view),
        )
        why = present_plan.why_not(snapshot, view)
        if why:
            self._stop(why)
        return bool(why)

    def _stop(self, why: str) -> None:
        self._why, self._left = why, None
        self._dashboard.paint_again()

    def show_body(self, frame: Frame) -> None:
        """Show what will be sent and when, or why not."""
        view = self._view
        self.query_one(SectionRule).model = Section(f"T rescue {view.account}", is_focused=True)
        option = view.option
        said = present_plan.sentence(frame, view.account, option) if option is not None else ""
        about = ((Cell(said, Tone.TEXT),),) if said else ()
        head: Line
        if self._why:
            head = (Cell("NOT SENT", Tone.WARN), Cell(f"  {present_plan.hushed(frame, self._why)}", Tone.STRONG))
        elif self._left is None:
            doing = "rehearsing it: nothing is signed" if self._is_rehearsing else "computing the standing plan"
            head = (Cell(doing, Tone.STRONG),)
        else:
            head = (Cell(f" SENDS IN {self._left} ", Tone.LIQUIDATABLE), Cell("  esc stops it", Tone.STRONG))
        self.query_one(ProgressSteps).model = Progress(head, Ground.SURFACE, about)
        self.query_one(KeyBar).model = Bar((Phrase.key("esc", "close" if self._why else "stop"),))

    def action_leave(self) -> None:
        """Stop the countdown and say so."""
        if not self._why:
            self._dashboard.say("stopped: nothing was sent")
        super().action_leave()


class SendScreen(Overlay):
    """Shows one rescue from its checks to the account as read afterwards; closing it stops nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("r", "reconcile", show=False),
        Binding("f", "faster", show=False),
        Binding("A", "app.rescue('open_arming')", show=False),
    ]

    def __init__(self, rescues: Rescues, sent: Sent) -> None:
        super().__init__()
        self._rescues = rescues
        self._sent = sent

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule()
        yield ProgressSteps(classes="gap")
        yield KeyBar(classes="gap")

    def show_body(self, frame: Frame) -> None:
        """Show how far it is."""
        sent = self._sent
        if sent.refused:
            model = present_actions.refused(frame, sent.refused)
        elif sent.lost:
            model = present_actions.cut_off(sent.lost)
        elif sent.action is None or (not sent.action.steps and not sent.is_over):
            model = present_actions.checking(sent.said)
        else:
            model = present_actions.progress(frame, sent.action)
        note = "" if sent.is_over else "closing this stops nothing"
        self.query_one(SectionRule).model = Section(f"rescue {sent.account}", note, is_focused=True)
        self.query_one(ProgressSteps).model = model
        keys = [Phrase.key("esc", "close")]
        if sent.is_unknown:
            keys.insert(0, Phrase.key("r", "reconcile"))
        if present_actions.waits(sent.action):
            keys.insert(0, Phrase.key("f", "faster"))
        said = (Phrase.of(frame.view.notice, Tone.ACCENT),) if frame.view.notice else ()
        self.query_one(KeyBar).model = Bar(tuple(keys), said)

    def action_reconcile(self) -> None:
        """Settle an unknown outcome by reading."""
        if self._sent.is_over and self._sent.is_unknown:
            self._rescues.reconcile(self._sent.account)

    def action_faster(self) -> None:
        """Offer to overtake what waits by a higher fee."""
        self._rescues.open_faster(self._sent.action, is_shown=True)


class LeaveScreen(Overlay):
    """Asks before the program ends while something is being sent."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("Q", "app.leave_now", show=False)]

    def __init__(self, accounts: tuple[str, ...]) -> None:
        super().__init__()
        self._accounts = accounts

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule()
        yield TextLines(classes="gap")
        yield KeyBar(classes="gap")

    def show_body(self, frame: Frame) -> None:
        """Show what is under way."""
        said = (
            f" A rescue of {', '.join(self._accounts)} is under way.",
            " What was sent stays sent; the next start finds out what became of it.",
        )
        self.query_one(SectionRule).model = Section("quit?", is_focused=True)
        self.query_one(TextLines).model = Text(tuple((Cell(line, Tone.TEXT),) for line in said))
        self.query_one(KeyBar).model = Bar((Phrase.key("esc", "stay"), Phrase.key("Q", "quit all the same")))
