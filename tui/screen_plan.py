"""The plan of one account: alternatives side by side, kept fresh while it is looked at; enter confirms one."""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal
from typing import ClassVar

from textual import work
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.widget import Widget

from engine.rescue import Plan, Target
from providers.errors import AppError
from tui import layout, present_plan
from tui.layout import SizeClass
from tui.present_plan import PlanView
from tui.rescues import Rescues
from tui.screens import Overlay
from tui.view import Frame
from widgets.bars import KeyBar, SectionRule
from widgets.plan import ConfirmLine, PlanCompare
from widgets.typed import TypedLine

LOOK_AGAIN_S = 1.0
"""A plan that changed under the finger is not confirmed within this time: the key was meant for the one before."""

_AROUND = 5
"""Rows that stand around the alternatives whatever the height: title, what enter would do, keys, two gaps."""


class PlanScreen(Overlay):
    """Shows a plan, computes it again when the market overtook it, and begins what is confirmed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(number), f"choose({number - 1})", show=False) for number in range(1, 10)),
        Binding("right,l,j,down,tab", "step(1)", show=False),
        Binding("left,h,k,up,shift+tab", "step(-1)", show=False),
        Binding("pagedown,ctrl+d", "scroll(6)", show=False),
        Binding("pageup,ctrl+u", "scroll(-6)", show=False),
        Binding("enter", "confirm", show=False),
        Binding("A", "arm", show=False),
        Binding("e", "target", show=False),
        Binding("r", "again", show=False),
    ]

    def __init__(self, rescues: Rescues, account: str) -> None:
        super().__init__()
        self._rescues = rescues
        self._view = PlanView(account)
        self._target: Target | None = None
        self._changed_at_s: float | None = None

    def compose_body(self) -> Iterable[Widget]:
        yield SectionRule()
        with VerticalScroll(can_focus=False, classes="modal-body"):
            yield PlanCompare()
        yield ConfirmLine()
        yield KeyBar()

    def on_mount(self) -> None:
        """Compute the first plan."""
        self._compute()

    @work(exclusive=True, group="plan", exit_on_error=False)
    async def _compute(self) -> None:
        account = self._view.account
        self._change(is_computing=True, problem="")
        try:
            plan = await self._rescues.desk.plan_for(account, self._target)
        except AppError as error:
            self._change(plan=None, is_computing=False, problem=str(error))
        else:
            self._take(plan)

    def _take(self, plan: Plan) -> None:
        old, state = self._view.option, self._dashboard.live_snapshot.accounts.get(self._view.account)
        chosen = present_plan.same_option(old, plan.options)
        seen = state.assessment.health_factor if state is not None else None
        fresh = plan.options[chosen] if plan.options else None
        if old is not None and (fresh is None or (old.amount, old.asset) != (fresh.amount, fresh.asset)):
            self._changed_at_s = self._dashboard.now_s
        self._change(plan=plan, chosen=chosen, is_computing=False, overtaken="", health_seen=seen)

    def show_body(self, frame: Frame) -> None:
        """Show the plan as of this frame; one that the market overtook is computed again at once."""
        view = self._view
        why = present_plan.overtaken(frame.snapshot, view)
        is_small = layout.size_class(self.app.size.width, self.app.size.height) is SizeClass.SMALL
        self._view = view = replace(
            view,
            overtaken=why or (view.overtaken if view.is_computing else ""),
            is_armed=self._rescues.is_armed,
            is_sending=view.account in self._rescues.in_flight,
            is_dense=is_small,
        )
        if why and not view.is_computing and view.account in frame.snapshot.accounts:
            self._view = view = replace(view, is_computing=True)
            self._compute()
        body, room = self.query_one(VerticalScroll), max(2, self.app.size.height - _AROUND)
        if body.styles.max_height is None or body.styles.max_height.value != room:
            body.styles.max_height = room
        self.query_one(SectionRule).model = present_plan.title(frame, view)
        self.query_one(PlanCompare).model = present_plan.table(frame, view)
        self.query_one(ConfirmLine).model = present_plan.confirm(frame, view)
        self.query_one(KeyBar).model = present_plan.keys(view)

    def action_choose(self, index: int) -> None:
        """Choose an alternative by its number."""
        if self._view.plan is not None and index < len(self._view.plan.options):
            self._change(chosen=index)

    def action_step(self, step: int) -> None:
        """Choose the next alternative, round the end."""
        count = len(self._view.plan.options) if self._view.plan is not None else 0
        if count:
            self._change(chosen=(self._view.chosen + step) % count)

    def action_scroll(self, rows: int) -> None:
        """Scroll the alternatives where the terminal is too low for them."""
        self.query_one(VerticalScroll).scroll_relative(y=rows, animate=False)

    def action_again(self) -> None:
        """Reconcile when something is unknown, else read and compute again."""
        if present_plan.unknown_of(self._dashboard.live_snapshot, self._view.account):
            self._rescues.reconcile(self._view.account)
        else:
            self._dashboard.action_refresh_desk()
            self._compute()

    def action_arm(self) -> None:
        """Arm from here."""
        self._rescues.open_arming()

    async def action_target(self) -> None:
        """Ask for another health to reach."""
        if not self.query(TypedLine):
            line = TypedLine("health to reach, empty for the usual")
            await self.mount(line, before=self.query_one(ConfirmLine))
            line.focus()

    def on_typed_line_submitted(self, message: TypedLine.Submitted) -> None:
        """Plan for the health that was typed."""
        text = message.line.take().strip()
        message.line.remove()
        if text and not _is_health(text):
            self._change(notice="a health is a number above 1, such as 1.5")
            return
        self._target = Target(health=Decimal(text)) if text else None
        self._compute()

    def action_confirm(self) -> None:
        """Begin what is chosen, if nothing speaks against it at this moment."""
        view, snapshot = self._view, self._dashboard.live_snapshot
        view = replace(view, notice="", overtaken=view.overtaken or present_plan.overtaken(snapshot, view))
        why = present_plan.why_not(snapshot, view)
        changed_s = self._changed_at_s
        if not why and changed_s is not None and self._dashboard.now_s - changed_s < LOOK_AGAIN_S:
            why = "the plan has just changed: look again, then enter"
        if why or view.plan is None:
            self._change(notice=why)
        else:
            self._rescues.begin(view.plan, view.chosen, "tui t")

    def _change(self, **changes: object) -> None:
        self._view = replace(self._view, **{"notice": "", **changes})  # type: ignore[arg-type]  # fields by name
        self._dashboard.paint_again()


def _is_health(text: str) -> bool:
    digits = text.replace(".", "", 1)
    return digits.isascii() and digits.isdigit() and len(digits) < 9 and Decimal(text) > 1
