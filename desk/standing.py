"""Standing plans: what the one key would do for each account, kept fresh and rehearsed before it is needed."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from functools import partial

from desk.actions import Refusal
from desk.executor import Executor, configured
from desk.preflight import rehearsed
from desk.roster import at_triggers
from desk.settings import DeskSettings
from desk.snapshot import AccountState, Snapshot
from desk.supervision import attempt, reason_of, within
from engine.plans import Caps, plan, readiness, standing_plan
from engine.prices import AssetPrice, Consensus
from engine.record import record
from engine.rescue import Means, Option, Plan, Standing, Target
from providers.rescue_ports import CollateralWriter, WalletSource

SECOND_NS = 1_000_000_000
WALLET_EVERY_NS = 15 * SECOND_NS
PLAN_EVERY_NS = 30 * SECOND_NS
MOVED = Decimal("0.005")
_ANSWER_WITHIN_S = 20.0


@record
class Kept:
    """A standing plan, the word for it, and what it was made from: it is made anew when any of that has moved."""

    plan: Plan | None
    ready: str
    made_at_ns: int
    figures: Mapping[str, Decimal]


class StandingPlans:
    """Keeps one plan per account that a wallet is configured for; `show` gets the readiness of all after each change.

    A plan is made anew when health or a trigger price moved by 0.5 %, else every 30 s. A wallet is read at most every
    15 s. A plan whose first option is ready has been rehearsed: prepared, verified and simulated, nothing signed.
    """

    def __init__(
        self,
        settings: DeskSettings,
        wallets: Mapping[str, WalletSource],
        writers: Mapping[str, CollateralWriter],
        executor: Executor,
        show: Callable[[Mapping[str, str]], None],
        clock: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._wallets = wallets
        self._writers = writers
        self._executor = executor
        self._show = show
        self._clock = clock
        self._kept: dict[str, Kept] = {}
        self._standings: dict[str, Standing] = {}
        self._making: set[str] = set()
        self._shown: Mapping[str, str] = {}

    @property
    def plans(self) -> Mapping[str, Plan]:
        """Return the latest standing plan per account."""
        return {name: kept.plan for name, kept in self._kept.items() if kept.plan is not None}

    @property
    def is_busy(self) -> bool:
        """Return whether a plan is being made."""
        return bool(self._making)

    def forget(self, account: str) -> None:
        """Make the plan of `account` anew with its wallet read again: something was sent."""
        if account in self._kept:
            self._kept[account] = replace(self._kept[account], made_at_ns=0)
        self._standings.pop(account, None)

    async def keep_for_ever(self, snapshots: AsyncIterator[Snapshot]) -> None:
        """Follow `snapshots` until they end; one account that fails or is slow holds up no other."""
        async with asyncio.TaskGroup() as tasks:
            async for snapshot in snapshots:
                for name in snapshot.accounts:
                    if self._wallet(name) is not None and name not in self._making and self._is_due(name, snapshot):
                        self._making.add(name)
                        tasks.create_task(self._make(name, snapshot))
                self._kept = {name: kept for name, kept in self._kept.items() if name in snapshot.accounts}
                self._tell()

    async def plan_for(
        self, name: str, snapshot: Snapshot, target: Target | None = None, means: Means | None = None
    ) -> Plan:
        """Return a plan for `name` on the latest snapshot, to `target` or the standing one; nothing is rehearsed.

        Raises `Refusal` for an account that is not there.
        """
        state = snapshot.accounts.get(name)
        if state is None:
            raise Refusal(f"no account {name}")
        return await self._planned(state, snapshot, await self._standing(state), target, means)

    async def rehearse(self, plan: Plan, option: Option, snapshot: Snapshot) -> None:
        """Prepare, verify and dry-run one option now; raises `Refusal` with why it would not work. Signs nothing."""
        state, writer = snapshot.accounts.get(plan.account), configured(self._writers, plan.account)
        if state is None or writer is None:
            raise Refusal(f"{plan.account}: nothing is configured that could carry out a rescue")
        await rehearsed(plan, option, state.account, writer)

    async def _make(self, name: str, snapshot: Snapshot) -> None:
        state = snapshot.accounts[name]
        try:
            made = await attempt(f"standing plan {name}", self._rehearsed(state, snapshot))
            kept = Kept(None, "unknown", self._clock(), _figures(state))
            if not isinstance(made, Exception):
                kept = replace(kept, plan=made, ready=readiness(made))
            self._kept[name] = kept
        finally:
            self._making.discard(name)
        self._tell()

    async def _rehearsed(self, state: AccountState, snapshot: Snapshot) -> Plan:
        """Return the standing plan; a first option that fails its rehearsal is not ready, and says why."""
        made = await self._planned(state, snapshot, await self._standing(state), None, None)
        writer = configured(self._writers, state.account.name)
        if not made.options or not made.options[0].ready or writer is None:
            return made
        first = made.options[0]
        try:
            await rehearsed(made, first, state.account, writer)
        except Refusal as refusal:
            return replace(made, options=(replace(first, blockers=(str(refusal),)), *made.options[1:]))
        return made

    async def _planned(
        self,
        state: AccountState,
        snapshot: Snapshot,
        standing: Standing | None,
        target: Target | None,
        means: Means | None,
    ) -> Plan:
        account, now_ns, stale = state.account, self._clock(), state.is_stale
        prices, consensus = _prices(snapshot)
        caps, unread = Caps(), ""
        try:
            caps = await self._executor.caps(account.name)
        except Refusal as refusal:
            unread = str(refusal)
        if target is not None:
            make = partial(plan, account, prices, consensus, target, standing, now_ns, means=means)
        else:
            judged, ladder = state.assessment, self._settings.ladder_of(account, state.source)
            make = partial(standing_plan, account, judged, ladder, prices, consensus, standing, now_ns)
        made = await asyncio.to_thread(make, caps=caps, is_stale=stale)
        if not unread:
            return made
        return replace(made, options=tuple(replace(one, blockers=(*one.blockers, unread)) for one in made.options))

    async def _standing(self, state: AccountState) -> Standing | None:
        """Return the wallet as read within the last seconds; one that can't be read is as it was, then too old."""
        name = state.account.name
        wallet, known = self._wallet(name), self._standings.get(name)
        if wallet is None or (known is not None and self._clock() - known.read_at_ns < WALLET_EVERY_NS):
            return known
        read = await attempt(f"wallet of {name}", within(_ANSWER_WITHIN_S, wallet.standing(state.account)))
        if isinstance(read, Standing):
            self._standings[name] = read
            return read
        unread = known or Standing(name, self._clock())
        return replace(unread, problems=(*unread.problems, f"wallet not read: {reason_of(read)}"))

    def _wallet(self, name: str) -> WalletSource | None:
        return configured(self._wallets, name)

    def _is_due(self, name: str, snapshot: Snapshot) -> bool:
        kept = self._kept.get(name)
        if kept is None or self._clock() - kept.made_at_ns >= PLAN_EVERY_NS:
            return True
        now = _figures(at_triggers(snapshot.accounts)[name])
        return now.keys() != kept.figures.keys() or any(
            abs(value - kept.figures[what]) > abs(kept.figures[what]) * MOVED for what, value in now.items()
        )

    def _tell(self) -> None:
        words = {name: self._executor.held_by(name) or kept.ready for name, kept in sorted(self._kept.items())}
        if words != self._shown:
            self._shown = words
            self._show(words)


def _prices(snapshot: Snapshot) -> tuple[dict[str, AssetPrice], dict[str, Consensus]]:
    states = snapshot.prices
    return {asset: state.price for asset, state in states.items()}, {
        asset: state.consensus for asset, state in states.items()
    }


def _figures(state: AccountState) -> dict[str, Decimal]:
    """Return what a plan hangs on: the account's health, the prices that trigger it, and whether it is stale."""
    figures = {f"price {asset}": oracle.price for asset, oracle in state.account.oracles.items()}
    for position in state.account.positions:
        if position.mark_price is not None:
            figures[f"mark {position.asset}"] = position.mark_price
    if state.assessment.health_factor is not None:
        figures["health"] = state.assessment.health_factor
    return figures | ({"stale": Decimal(1)} if state.is_stale else {})
