"""Rescues moved by hand, and one frozen plan, for the screens' tests."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from decimal import Decimal

from textual.pilot import Pilot

from desk.actions import ActionState, Stage, StepFate, StepState
from desk.snapshot import Snapshot
from desk.speedup import Faster
from engine.rescue import Funds, HealthPath, Means, Option, Plan, Target
from providers.errors import AppError, Unauthorised
from providers.rescue_ports import Step
from tests.tui.frames import MAIN, NOW, PRICES, D, HandDesk, S, asset_price, snapshot, state
from tui.app import DashboardApp
from tui.export import screen_text
from tui.rescue_like import Show
from tui.view import UiSettings

PASSWORD = "correct horse battery"
BEFORE = state(MAIN).assessment.health_factor


def path(after: str, at_market: str, lower: str) -> HealthPath:
    return HealthPath(BEFORE, D(after), D(at_market), D(lower))


SUPPLY = Option(
    Means.SUPPLY,
    "ETH",
    D("9.301244"),
    "rescue 0x12ab..90",
    D("3.10"),
    path("1.5002", "1.4871", "1.3502"),
    Decimal(24),
    steps=("approve 9.301244 WETH", "supply 9.301244 WETH on behalf of 0x7a3f..c21e"),
    value_usd=D("23076.4"),
    funds=Funds("ETH", D("12.02"), "rescue 0x12ab..90"),
    distance_after=D("0.334"),
)
REPAY = Option(
    Means.REPAY,
    "USDC",
    D("12741.2"),
    "rescue 0x12ab..90",
    D("2.80"),
    path("1.5001", "1.4870", "1.3501"),
    Decimal(24),
    steps=("repay 12741.2 USDC with permit",),
    value_usd=D("12741.2"),
    funds=Funds("USDC", D(14000), "rescue 0x12ab..90"),
    distance_after=D("0.333"),
)
DELEVERAGE = Option(
    Means.DELEVERAGE,
    "ETH",
    D("10.4"),
    "",
    None,
    path("1.5000", "1.4869", "1.3500"),
    None,
    blockers=("its swap is not executed yet; do it in two steps at the protocol", "no gas: has 0 ETH, needs 0.004"),
)
PLAN = Plan(
    "main",
    Target(health=D("1.5")),
    NOW - 4 * S,
    (REPAY, SUPPLY, DELEVERAGE),
    loss_if_nothing=D("1148.2"),
    block_number=23_871_402,
    health_before=BEFORE,
)


def action(stage: Stage, *fates: StepFate, evidence: str = "", after: str | None = None) -> ActionState:
    """Return an action of the frozen plan's first option with steps that are so far."""
    titles = ("approve 12741.2 USDC", "repay 12741.2 USDC")
    steps = tuple(
        StepState(title, fate, "" if fate is StepFate.WAITING else "0x" + "ab12" * 16, 7 + at, evidence="")
        for at, (title, fate) in enumerate(zip(titles, fates, strict=False))
    )
    return ActionState(
        "9f3c2a7b11d04e55",
        "main",
        "repay",
        "USDC",
        D("12741.2"),
        "rescue 0x12ab..90",
        NOW - 9 * S,
        stage,
        steps,
        evidence,
        "tui t",
        D("12741.2"),
        BEFORE,
        None if after is None else D(after),
        "health 1.5",
    )


RUNNING = action(Stage.RUNNING, StepFate.CONFIRMED, StepFate.SENT)
CONFIRMED = action(
    Stage.CONFIRMED,
    StepFate.CONFIRMED,
    StepFate.CONFIRMED,
    evidence="landed: health 1.5003, target health 1.5",
    after="1.5003",
)
UNKNOWN = action(
    Stage.UNKNOWN,
    StepFate.CONFIRMED,
    StepFate.UNKNOWN,
    evidence="not seen to land within 180 s: the node does not know it",
)
REJECTED = action(
    Stage.REJECTED, StepFate.CONFIRMED, StepFate.REJECTED, evidence="repay 12741.2 USDC: reverted in block 23,871,404"
)


FASTER = Faster(
    UNKNOWN.id,
    "main",
    1,
    Step("repay 12741.2 USDC", {"nonce": "0x8"}),
    UNKNOWN.steps[1].reference,
    NOW,
    D("2.9"),
    D("4.125"),
)


class HandRescue:
    """A `RescueDesk` in memory. `held` events keep planning or sending waiting until a test sets them."""

    def __init__(self, *, armed: bool = False, signers: tuple[str, ...] = ()) -> None:
        self.armed_until_ns: int | None = NOW + 281 * S if armed else None
        self.passwords_needed = signers
        self.plan = PLAN
        self.plan_fails: AppError | None = None
        self.may_plan = asyncio.Event()
        self.may_end = asyncio.Event()
        self.may_plan.set()
        self.may_end.set()
        self.shown: list[ActionState] = []
        self.end: ActionState | AppError = CONFIRMED
        self.kept: tuple[ActionState, ...] = ()
        self.history_fails: AppError | None = None
        self.settled: tuple[ActionState, ...] = ()
        self.planned: list[tuple[str, Target | None]] = []
        self.executed: list[tuple[Plan, int, str]] = []
        self.arming = 0
        self.disarmed = 0
        self.reconciled: list[str | None] = []
        self.rehearsed: list[tuple[Plan, int]] = []
        self.rehearsal_fails: AppError | None = None
        self.may_rehearse = asyncio.Event()
        self.may_rehearse.set()
        self.offer: Faster | AppError = FASTER
        self.asked: list[str] = []
        self.sped: list[tuple[Faster, str]] = []
        self.sped_end: ActionState | AppError = CONFIRMED

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def plan_for(self, account: str, target: Target | None = None) -> Plan:
        self.planned.append((account, target))
        await self.may_plan.wait()
        if self.plan_fails is not None:
            raise self.plan_fails
        return replace(self.plan, account=account)

    async def execute(self, plan: Plan, option_index: int, *, actor: str, show: Show) -> ActionState:
        self.executed.append((plan, option_index, actor))
        for each in self.shown:
            show(each)
        await self.may_end.wait()
        if isinstance(self.end, AppError):
            raise self.end
        return self.end

    async def rehearse(self, plan: Plan, option_index: int) -> None:
        self.rehearsed.append((plan, option_index))
        await self.may_rehearse.wait()
        if self.rehearsal_fails is not None:
            raise self.rehearsal_fails

    async def faster(self, action: str) -> Faster:
        self.asked.append(action)
        if isinstance(self.offer, AppError):
            raise self.offer
        return self.offer

    async def speed_up(self, offer: Faster, *, actor: str, show: Show) -> ActionState:
        self.sped.append((offer, actor))
        await self.may_end.wait()
        if isinstance(self.sped_end, AppError):
            raise self.sped_end
        show(self.sped_end)
        return self.sped_end

    async def arm(self, passwords: Mapping[str, str], *, actor: str) -> int:
        self.arming += 1
        if any(password != PASSWORD for password in passwords.values()):
            raise Unauthorised("keystore rescue", "wrong password")
        self.armed_until_ns = NOW + 900 * S
        return self.armed_until_ns

    async def disarm(self, *, actor: str) -> None:
        self.disarmed += 1
        self.armed_until_ns = None

    async def reconcile(self, account: str | None = None, *, actor: str) -> tuple[ActionState, ...]:
        self.reconciled.append(account)
        return self.settled

    async def history(self, limit: int) -> tuple[ActionState, ...]:
        if self.history_fails is not None:
            raise self.history_fails
        return self.kept[:limit]


Work = Callable[[DashboardApp, "Pilot[str]", HandDesk, HandRescue], Awaitable[None]]


def run(
    work: Work,
    make: Callable[[], HandRescue] = HandRescue,
    *,
    size: tuple[int, int] = (120, 40),
    taken: Snapshot | None = None,
    countdown_s: float = 3_000.0,
    now: list[float] | None = None,
    settings: UiSettings | None = None,
) -> None:
    """Run `work` on the app with a rescue desk moved by hand; `now` is its monotonic clock."""

    async def running() -> None:
        desk, rescue = HandDesk(taken if taken is not None else snapshot()), make()
        moment = now if now is not None else [0.0]
        chosen = replace(settings or UiSettings(), is_live=False, countdown_s=countdown_s)
        app = DashboardApp(desk, settings=chosen, clock=lambda: moment[0], rescue=rescue)
        async with app.run_test(size=size) as pilot:
            await pilot.pause()
            app.paint_again()
            await pilot.pause()
            async with asyncio.timeout(20):
                await work(app, pilot, desk, rescue)

    asyncio.run(running())


async def until(app: DashboardApp, pilot: "Pilot[str]", words: str) -> str:
    """Wait until `words` stand on the screen; return its text. The caller's timeout bounds it."""
    while words not in (shown := screen_text(app)):
        await pilot.pause()
        app.paint_again()
    return shown


def moved(name: str, eth: str) -> Snapshot:
    """Return the frozen market with another oracle price of ETH, read a second later than the plan."""
    taken = snapshot()
    prices = PRICES | {"ETH": asset_price(eth, eth, volatility="0.62")}
    fallen = replace(state(taken.accounts[name].account, prices=prices), observed_at_ns=NOW)
    return replace(taken, sequence=2, accounts=dict(taken.accounts) | {name: fallen})
