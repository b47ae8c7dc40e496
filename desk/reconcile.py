"""Settling what a crash or a lost answer left open, by reading only: nothing here signs or sends."""

import asyncio

from desk.actions import ActionState, Stage, StepFate, StepState
from desk.carry import FATES, Diary, find_step
from desk.entries import EntryKind
from providers.errors import AppError
from providers.rescue_ports import CollateralWriter, Fate, Found

SETTLED = frozenset({StepFate.CONFIRMED, StepFate.REJECTED})
ABANDON_AFTER_NS = 600 * 1_000_000_000
"""How long something unknown must have been sent before its owner may close it by hand."""


async def reconcile(diary: Diary, writer: CollateralWriter | None, answer_s: float) -> ActionState | None:
    """Look up every signed step of an open action; return the action, or `None` when all its steps landed.

    Something signed of which neither chain nor venue knows stays `UNKNOWN`: it may still arrive. What was never
    signed was never sent, for a signature is durable here before it leaves.
    """
    for index, step in enumerate(diary.action.steps):
        if step.fate is StepFate.WAITING or step.fate in SETTLED:
            continue
        found, reference = await _found(writer, step, answer_s)
        fate = StepFate.UNKNOWN if found.fate is Fate.PENDING else FATES[found.fate]
        evidence = found.evidence or ("not landed yet" if found.fate is Fate.PENDING else "")
        if (fate, evidence) != (step.fate, step.evidence):
            await diary.outcome(index, fate, evidence, reference)
    fates = [step.fate for step in diary.action.steps]
    if StepFate.UNKNOWN in fates:
        return diary.action
    if StepFate.REJECTED in fates:
        rejected = diary.action.steps[fates.index(StepFate.REJECTED)]
        return await diary.finish(Stage.REJECTED, f"{rejected.title}: {rejected.evidence}")
    if fates and all(fate is StepFate.CONFIRMED for fate in fates):
        return None
    if StepFate.CONFIRMED in fates:
        undone = diary.action.steps[fates.index(StepFate.WAITING)].title
        return await diary.finish(Stage.UNFINISHED, f"{undone}: was never signed; what came before it landed")
    return await diary.finish(Stage.UNSENT, "nothing was signed, so nothing was sent")


def why_not_abandoned(action: ActionState, signed_ns: int, now_ns: int) -> str:
    """Return why an action may not be closed by hand now, or ""; `signed_ns` is when it last signed something."""
    if action.stage is not Stage.UNKNOWN:
        return f"action {action.id} is {action.stage}, not unknown"
    left_ns = signed_ns + ABANDON_AFTER_NS - now_ns
    if left_ns > 0:
        return f"it may still land: look again in {left_ns // 1_000_000_000 + 1} s"
    return ""


async def abandon(diary: Diary, reason: str) -> ActionState:
    """Close an unknown action on its owner's word, and say so in the journal; raises `JournalError`."""
    await diary.write(EntryKind.NOTE, {"event": "abandoned", "reason": reason})
    return await diary.finish(Stage.ABANDONED, f"closed by hand without knowing its outcome: {reason}")


async def _found(writer: CollateralWriter | None, step: StepState, answer_s: float) -> tuple[Found, str]:
    if writer is None:
        return Found(Fate.UNKNOWN, "no writer is configured for this account, so nobody can look"), ""
    try:
        async with asyncio.timeout(answer_s):
            return await find_step(writer, step)
    except AppError as error:
        return Found(Fate.UNKNOWN, str(error)), ""
    except TimeoutError:
        return Found(Fate.UNKNOWN, f"no answer within {answer_s:g} s"), ""
