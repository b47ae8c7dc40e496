"""The one place that sends: arms, decides whether a plan may be carried out, carries it out, and reconciles."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from typing import TypeVar

from desk.actions import ActionState, JournalError, Refusal, Stage, StepFate, StepState
from desk.arming import Armed, Armoury, why_not_armed
from desk.books import Books
from desk.carry import Diary, Patience, carry_steps, follow, look_again
from desk.entries import EntryKind
from desk.intents import intent_facts, plan_id, proposed_action
from desk.journal import Journal
from desk.limits import Limits, too_old
from desk.preflight import Prices, Ready, Seen, proven
from desk.readings import Readings
from desk.reconcile import abandon, reconcile, why_not_abandoned
from desk.speedup import Faster, faster, overtake, replacer_of
from engine.plan_checks import Caps
from engine.rescue import Option, Plan
from providers.errors import AppError
from providers.ports import PositionSource, Reading
from providers.rescue_ports import CollateralWriter, Fate, SignerBox, WalletSource

log = logging.getLogger("marginline.desk")

T = TypeVar("T")
_SHOWN = 20


class Executor:
    """Carries out plans on the configured accounts; all mappings are by configured account name.

    `actions` are the latest, newest first, and `armed_until_ns` is `None` unarmed; `on_change` is called after each
    change of either. `on_reading` gets every reading made on the way, so that the desk shows it at once. `prices` are
    shared prices for accounts that have none of their own.
    """

    def __init__(
        self,
        journal: Journal,
        writers: Mapping[str, CollateralWriter],
        wallets: Mapping[str, WalletSource],
        signers: Mapping[str, SignerBox],
        sources: Mapping[str, PositionSource],
        limits: Limits,
        *,
        clock: Callable[[], int] = time.time_ns,
        prices: Prices = dict,
        patience: Patience | None = None,
        on_change: Callable[[], None] = lambda: None,
        on_reading: Callable[[Reading], None] = lambda _: None,
    ) -> None:
        self.journal = journal
        self.limits = limits
        self.actions: tuple[ActionState, ...] = ()
        self.on_change = on_change
        self.on_reading = on_reading
        self._writers = writers
        self._wallets = wallets
        self._signers = signers
        self._sources = sources
        self._clock = clock
        self._prices = prices
        self._patience = patience or Patience()
        self._armoury = Armoury({box.name: box for box in signers.values()}.values())
        self._busy: dict[str, str] = {}
        self._running: dict[str, Diary] = {}
        self._reconciled = False
        self._holders = 0
        self._books = Books(journal, limits, clock)
        self._readings = Readings(clock, prices, self._patience, lambda reading: self.on_reading(reading))
        self._expiry: asyncio.TimerHandle | None = None
        self._deciding = asyncio.Lock()

    @property
    def armed(self) -> Armed | None:
        """Return who armed until when, `None` when not armed; an arming whose time is over ends here."""
        self._expire()
        return self._armoury.armed

    @property
    def armed_until_ns(self) -> int | None:
        """Return when arming ends, `None` when not armed."""
        armed = self.armed
        return None if armed is None else armed.until_ns

    @property
    def passwords_needed(self) -> tuple[str, ...]:
        """Return the names of signers that ask for a password."""
        return self._armoury.locked_by_password

    async def arm(self, passwords: Mapping[str, str], *, actor: str, minutes: int | None = None) -> Armed:
        """Unlock the signers for a while, and settle what an earlier run left open.

        `passwords` are by signer name; one that needs a password and has none stays locked. Raises `Refusal` (another
        process sends, the journal can't be trusted, no signer), `Unauthorised` (wrong password), `ConfigError`.
        """
        with self._right_to_send():
            await self._books.check_trust()
            if not self._reconciled:
                await self.reconcile_open(actor=actor)
            time_min = self.limits.arm_minutes if minutes is None else minutes
            armed = await self._armoury.arm(passwords, time_min, actor, self._clock())
            try:
                await self._books.note(actor, event="armed", until_ns=armed.until_ns, signers=list(armed.signers))
            except JournalError as error:
                self._armoury.disarm()
                raise Refusal(str(error)) from error
            self._expire_in(time_min * 60.0)
        return armed

    async def disarm(self, *, actor: str) -> None:
        """Wipe every key at once; a step that was not signed by now is not signed any more."""
        was_armed = self._armoury.armed is not None
        self._armoury.disarm()
        self._let_go()
        self.on_change()
        if was_armed:
            try:
                await self._books.note(actor, event="disarmed")
            except JournalError as error:
                log.warning("%s", error)

    async def reconcile_open(self, *, actor: str, account: str | None = None) -> tuple[ActionState, ...]:
        """Settle open actions by reading, of one account or of all; return those looked at, as they stand now.

        What chain or venue can't tell yet stays open and blocks its account alone. Raises `Refusal` when another
        process sends, or the journal can't be read or written.
        """
        with self._right_to_send():
            try:
                left = await self._books.ask(self.journal.open_actions)
                looked = []
                for action in left:
                    if (account is None or action.account == account) and action.account not in self._busy:
                        with self._claimed(action.account, alone=False):
                            looked.append(await self._reconcile(replace(action, actor=actor)))
                await self._recall()
            except JournalError as error:
                raise Refusal(str(error)) from error
            self._reconciled = self._reconciled or account is None
        return tuple(looked)

    async def abandon(self, action_id: str, *, actor: str, reason: str) -> ActionState:
        """Close an unknown action by hand after looking once more; raises `Refusal` when it may still land."""
        for action in await self.reconcile_open(actor=actor):
            if action.id == action_id:
                break
        else:
            raise Refusal(f"no open action {action_id}")
        if action.is_open:
            why = why_not_abandoned(action, await self._books.signed_last_ns(action), self._clock())
            if why:
                raise Refusal(why)
            try:
                action = await abandon(self._diary(replace(action, actor=actor)), reason)
            except JournalError as error:
                raise Refusal(str(error)) from error
        return action

    async def execute(
        self, plan: Plan, option: Option, *, actor: str, show: Callable[[ActionState], None] = lambda _: None
    ) -> ActionState:
        """Carry out `option` of `plan` once; return the action with its stage and `exit_code`.

        Raises `Refusal` when it was not begun: then nothing was signed, and the journal says why. `show` gets every
        state on the way. An action that is not confirmed is never tried again here: make a plan anew.
        """
        try:
            with self._claimed(plan.account):
                self._check_armed(plan.account)
                with self._right_to_send():
                    proposed = proposed_action(plan, option, actor, self._clock())
                    show(proposed)
                    ready = await self._may_begin(plan, option)
                    diary = await self._begin(plan, proposed, ready, show)
                    return await self._carry(plan, diary, ready)
        except Refusal as error:
            await self._refused(plan, option, actor, str(error))
            raise

    async def faster(self, action_id: str) -> Faster:
        """Return what would overtake the step of an open action that waits; signs nothing, raises `Refusal`."""
        running = next((each.action for each in self._running.values() if each.action.id == action_id), None)
        action = running or await self._books.open_action(action_id)
        return await faster(self.journal, action, configured(self._writers, action.account), self._clock())

    async def speed_up(
        self, offer: Faster, *, actor: str, show: Callable[[ActionState], None] = lambda _: None
    ) -> ActionState:
        """Send what overtakes a step that waits, once; return the action as it then stands.

        One that is being carried out here goes on to its end; any other is followed until the step has landed. Raises
        `Refusal` when nothing was handed over: what was sent before still waits.
        """
        writer, signer = configured(self._writers, offer.account), configured(self._signers, offer.account)
        running = self._running.get(offer.account)

        @asynccontextmanager
        async def allowed() -> AsyncIterator[None]:
            old = too_old(self.limits, offer.made_at_ns, self._clock())
            if old:
                raise Refusal(old)
            if running is not None and self._running.get(offer.account) is not running:
                raise Refusal("it was settled meanwhile: look again")
            async with self._deciding:  # of two at once, the second sees the first one's value
                await self._books.check_fee(diary.action, offer.index, offer.fee_usd)
                self._check_armed(offer.account)
                yield

        try:
            self._check_armed(offer.account)
            raiser = replacer_of(writer, offer.account)
            if signer is None:
                raise Refusal(f"{offer.account} is read-only: no signer is configured")
            if running is not None and running.action.id == offer.action:
                diary = running  # one that ended while its turn was waited for is not followed any more
                await overtake(diary, offer, raiser, signer, self._patience, allowed, actor)
                return diary.action
            with self._claimed(offer.account), self._right_to_send():
                if not self._reconciled:
                    raise Refusal("actions of an earlier run are not reconciled yet")
                action = await self._books.open_action(offer.action)
                diary = self._diary(replace(action, actor=actor), show)
                with self._told(diary):
                    await overtake(diary, offer, raiser, signer, self._patience, allowed, actor)
                    found, _ = await follow(diary, offer.index, raiser, self._patience)
                    if found.fate is Fate.UNKNOWN:
                        return diary.show(replace(diary.action, stage=Stage.UNKNOWN))
                    return await self._reconcile(diary.action, show)
        except Refusal as error:
            facts = {"reason": str(error), "speeds_up": offer.replaces, "step": offer.index}
            await self._books.refused(facts, offer.action, offer.account, actor)
            raise

    async def caps(self, account: str) -> Caps:
        """Return what the caps still leave to one action for `account`; raises `Refusal`: the journal is unreadable."""
        return await self._books.caps(account)

    def held_by(self, account: str) -> str:
        """Return in a phrase which action keeps `account` from another one now, or ""."""
        for action in self.actions:
            if action.account == account and action.is_open:
                return "reconcile" if action.stage is Stage.UNKNOWN else "in flight"
        return ""

    async def aclose(self) -> None:
        """Disarm and close the journal."""
        if self._expiry is not None:
            self._expiry.cancel()
        await self.disarm(actor="exit")
        await asyncio.to_thread(self.journal.close)

    async def _may_begin(self, plan: Plan, option: Option) -> Ready:
        """Return the proven steps; raises `Refusal` at the first thing that forbids them. Nothing is signed here."""
        if option not in plan.options:
            raise Refusal("this is not an option of the plan")
        if not self._reconciled:
            raise Refusal("actions of an earlier run are not reconciled yet")
        await self._books.check_new(plan.account, plan_id(plan))
        now_ns = self._clock()
        old = too_old(self.limits, plan.made_at_ns, now_ns)
        if old:
            raise Refusal(old)
        source = configured(self._sources, plan.account)
        writer = configured(self._writers, plan.account)
        if source is None or writer is None:
            raise Refusal(f"{plan.account}: nothing is configured that could carry out a rescue")
        seen = await self._readings.now(source, plan)
        if option.blockers:
            raise Refusal("; ".join(option.blockers))
        await self._books.check_caps(plan.account, option)
        wallet = configured(self._wallets, plan.account)
        ready = await proven(plan, option, seen, writer, wallet, self.limits, self._prices)
        old = too_old(self.limits, plan.made_at_ns, self._clock())
        if old:
            raise Refusal(old)
        return ready

    def _check_armed(self, account: str) -> None:
        box = configured(self._signers, account)
        if box is None:
            raise Refusal(f"{account} is read-only: no signer is configured")
        why = why_not_armed(self._armoury.armed, box.name, self._clock())
        if why:
            locked = self._armoury.locked.get(box.name, "") if self._armoury.armed is not None else ""
            raise Refusal(f"{why}: {locked}" if locked else why)

    async def _begin(
        self, plan: Plan, proposed: ActionState, ready: Ready, show: Callable[[ActionState], None]
    ) -> Diary:
        """Make the intent durable; raises `Refusal` when the journal can't."""
        steps = tuple(StepState(step.title) for step in ready.steps)
        action = replace(
            proposed,
            stage=Stage.RUNNING,
            started_at_ns=self._clock(),
            steps=steps,
            health_before=ready.seen.health,
            value_usd=ready.option.value_usd,
        )
        diary = self._diary(action, show)
        async with self._deciding:  # of two at once, the second sees the first one's value
            await self._books.check_caps(plan.account, ready.option)
            self._check_armed(plan.account)
            try:
                await diary.write(EntryKind.INTENT, intent_facts(action, ready))
            except JournalError as error:
                raise Refusal(str(error)) from error
        diary.show(action)
        return diary

    async def _carry(self, plan: Plan, diary: Diary, ready: Ready) -> ActionState:
        writer = configured(self._writers, plan.account)
        signer = configured(self._signers, plan.account)
        if writer is None or signer is None:
            raise ValueError(f"{plan.account} was never cleared to send")
        self._running[plan.account] = diary
        try:
            with self._told(diary):
                ended = await carry_steps(diary, writer, signer, ready.steps, self._patience)
                return ended or await self._conclude(diary, ready.seen)
        finally:
            del self._running[plan.account]

    @contextmanager
    def _told(self, diary: Diary) -> Iterator[None]:
        """Show an action that is cut off on its way as unknown: the journal knows how far it came."""
        try:
            yield
        except Refusal:
            raise
        except BaseException:
            diary.show(replace(diary.action, stage=Stage.UNKNOWN, evidence="interrupted: reconcile it by reading"))
            raise

    async def _conclude(self, diary: Diary, before: Seen | None) -> ActionState:
        """Read the account again and write the result: every step has landed."""
        action = diary.action
        writer = configured(self._writers, action.account)
        try:
            seen = await self._readings.later(self._source(action.account), action.account, before)
            if writer is not None and await look_again(diary, writer, self._patience):
                fates = [step.fate for step in diary.action.steps]
                if StepFate.UNKNOWN in fates:
                    return diary.show(replace(diary.action, stage=Stage.UNKNOWN))
                if StepFate.REJECTED in fates:
                    gone = diary.action.steps[fates.index(StepFate.REJECTED)]
                    return await diary.finish(Stage.REJECTED, f"{gone.title}: {gone.evidence}")
                seen = await self._readings.later(self._source(action.account), action.account, None)
        except (AppError, TimeoutError) as error:
            said = "in time" if isinstance(error, TimeoutError) else f"again: {error}"
            return await diary.finish(Stage.CONFIRMED, f"landed; the account could not be read {said}")
        was = action.health_before if before is None else before.health
        wanted = f"target {action.target}" if action.target else "no target"
        said = "nothing is owed" if seen.health is None else f"health {seen.health:.4f}"
        return await diary.finish(Stage.CONFIRMED, f"landed: {said}, {wanted}", was, seen.health)

    def _source(self, account: str) -> PositionSource:
        source = configured(self._sources, account)
        if source is None:
            raise Refusal("its source is not configured")
        return source

    async def _reconcile(
        self, action: ActionState, show: Callable[[ActionState], None] = lambda _: None
    ) -> ActionState:
        diary = self._diary(action, show)
        writer = configured(self._writers, action.account)
        return await reconcile(diary, writer, self._patience.answer_s) or await self._conclude(diary, None)

    def _diary(self, action: ActionState, show: Callable[[ActionState], None] = lambda _: None) -> Diary:
        def shown(state: ActionState) -> None:
            kept = [one for one in self.actions if one.id != state.id]
            self.actions = tuple(sorted((state, *kept), key=lambda one: -one.started_at_ns)[:_SHOWN])
            show(state)
            self.on_change()

        return Diary(self.journal, action, shown)

    async def _recall(self) -> None:
        running = {one.id: one for one in self.actions if one.account in self._busy}
        kept = await asyncio.to_thread(self.journal.actions, _SHOWN)
        self.actions = tuple(running.get(one.id, one) for one in kept)

    async def _refused(self, plan: Plan, option: Option, actor: str, reason: str) -> None:
        facts = {"reason": reason, "means": option.means.value, "asset": option.asset, "amount": str(option.amount)}
        await self._books.refused(facts, plan_id(plan), plan.account, actor)

    def _expire_in(self, seconds: float) -> None:
        """Wipe the keys when the time is over, whether or not anyone looks."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._expiry = asyncio.get_running_loop().call_later(seconds, self._expire)

    def _expire(self) -> None:
        if not self._busy and self._armoury.expire(self._clock()):
            self._let_go()
            self.on_change()

    @contextmanager
    def _claimed(self, account: str, *, alone: bool = True) -> Iterator[None]:
        """Keep an account, and with `alone` the wallet that pays for it, to one action; raises `Refusal` when taken."""
        keys, box = [account], configured(self._signers, account)
        if box is not None and alone:
            # Two signers may hold one key, and so one nonce, or two names stand for one login of a venue.
            keys.append(f"wallet {box.address.lower() if box.address.startswith('0x') else box.address}")
        for key in keys:
            if key in self._busy:
                raise Refusal(f"a rescue of {self._busy[key]} is under way with the same account or wallet")
        self._busy |= dict.fromkeys(keys, account)
        try:
            yield
        finally:
            for key in keys:
                self._busy.pop(key, None)
            self._expire()
            self._let_go()
            self.on_change()

    @contextmanager
    def _right_to_send(self) -> Iterator[None]:
        """Hold the journal's right to send; raises `Refusal` naming the process that has it."""
        self.journal.sender.acquire()
        self._holders += 1
        try:
            yield
        finally:
            self._holders -= 1
            self._let_go()
            self.on_change()

    def _let_go(self) -> None:
        """Give back the right to send once nobody here needs it; others may then leave actions open."""
        if self._armoury.armed is None and not self._holders and self.journal.sender.is_held:
            self.journal.sender.release()
            self._reconciled = False


def configured(by_name: Mapping[str, T], account: str) -> T | None:
    """Return what is configured for `account`, or for the configured account that it belongs to ("name:part")."""
    return by_name.get(account) or by_name.get(account.split(":")[0])
