"""Carrying out what was decided: step by step, each durable in the journal before the next; never sending twice."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from decimal import Decimal

from desk.actions import ActionState, JournalError, Stage, StepFate, StepState
from desk.entries import EntryKind
from desk.journal import Journal
from desk.replay import named
from engine.record import record
from providers.errors import AppError, Refused
from providers.rescue_ports import CollateralWriter, Fate, Found, Signed, Signer, Step

FATES = {
    Fate.PENDING: StepFate.SENT,
    Fate.CONFIRMED: StepFate.CONFIRMED,
    Fate.REJECTED: StepFate.REJECTED,
    Fate.UNKNOWN: StepFate.UNKNOWN,
}
"""How the fate that a venue tells reads as the state of a step."""


@record
class Patience:
    """How long to wait, in seconds: for a step to land, between two looks at it, and for any one answer."""

    land_s: float = 180.0
    look_every_s: float = 1.0
    answer_s: float = 20.0


class Diary:
    """One action's entries, and its state as screens see it: written first, shown after.

    Whoever decides the fate of a step, or replaces it, holds `turn`: nothing is replaced that was just decided.
    """

    def __init__(self, journal: Journal, action: ActionState, show: Callable[[ActionState], None]) -> None:
        self._journal = journal
        self._show = show
        self.action = action
        self.turn = asyncio.Lock()

    async def write(self, kind: EntryKind, facts: dict[str, object]) -> None:
        """Make one entry durable; raises `JournalError`."""
        action = self.action
        await asyncio.to_thread(
            self._journal.append, kind, facts, action=action.id, account=action.account, actor=action.actor
        )

    def show(self, action: ActionState) -> ActionState:
        """Make `action` the state that screens see."""
        self.action = action
        self._show(action)
        return action

    def show_step(self, index: int, step: StepState, evidence: str = "") -> None:
        """Replace one step in the state that screens see."""
        steps = (*self.action.steps[:index], step, *self.action.steps[index + 1 :])
        self.show(replace(self.action, steps=steps, evidence=evidence or self.action.evidence))

    async def outcome(self, index: int, fate: StepFate, evidence: str, reference: str = "") -> None:
        """Write and show what became of a step that was signed; raises `JournalError` after showing it.

        `reference` says which of several it was that landed.
        """
        step = replace(self.action.steps[index], fate=fate, evidence=evidence)
        facts: dict[str, object] = {"step": index, "fate": fate.value, "evidence": evidence}
        if reference and step.earlier:
            step, facts["reference"] = named(step, reference), reference
        stage = Stage.UNKNOWN if fate is StepFate.UNKNOWN else Stage.RUNNING
        self.action = replace(self.action, stage=stage)
        self.show_step(index, step, evidence)
        await self.write(EntryKind.OUTCOME, facts)

    async def finish(
        self,
        stage: Stage,
        evidence: str,
        health_before: Decimal | None = None,
        health_after: Decimal | None = None,
    ) -> ActionState:
        """Write and show the result; a journal that fails now is told in the evidence, the result stays true."""
        action = replace(self.action, stage=stage, evidence=evidence, health_after=health_after)
        facts: dict[str, object] = {
            "stage": stage.value,
            "evidence": evidence,
            "health_before": None if health_before is None else str(health_before),
            "health_after": None if health_after is None else str(health_after),
        }
        try:
            await self.write(EntryKind.RESULT, facts)
        except JournalError as error:
            action = replace(action, evidence=f"{evidence}; {error}")
        return self.show(action)


async def carry_steps(
    diary: Diary, writer: CollateralWriter, signer: Signer, steps: Sequence[Step], patience: Patience
) -> ActionState | None:
    """Sign, send and follow every step in order; return the action when it ended early, `None` when all landed.

    Ends early, without a result, in `UNKNOWN`: only reading may settle that. Never sends anything a second time.
    """
    for index, step in enumerate(steps):
        left_undone = Stage.UNFINISHED if index else Stage.UNSENT
        async with diary.turn:
            try:
                signed = await asyncio.to_thread(writer.sign, step, signer)
                signing: dict[str, object] = {"step": index, "reference": signed.reference}
                await diary.write(EntryKind.SIGNED, {**signing, "nonce": signed.nonce, "owner": signed.owner})
            except AppError as error:
                return await diary.finish(left_undone, f"{step.title}: not sent: {error}")
            state = StepState(step.title, StepFate.SIGNED, signed.reference, signed.nonce, signed.owner)
            diary.show_step(index, state)
            try:
                doubt = await hand_over(writer, signed, patience)
            except Refused as error:
                return await _refused(diary, index, str(error))
            diary.show_step(index, replace(state, fate=StepFate.SENT, evidence=doubt))
            silent = await noted(diary.write(EntryKind.SENT, {"step": index, "evidence": doubt}))
        found, unwritten = await follow(diary, index, writer, patience, said=silent)
        fate, silent = FATES[found.fate], unwritten or silent
        if fate is StepFate.REJECTED:
            return await diary.finish(Stage.REJECTED, f"{step.title}: {found.evidence}")
        if fate is not StepFate.CONFIRMED:
            return diary.show(replace(diary.action, stage=Stage.UNKNOWN))
        if silent and index + 1 < len(steps):
            return await diary.finish(Stage.UNFINISHED, f"{step.title} landed; the rest was not sent: {silent}")
    return None


async def follow(
    diary: Diary, index: int, writer: CollateralWriter, patience: Patience, *, said: str = ""
) -> tuple[Found, str]:
    """Return what became of a step that was sent, and why that could not be written, if it could not.

    As soon as it is certain; `UNKNOWN` when patience ends before, which begins anew whenever the step is replaced. A
    node that does not know it yet, or does not answer, is asked again. `said` comes before the evidence.
    """
    loop = asyncio.get_running_loop()
    last, known, until_s = "no answer yet", diary.action.steps[index].reference, loop.time() + patience.land_s
    while True:
        async with diary.turn:
            step = diary.action.steps[index]
            if step.reference != known:
                known, until_s = step.reference, loop.time() + patience.land_s
            left_s = until_s - loop.time()
            found, reference, last = await _looked_at(writer, step, min(patience.answer_s, max(left_s, 0.0)), last)
            if found is None and left_s <= 0:
                found = Found(Fate.UNKNOWN, f"not seen to land within {patience.land_s:g} s: {last}")
            if found is not None:
                evidence = "; ".join(filter(None, (said, found.evidence)))
                return found, await noted(diary.outcome(index, FATES[found.fate], evidence, reference))
        await asyncio.sleep(min(patience.look_every_s, max(until_s - loop.time(), 0.0)))


async def _looked_at(
    writer: CollateralWriter, step: StepState, answer_s: float, last: str
) -> tuple[Found | None, str, str]:
    """Return the fate and reference when they are certain, `None` and what was last heard otherwise."""
    try:
        async with asyncio.timeout(answer_s):
            found, reference = await find_step(writer, step)
    except AppError as error:
        return None, "", str(error)
    except TimeoutError:
        return None, "", last if answer_s <= 0 else "no answer"
    if found.fate in (Fate.CONFIRMED, Fate.REJECTED):
        return found, reference, found.evidence
    return None, "", found.evidence or found.fate.value


async def find_step(writer: CollateralWriter, step: StepState) -> tuple[Found, str]:
    """Return what became of a step, by whichever of its references landed, and that reference ("" when none did).

    They share a nonce, so one that landed decides; it is rejected only when every one of them is. Raises
    `ProviderError` while one of them is not known and none has landed.
    """
    told: list[Found] = []
    fault: AppError | None = None
    for reference in step.references or (step.reference,):
        try:
            found = await writer.find(reference, step.nonce, step.owner)
        except AppError as error:
            fault = fault or error
            continue
        if found.fate is Fate.CONFIRMED:
            return found, reference
        told.append(found)
    if fault is not None:
        raise fault
    for fate in (Fate.PENDING, Fate.UNKNOWN):
        for found in told:
            if found.fate is fate:
                return found, ""
    # What used the nonce may be one of them: then that one was mined and failed, and says why.
    own = [reference.lower() for reference in step.references]
    for found, reference in zip(told, step.references, strict=False):
        if not any(one in found.evidence.lower() for one in own):
            return found, reference
    return told[0], ""


async def look_again(diary: Diary, writer: CollateralWriter, patience: Patience) -> bool:
    """Look once more at steps that had landed; return whether one had left the chain, and follow it to a new fate.

    A block that is reorganised takes what it held with it: that may land again, or never.
    """
    moved = False
    for index, step in enumerate(diary.action.steps):
        found = await _glance(writer, step, patience)
        if found is None or found.fate is Fate.CONFIRMED:
            continue
        moved = True
        diary.show_step(index, replace(step, fate=StepFate.SENT, evidence=found.evidence))
        await follow(diary, index, writer, patience, said="after a reorganisation")
    return moved


async def _glance(writer: CollateralWriter, step: StepState, patience: Patience) -> Found | None:
    try:
        async with asyncio.timeout(patience.answer_s):
            return (await find_step(writer, step))[0]
    except (AppError, TimeoutError):
        return None


async def hand_over(writer: CollateralWriter, signed: Signed, patience: Patience) -> str:
    """Send once; return "" when it was taken, else why nobody knows; raises `Refused` when it certainly was not."""
    try:
        async with asyncio.timeout(patience.answer_s):
            await writer.send(signed)
    except Refused:
        raise
    except TimeoutError:
        return f"handed over without an answer within {patience.answer_s:g} s"
    except AppError as error:
        return f"handed over without a clear answer: {error}"
    return ""


async def _refused(diary: Diary, index: int, evidence: str) -> ActionState:
    silent = await noted(diary.outcome(index, StepFate.REJECTED, evidence))
    return await diary.finish(Stage.REJECTED, "; ".join(filter(None, (evidence, silent))))


async def noted(entry: Awaitable[None]) -> str:
    """Write after sending; return why it could not be written, for what was sent must be followed all the same."""
    try:
        await entry
    except JournalError as error:
        return str(error)
    return ""
