"""What the executor asks of the journal, off the loop; a journal that can't answer is a reason to refuse."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import TypeVar

from desk.actions import ActionState, JournalError, Refusal
from desk.entries import EntryKind
from desk.journal import Journal
from desk.limits import DAY_NS, Limits, fee_over_cap, left_today, over_cap, spent
from engine.plan_checks import Caps
from engine.rescue import Option

log = logging.getLogger("marginline.desk")

T = TypeVar("T")


class Books:
    """The journal and the caps that it counts for."""

    def __init__(self, journal: Journal, limits: Limits, clock: Callable[[], int]) -> None:
        self._journal = journal
        self._limits = limits
        self._clock = clock

    async def ask(self, question: Callable[[], T]) -> T:
        """Return what the journal answers; raises `Refusal` when it can't."""
        try:
            return await asyncio.to_thread(question)
        except JournalError as error:
            raise Refusal(str(error)) from error

    async def check_trust(self) -> None:
        """Raise `Refusal` with the first sign that the journal was altered, cut or damaged."""
        problems = await asyncio.to_thread(self._journal.verify)
        if problems:
            raise Refusal(f"the journal can't be trusted, nothing is sent: {problems[0]}")

    async def check_new(self, account: str, action: str) -> None:
        """Raise `Refusal` while an action of `account` is open, or when this one was begun before."""
        for left in await self.ask(self._journal.open_actions):
            if left.account == account:
                raise Refusal(
                    f"what became of action {left.id} is unknown: reconcile it before sending more for this account"
                )
        if await self.ask(lambda: self._journal.knows(action)):
            raise Refusal("this plan was carried out before; make it again")

    async def check_caps(self, account: str, option: Option) -> None:
        """Raise `Refusal` naming the cap that `option` would break."""
        since_ns = self._clock() - DAY_NS
        recent = await self.ask(lambda: self._journal.actions_since(since_ns))
        over = over_cap(self._limits, account, option, spent(recent, since_ns))
        if over:
            raise Refusal(over)

    async def check_fee(self, action: ActionState, index: int, fee_usd: Decimal | None) -> None:
        """Raise `Refusal` naming the cap that the fee of a replacement of one step would break."""
        since_ns = self._clock() - DAY_NS
        recent = await self.ask(lambda: self._journal.actions_since(since_ns))
        # Of all that were signed for this step one lands: the highest fee is the one that counts.
        before = action.steps[index].fee_usd or Decimal(0)
        has_counted = any(one.id == action.id for one in recent)
        total = spent(recent, since_ns) - (before if has_counted else Decimal(0))
        over = fee_over_cap(self._limits, action.account, fee_usd, total)
        if over:
            raise Refusal(over)

    async def open_action(self, action: str) -> ActionState:
        """Return an action whose end is not known; raises `Refusal` when it is none (any more)."""
        for left in await self.ask(self._journal.open_actions):
            if left.id == action:
                return left
        raise Refusal(f"no open action {action}")

    async def signed_last_ns(self, action: ActionState) -> int:
        """Return when anything of an action was signed last, or when it began; raises `Refusal`."""
        entries = await self.ask(lambda: self._journal.entries_of(action.id))
        return max((entry.at_ns for entry in entries if entry.kind == EntryKind.SIGNED), default=action.started_at_ns)

    async def caps(self, account: str) -> Caps:
        """Return what the caps still leave to one action for `account`; raises `Refusal`."""
        since_ns = self._clock() - DAY_NS
        recent = await self.ask(lambda: self._journal.actions_since(since_ns))
        return Caps(self._limits.per_action(account), left_today(self._limits, spent(recent, since_ns)))

    async def note(self, actor: str, **facts: object) -> None:
        """Write what belongs to no action; raises `JournalError`."""
        await asyncio.to_thread(self._journal.append, EntryKind.NOTE, facts, actor=actor)

    async def refused(self, facts: Mapping[str, object], action: str, account: str, actor: str) -> None:
        """Write a refusal; one that can't be written is logged, for nothing happened that must be remembered."""
        try:
            await asyncio.to_thread(
                self._journal.append, EntryKind.REFUSED, facts, action=action, account=account, actor=actor
            )
        except JournalError as error:
            log.warning("%s", error)
