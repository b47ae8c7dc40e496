"""Rescues for the dashboard: an executor and standing plans beside a desk, made once the first accounts are shown."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from engine.record import record
from providers.errors import AppError

if TYPE_CHECKING:
    from desk.actions import ActionState
    from desk.desk import Desk
    from desk.executor import Executor
    from desk.settings import DeskSettings
    from desk.speedup import Faster
    from desk.standing import StandingPlans
    from engine.prices import AssetPrice
    from engine.rescue import Plan, Target
    from marginline.config import Config
    from providers.ports import PositionSource
    from providers.simulated import SimulatedMarket

log = logging.getLogger("marginline.rescue")

_LEAVE_ALONE_S = 0.5
_DEMO_CAP_USD = 100_000


@record
class Parts:
    """What carries rescues out, and what closes the rest of it."""

    executor: "Executor"
    standing: "StandingPlans"
    aclose: Callable[[], Awaitable[None]]


class ScreenRescue:
    """A `tui.rescue_like.RescueDesk`; `build` makes its parts at the first use, and again if it failed.

    `passwords_needed` names the signers that ask for one, known without making anything.
    """

    def __init__(self, desk: "Desk", build: Callable[[], Awaitable[Parts]], passwords_needed: tuple[str, ...]) -> None:
        self.passwords_needed = passwords_needed
        self._desk = desk
        self._build = build
        self._made: Parts | None = None
        self._making = asyncio.Lock()

    @property
    def armed_until_ns(self) -> int | None:
        """Return when arming ends, `None` when not armed."""
        return None if self._made is None else self._made.executor.armed_until_ns

    async def run(self) -> None:
        """Keep standing plans until cancelled, once accounts are shown; raises `AppError` of what can't be made."""
        try:
            async for snapshot in self._desk.snapshots():
                if snapshot.accounts:
                    break
            await asyncio.sleep(_LEAVE_ALONE_S)
            parts = await self._parts()
            try:
                await parts.executor.reconcile_open(actor="tui start")
            except AppError as error:
                log.warning("what an earlier run left open is not settled yet: %s", error)
            await parts.standing.keep_for_ever(self._desk.snapshots())
        finally:
            made, self._made = self._made, None
            if made is not None:
                await made.executor.aclose()
                await made.aclose()

    async def plan_for(self, account: str, target: "Target | None" = None) -> "Plan":
        """Return a fresh plan; without a target the standing one."""
        parts = await self._parts()
        return await parts.standing.plan_for(account, self._desk.snapshot, target)

    async def execute(
        self, plan: "Plan", option_index: int, *, actor: str, show: "Callable[[ActionState], None]"
    ) -> "ActionState":
        """Carry out one option once; its account is planned for anew afterwards."""
        parts = await self._parts()
        try:
            return await parts.executor.execute(plan, plan.options[option_index], actor=actor, show=show)
        finally:
            parts.standing.forget(plan.account)

    async def rehearse(self, plan: "Plan", option_index: int) -> None:
        """Dry-run one option on the account as it was read last; raises `Refusal` with why it would not work."""
        parts = await self._parts()
        await parts.standing.rehearse(plan, plan.options[option_index], self._desk.snapshot)

    async def faster(self, action: str) -> "Faster":
        """Return what would overtake the step of an open action that waits."""
        return await (await self._parts()).executor.faster(action)

    async def speed_up(self, offer: "Faster", *, actor: str, show: "Callable[[ActionState], None]") -> "ActionState":
        """Send what overtakes, once; its account is planned for anew afterwards."""
        parts = await self._parts()
        try:
            return await parts.executor.speed_up(offer, actor=actor, show=show)
        finally:
            parts.standing.forget(offer.account)

    async def arm(self, passwords: Mapping[str, str], *, actor: str) -> int:
        """Unlock the signers; return until when."""
        return (await (await self._parts()).executor.arm(passwords, actor=actor)).until_ns

    async def disarm(self, *, actor: str) -> None:
        """Wipe every key at once."""
        if self._made is not None:
            await self._made.executor.disarm(actor=actor)

    async def reconcile(self, account: str | None = None, *, actor: str) -> "tuple[ActionState, ...]":
        """Settle open actions by reading."""
        return await (await self._parts()).executor.reconcile_open(actor=actor, account=account)

    async def history(self, limit: int) -> "tuple[ActionState, ...]":
        """Return the latest actions of the journal."""
        journal = (await self._parts()).executor.journal
        return tuple(await asyncio.to_thread(journal.actions, limit))

    async def _parts(self) -> Parts:
        async with self._making:
            if self._made is None:
                # Imported off the loop: it takes a while, and the screen goes on meanwhile.
                await asyncio.to_thread(import_module, "desk.standing")
                self._made = await self._build()
            return self._made


def demo_rescue(
    desk: "Desk", market: "SimulatedMarket", sources: "Sequence[PositionSource]", settings: "DeskSettings"
) -> ScreenRescue:
    """Return rescues in the simulated market: a signer without a key, a journal that goes with the program."""

    async def build() -> Parts:
        import tempfile
        from decimal import Decimal

        from desk.executor import Executor
        from desk.journal import Journal
        from desk.limits import Limits
        from desk.standing import StandingPlans
        from providers.simulated.rescue import SimulatedRescue
        from providers.simulated.signer import DemoSigner

        folder = tempfile.TemporaryDirectory(prefix="marginline-demo-")
        rescue, signer, names = SimulatedRescue(market), DemoSigner(), [source.name for source in sources]
        wallets = dict.fromkeys(names, rescue)
        cap = Decimal(_DEMO_CAP_USD)
        executor = Executor(
            Journal(Path(folder.name) / "journal.db", clock=market.now_ns),
            wallets,
            wallets,
            dict.fromkeys(names, signer),
            {source.name: source for source in sources},
            Limits(max_topup_usd=cap, max_per_day_usd=10 * cap),
            clock=market.now_ns,
            prices=lambda: _prices(desk),
            on_reading=desk.take_reading,
        )
        _show_changes(desk, executor)

        async def aclose() -> None:
            folder.cleanup()

        standing = StandingPlans(settings, wallets, wallets, executor, desk.show_readiness, market.now_ns)
        return Parts(executor, standing, aclose)

    return ScreenRescue(desk, build, ())


def config_rescue(desk: "Desk", config: "Config", sources: "Sequence[PositionSource]") -> ScreenRescue | None:
    """Return rescues of the accounts that have a signer or a key; `None` when none has: the screen is read-only."""
    signing = [account for account in config.accounts if account.signer is not None or account.key is not None]
    if not signing:
        return None
    references = {account.signer or "" for account in signing}
    passwords = sorted(each.removeprefix("keystore:") for each in references if each.startswith("keystore:"))

    async def build() -> Parts:
        import time

        from desk.executor import Executor
        from desk.standing import StandingPlans
        from marginline.compose import desk_settings
        from marginline.rescue import build_tools, limits_of, open_journal

        tools = await build_tools(config, [account.name for account in signing])
        executor = Executor(
            open_journal(config),
            tools.rescuers,
            tools.rescuers,
            tools.signers,
            {source.name: source for source in sources},
            limits_of(config),
            prices=lambda: _prices(desk),
            on_reading=desk.take_reading,
        )
        _show_changes(desk, executor)
        settings = desk_settings(config)
        standing = StandingPlans(settings, tools.rescuers, tools.rescuers, executor, desk.show_readiness, time.time_ns)
        return Parts(executor, standing, tools.aclose)

    return ScreenRescue(desk, build, tuple(passwords))


def _show_changes(desk: "Desk", executor: "Executor") -> None:
    executor.on_change = lambda: desk.show_actions(executor.actions, executor.armed_until_ns)


def _prices(desk: "Desk") -> "dict[str, AssetPrice]":
    return {asset: state.price for asset, state in desk.snapshot.prices.items()}
