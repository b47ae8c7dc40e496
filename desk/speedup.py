"""Speeding up what waits: the same step under the same nonce at higher fees, as carefully as it was sent at first.

What is replaced stays known. Both carry one nonce, so the chain takes one of them at most, and whichever it takes
decides what became of the step.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from decimal import Decimal
from typing import Protocol, cast

from desk.actions import WAITS, ActionState, JournalError, Refusal, Stage, StepFate
from desk.carry import Diary, Patience, hand_over, noted
from desk.entries import EntryKind
from desk.journal import Journal
from desk.preflight import answered
from desk.replay import signed_steps
from engine.record import record
from providers.errors import AppError, Refused
from providers.rescue_ports import CollateralWriter, FeeRaiser, Signer, Step


class Replacer(CollateralWriter, FeeRaiser, Protocol):
    """A writer that can overtake what it sent."""


@record
class Faster:
    """One step that waits, at fees that overtake it: what is shown before it is confirmed.

    `replaces` is the reference that waits now. Fees are what one of them costs at most, in USD, `None` unknown.
    """

    action: str
    account: str
    index: int
    step: Step
    replaces: str
    made_at_ns: int
    was_usd: Decimal | None
    fee_usd: Decimal | None


def replacer_of(writer: CollateralWriter | None, account: str) -> Replacer:
    """Return the writer as one that can raise fees; raises `Refusal` where that does not exist."""
    if writer is None or not hasattr(writer, "why_not_replaced"):
        raise Refusal(f"{account}: what is sent there has no fee that could be raised")
    return cast(Replacer, writer)


def waiting(action: ActionState) -> int:
    """Return the index of the step that was signed and may still land; raises `Refusal` when none is."""
    if not action.is_open:
        raise Refusal(f"action {action.id} is {action.stage}: nothing of it waits")
    for index, step in enumerate(action.steps):
        if step.fate in WAITS:
            return index
    raise Refusal(f"nothing of action {action.id} waits: reconcile it")


async def faster(journal: Journal, action: ActionState, writer: CollateralWriter | None, now_ns: int) -> Faster:
    """Return what would overtake the step of `action` that waits; reads only, raises `Refusal` with the reason."""
    index = waiting(action)
    raiser = replacer_of(writer, action.account)
    try:
        signed = signed_steps(await asyncio.to_thread(journal.entries_of, action.id))
    except (JournalError, ValueError) as error:
        raise Refusal(str(error)) from error
    if index not in signed or not signed[index].payload:
        raise Refusal(f"the journal does not tell what was signed for step {index + 1}")
    try:
        raised = await answered("fees", raiser.speed_up(signed[index]))
        reason = await answered("checking", raiser.why_not_replaced(raised))
        was_usd = await answered("the old fee", raiser.fee_usd(signed[index]))
        fee_usd = await answered("the new fee", raiser.fee_usd(raised))
    except (LookupError, ValueError, TypeError) as error:
        raise Refusal(f"what the journal tells of step {index + 1} can't be read") from error
    if reason:
        raise Refusal(reason)
    replaces = action.steps[index].reference
    return Faster(action.id, action.account, index, raised, replaces, now_ns, was_usd, fee_usd)


async def overtake(
    diary: Diary,
    offer: Faster,
    writer: Replacer,
    signer: Signer,
    patience: Patience,
    allowed: Callable[[], AbstractAsyncContextManager[None]],
    actor: str,
) -> None:
    """Write the intent, sign and hand over what overtakes; raises `Refusal` when it was not handed over to anybody.

    `allowed` raises `Refusal` when caps or arming forbid it, and holds until the intent is written. What happened to
    the step meanwhile wins: one that was settled or replaced since the offer is left alone.
    """
    index = offer.index
    async with diary.turn:
        step = diary.action.steps[index] if index < len(diary.action.steps) else None
        if step is None or step.reference != offer.replaces or step.fate not in WAITS:
            raise Refusal("it was settled or replaced meanwhile: look again")
        reason = await answered("checking", writer.why_not_replaced(offer.step))
        if reason:
            raise Refusal(reason)
        try:
            async with allowed():
                await diary.write(EntryKind.REPLACE, _facts(offer, actor))
            diary.show_step(index, step := replace(step, fee_usd=offer.fee_usd))
            signed = await asyncio.to_thread(writer.sign, offer.step, signer)
            signing: dict[str, object] = {"step": index, "reference": signed.reference}
            await diary.write(EntryKind.SIGNED, {**signing, "nonce": signed.nonce, "owner": signed.owner})
        except Refusal:
            raise
        except AppError as error:
            raise Refusal(f"not sent faster, what was sent before still waits: {error}") from error
        step = replace(
            step,
            fate=StepFate.SIGNED,
            reference=signed.reference,
            earlier=(*step.earlier, step.reference),
            nonce=signed.nonce,
            owner=signed.owner,
        )
        diary.action = replace(diary.action, stage=Stage.RUNNING)
        diary.show_step(index, step)
        try:
            doubt = await hand_over(writer, signed, patience)
        except Refused as error:
            # Not the end of the step: what it was to replace waits on, or has just landed.
            doubt = f"the faster one was not taken: {error}"
        diary.show_step(index, replace(step, fate=StepFate.SENT, evidence=doubt))
        await noted(diary.write(EntryKind.SENT, {"step": index, "evidence": doubt}))


def _facts(offer: Faster, actor: str) -> dict[str, object]:
    step = offer.step
    return {
        "step": offer.index,
        "replaces": offer.replaces,
        "was_usd": None if offer.was_usd is None else str(offer.was_usd),
        "fee_usd": None if offer.fee_usd is None else str(offer.fee_usd),
        "by": actor,
        "title": step.title,
        "contract": step.contract,
        "chain_id": step.chain_id,
        "payload": dict(step.payload),
    }
