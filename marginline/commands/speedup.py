"""`marginline topup --speed-up`: send again what waits, under its nonce, at a fee that overtakes it."""

import asyncio
import time
from pathlib import Path

from desk.actions import ActionState, Refusal
from desk.carry import Patience
from desk.speedup import Faster
from engine.answers import envelope
from engine.rendering import plain, rounded
from marginline.commands.setup import read_config
from marginline.commands.topup import SCHEMA, Sayer, password_of, sending, steps_answer, who
from marginline.config import Config
from marginline.exits import Exit
from marginline.output import put, put_json, say
from marginline.rescue import account_of, open_journal
from tui import numbers


def speed_up(
    path: Path | None,
    action_id: str,
    *,
    confirm: bool,
    password_from: str | None,
    as_json: bool,
    wait_s: float,
) -> Exit:
    """Overtake the step of an open action that waits; 0 confirmed, 30 refused, 31 failed, 32 still unknown.

    Without `confirm` the fee is shown and nothing is signed. 30 says only that nothing more was sent.
    """
    run = _Run(read_config(path), action_id, password_from, Patience(land_s=wait_s))
    try:
        action = asyncio.run(run.carry_out(confirm=confirm))
    except Refusal as refusal:
        say(f"marginline: refused: {refusal}")
        if as_json:
            put_json(_answer(run, "refused", Exit.REFUSED, str(refusal)))
        return Exit.REFUSED
    say(f"{action.account}: {action.stage.value}: {action.evidence}")
    if as_json:
        put_json(_answer(run, action.stage.value, action.exit_code, action.evidence))
    else:
        put(f"{action.stage.value} {action.id}")
    return Exit(action.exit_code)


class _Run:
    """One command's work; `action` and `offer` are as far as they are known."""

    def __init__(self, config: Config, action_id: str, password_from: str | None, patience: Patience) -> None:
        self._config, self._password_from, self._patience = config, password_from, patience
        self.id = action_id
        self.action: ActionState | None = None
        self.offer: Faster | None = None

    async def carry_out(self, *, confirm: bool) -> ActionState:
        """Return the action as it ended; raises `Refusal` when nothing more was sent."""
        self.action = await asyncio.to_thread(self._found)
        account = account_of(self._config, self.action.account)
        async with sending(self._config, account, self._patience) as (executor, tools):
            actor = f"cli {who()}"
            if confirm:
                box = tools.signers.get(account.name)
                await executor.arm(await password_of(box, account.name, self._password_from), actor=actor)
                self.action = next((one for one in executor.actions if one.id == self.id), self.action)
                if not self.action.is_open:
                    raise Refusal(f"nothing waits: {self.id} is {self.action.stage}: {self.action.evidence}")
            self.offer = await executor.faster(self.id)
            self._say(self.offer)
            if not confirm:
                raise Refusal("not confirmed; this is what would be done, add --confirm to do it")
            self.action = await executor.speed_up(self.offer, actor=actor, show=Sayer().show)
            return self.action

    def _found(self) -> ActionState:
        journal = open_journal(self._config)
        try:
            for action in journal.open_actions():
                if action.id == self.id:
                    return action
        finally:
            journal.close()
        raise Refusal(f"no open action {self.id[:40]}; see `marginline history`")

    def _say(self, offer: Faster) -> None:
        was, fee = numbers.cents(offer.was_usd), numbers.cents(offer.fee_usd)
        say(f"{offer.account}: {offer.step.title}: fee of at most {fee} $ in place of {was} $; {offer.replaces} waits")


def _answer(run: _Run, outcome: str, code: int, reason: str) -> dict[str, object]:
    action, offer = run.action, run.offer
    return envelope(
        SCHEMA,
        time.time_ns(),
        (),
        account=None if action is None else action.account,
        outcome=outcome,
        exit_code=int(code),
        reason=reason or None,
        action=run.id,
        means=None if action is None else action.means,
        asset=None if action is None else action.asset,
        amount=None if action is None else plain(action.amount),
        source=None if action is None else action.source,
        replaces=None if offer is None else offer.replaces,
        fee_usd=None
        if offer is None
        else {"before_at_most": rounded(offer.was_usd), "after_at_most": rounded(offer.fee_usd)},
        health_factor={
            "before": None if action is None else rounded(action.health_before),
            "after": None if action is None else rounded(action.health_after),
        },
        steps=[] if action is None else steps_answer(action),
    )
