"""Rescues under way and done: progress step by step, the loud unknown, rows of the history."""

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING

from desk.actions import WAITS, ActionState, Stage, StepFate
from tui import numbers
from tui.present_plan import amount_text, hushed
from tui.view import Frame
from widgets.alertlist import AlertRow, Alerts
from widgets.bars import Section
from widgets.facts import Text
from widgets.plan import Progress, ProgressStep
from widgets.tones import Cell, Ground, Line, Phrase, Tone

if TYPE_CHECKING:
    from desk.speedup import Faster

NEXT_STEP = "do not send again; r reconciles by reading chain or venue"
FASTER_STEP = "f sends it again under its nonce at a higher fee: one of the two lands"
_FATES = {
    StepFate.WAITING: ("waiting", Tone.FAINT),
    StepFate.SIGNED: ("signed", Tone.WATCH),
    StepFate.SENT: ("sent", Tone.WATCH),
    StepFate.CONFIRMED: ("confirmed", Tone.KEY),
    StepFate.REJECTED: ("rejected", Tone.DANGER),
    StepFate.UNKNOWN: ("UNKNOWN", Tone.STALE),
}
_STAGES = {
    Stage.PREPARING: ("preparing", "·", Tone.WATCH),
    Stage.RUNNING: ("under way", "·", Tone.WATCH),
    Stage.CONFIRMED: ("confirmed", "+", Tone.KEY),
    Stage.REJECTED: ("rejected", "!", Tone.DANGER),
    Stage.UNKNOWN: ("UNKNOWN", "?", Tone.STALE),
    Stage.UNSENT: ("not sent", "-", Tone.WARN),
    Stage.UNFINISHED: ("unfinished", "!", Tone.WARN),
    Stage.ABANDONED: ("closed by hand", "?", Tone.UNKNOWN),
}


def about(action: ActionState, *, is_masked: bool) -> str:
    """Return what an action does in words."""
    amount = numbers.MASK if is_masked else amount_text(action.amount)
    return f"{action.means} {amount} {action.asset} for {action.account} from {action.source}"


def progress(frame: Frame, action: ActionState) -> Progress:
    """Return an action step by step, down to the account as it was read afterwards."""
    word, _, tone = _STAGES[action.stage]
    headline: Line = (Cell(word.upper(), tone if tone is not Tone.WATCH else Tone.STRONG), Cell("  "))
    headline += (Cell(_health_line(action) or _where(action), Tone.STRONG),)
    ground, closing = Ground.SURFACE, list[Line]()
    if action.stage is Stage.UNKNOWN:
        headline = (Cell(" OUTCOME UNKNOWN ", Tone.STALE), Cell("  it may have landed, or still land", Tone.STRONG))
        ground = Ground.RAISED
        closing.append((Cell(NEXT_STEP, Tone.STRONG),))
        if waits(action):
            closing.append((Cell(FASTER_STEP, Tone.TEXT),))
        closing.append((Cell("nothing more is sent for this account until that has settled it", Tone.TEXT),))
    elif action.stage is Stage.UNFINISHED:
        closing.append((Cell("some steps landed: look at the account, then make a plan anew", Tone.WARN),))
    elif action.stage in (Stage.REJECTED, Stage.UNSENT):
        closing.append((Cell("make a plan anew to try again: t", Tone.TEXT),))
    said: list[Line] = [(Cell(about(action, is_masked=frame.view.is_masked), Tone.TEXT),)]
    if action.target:
        said.append((Cell(f"target {action.target}", Tone.MUTED),))
    if action.evidence:
        said.append((Cell(hushed(frame, action.evidence), Tone.TEXT),))
    return Progress(headline, ground, tuple(said), tuple(_steps(frame, action)), tuple(closing))


def _where(action: ActionState) -> str:
    """Return which step an action is at; nothing once it has ended."""
    landed = sum(1 for step in action.steps if step.fate is StepFate.CONFIRMED)
    if not action.is_open or not action.steps:
        return ""
    if landed == len(action.steps):
        return "everything landed, reading the account again"
    return f"step {landed + 1} of {len(action.steps)}"


def refused(frame: Frame, reason: str) -> Progress:
    """Return that nothing was begun, and why."""
    headline = (Cell("REFUSED", Tone.WARN), Cell("  nothing was signed, nothing was sent", Tone.STRONG))
    return Progress(headline, Ground.SURFACE, ((Cell(hushed(frame, reason), Tone.TEXT),),))


def checking(said: str) -> Progress:
    """Return what is being done before anything is signed."""
    headline = (Cell("CHECKING", Tone.STRONG), Cell("  simulation, caps, contracts; nothing is signed yet", Tone.MUTED))
    return Progress(headline, Ground.SURFACE, ((Cell(said, Tone.TEXT),),))


def waits(action: ActionState | None) -> bool:
    """Return whether a transaction was signed and may still land: what a higher fee could overtake."""
    if action is None or not action.is_open:
        return False
    return any(step.fate in WAITS and step.reference.startswith("0x") for step in action.steps)


def faster(frame: Frame, offer: "Faster | None", problem: str, *, is_armed: bool) -> Progress:
    """Return what overtaking costs, or why it can't be done, or that it is being looked up."""
    if offer is None:
        said = hushed(frame, problem)
        head: Line = (Cell("reading fees", Tone.STRONG),)
        if problem:
            head = (Cell("NOT SENT", Tone.WARN), Cell("  what was sent before still waits", Tone.STRONG))
        return Progress(head, Ground.SURFACE, ((Cell(said, Tone.TEXT),),) if said else ())
    was, now = (f"{numbers.cents(fee)} $" if fee is not None else "unknown" for fee in (offer.was_usd, offer.fee_usd))
    head = (Cell("FASTER", Tone.STRONG), Cell(f"  fee of at most {now}, in place of {was}", Tone.STRONG))
    about: tuple[Line, ...] = (
        (Cell(hushed(frame, offer.step.title), Tone.TEXT),),
        (Cell("the same transaction under the same nonce: one of the two lands at most", Tone.MUTED),),
        (Cell(f"in place of {_short(offer.replaces)}", Tone.MUTED),),
    )
    closing: Line = (Cell("enter sends it" if is_armed else "not armed: A arms", Tone.KEY if is_armed else Tone.WATCH),)
    return Progress(head, Ground.SURFACE, about, (), (closing,))


def cut_off(said: str) -> Progress:
    """Return that this program lost sight of an action: as loud as an unknown outcome."""
    headline = (Cell(" OUTCOME UNKNOWN ", Tone.STALE), Cell("  the work ended without an answer", Tone.STRONG))
    return Progress(headline, Ground.RAISED, ((Cell(said, Tone.TEXT),),), (), ((Cell(NEXT_STEP, Tone.STRONG),),))


def unknown_phrase(actions: Iterable[ActionState]) -> Phrase | None:
    """Return the verdict's first words while an outcome is unknown; `None` when none is."""
    names = list(dict.fromkeys(action.account for action in actions if action.stage is Stage.UNKNOWN))
    if not names:
        return None
    said = f"  {', '.join(names)}: do not send again, r reconciles"
    return Phrase((Cell(" OUTCOME UNKNOWN ", Tone.STALE), Cell(said, Tone.STRONG)), rank=-13)


def section(actions: tuple[ActionState, ...], problem: str, *, is_focused: bool) -> Section:
    """Return the title of the history: how many, or why it can't be read."""
    if problem:
        return Section("history", problem, is_focused)
    count = f"{len(actions)} action{'' if len(actions) == 1 else 's'}, newest first"
    return Section("history", count if actions else "no actions", is_focused)


def rows(frame: Frame, actions: tuple[ActionState, ...], nothing: str) -> Alerts:
    """Return one line per action: when, which account, what, and how it ended."""
    return Alerts(tuple(_row(frame, action) for action in actions), nothing)


def merged(latest: tuple[ActionState, ...], kept: tuple[ActionState, ...]) -> tuple[ActionState, ...]:
    """Return the journal's actions with the newer states of the snapshot, newest first, each once."""
    by_id = {action.id: action for action in kept} | {action.id: action for action in latest}
    return tuple(sorted(by_id.values(), key=lambda action: -action.started_at_ns))


def detail(frame: Frame, action: ActionState | None) -> Text:
    """Return one action in full: who asked, its value, health, every step with its reference and evidence."""
    if action is None:
        return Text()
    is_masked = frame.view.is_masked
    value = "" if action.value_usd is None else f"{numbers.MASK if is_masked else numbers.money(action.value_usd)} $"
    facts = [
        ("what", about(action, is_masked=is_masked)),
        ("outcome", _STAGES[action.stage][0]),
        ("said", hushed(frame, action.evidence)),
        ("health", _health_line(action)),
        ("target", action.target),
        ("value", value),
        ("asked by", action.actor),
        ("id", action.id),
    ]
    lines: list[Line] = [(Cell(f" {label:<9}", Tone.MUTED), Cell(said, Tone.TEXT)) for label, said in facts if said]
    for at, step in enumerate(action.steps, 1):
        word, tone = _FATES[step.fate]
        nonce = "" if step.nonce is None else f"  nonce {step.nonce}"
        lines.append(
            (Cell(f" step {at}   ", Tone.MUTED), Cell(f"{hushed(frame, step.title)}  ", Tone.TEXT), Cell(word, tone))
        )
        if step.reference:
            lines.append((Cell(f"          {step.reference}{nonce}", Tone.MUTED),))
        lines.extend((Cell(f"          in place of {each}", Tone.MUTED),) for each in reversed(step.earlier))
        if step.evidence:
            lines.append((Cell(f"          {hushed(frame, step.evidence)}", Tone.MUTED),))
    if action.stage is Stage.UNKNOWN:
        lines.append((Cell(f" {NEXT_STEP}", Tone.STRONG),))
    return Text(tuple(lines))


def _steps(frame: Frame, action: ActionState) -> Iterable[ProgressStep]:
    for at, step in enumerate(action.steps, 1):
        word, tone = _FATES[step.fate]
        replaced = f"in place of {_short(step.earlier[-1])}" if step.earlier else ""
        found = "  ".join(filter(None, (_short(step.reference), replaced, hushed(frame, step.evidence))))
        yield ProgressStep(Cell(str(at), Tone.MUTED), hushed(frame, step.title), Cell(word, tone), found)
    if not action.steps:
        return
    if action.stage is Stage.CONFIRMED:
        fate = Cell("read", Tone.KEY)
    elif action.is_open and all(step.fate is StepFate.CONFIRMED for step in action.steps):
        fate = Cell("reading", Tone.WATCH)
    else:
        fate = Cell("waiting", Tone.FAINT)
    yield ProgressStep(Cell(str(len(action.steps) + 1), Tone.MUTED), "read the account again", fate)


def _short(reference: str) -> str:
    return f"{reference[:8]}..{reference[-4:]}" if len(reference) > 24 else reference


def _health_line(action: ActionState) -> str:
    if action.stage is not Stage.CONFIRMED:
        return ""
    if action.health_after is None and action.health_before is None:
        return ""
    is_free = action.health_after is None and "nothing is owed" in action.evidence
    return f"health {numbers.health(action.health_before)} → {'no debt' if is_free else _after(action.health_after)}"


def _after(health: Decimal | None) -> str:
    return numbers.UNKNOWN if health is None else numbers.health(health)


def _row(frame: Frame, action: ActionState) -> AlertRow:
    word, mark, tone = _STAGES[action.stage]
    is_filled = tone is Tone.STALE
    said = about(action, is_masked=frame.view.is_masked).replace(f" for {action.account}", "")
    health = _health_line(action)
    return AlertRow(
        key=action.id,
        time=Cell(numbers.clock(action.started_at_ns), Tone.MUTED),
        glyph=Cell(mark, Tone.UNKNOWN if is_filled else tone),
        subject=Cell(action.account, Tone.STRONG),
        text=Cell("  ".join(filter(None, (said, health or hushed(frame, action.evidence)))), Tone.TEXT),
        state=Cell(word[:10], tone),
    )
