"""Everything that must hold before an intent is written: each failure is a `Refusal`, and nothing has been signed."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import TypeVar

from desk.actions import Refusal
from desk.judgement import judged, with_marks
from desk.limits import Limits, fees_rose, overtaken
from engine.accounts import Account
from engine.plan_case import WIDE
from engine.plan_levers import price_of, usd_rate
from engine.prices import AssetPrice
from engine.record import record
from engine.rescue import Facility, Option, Plan, Standing
from engine.severity import DEFAULT_LADDERS
from engine.solvency import trigger_prices
from providers.errors import AppError
from providers.ports import PositionSource, Reading
from providers.rescue_ports import CollateralWriter, Simulation, Step, WalletSource

T = TypeVar("T")
Prices = Callable[[], Mapping[str, AssetPrice]]
_ANSWER_WITHIN_S = 20.0


@record
class Seen:
    """One account as read now. `health` is `None` where nothing is owed or it can't be told."""

    reading: Reading
    account: Account
    health: Decimal | None


@record
class Ready:
    """An option that may be carried out: its account as read now, and the steps that were proven to work.

    The option's `value_usd` is what caps count: the plan's, or that of now where the two differ (`worth`).
    """

    seen: Seen
    option: Option
    steps: tuple[Step, ...]
    simulation: Simulation


async def look(source: PositionSource, name: str, prices: Prices, now_ns: int) -> Seen:
    """Return the account `name` as read now; raises `ProviderError`, `TimeoutError`, or `Refusal` when it is gone."""
    async with asyncio.timeout(_ANSWER_WITHIN_S):
        reading = await source.read()
    for account in reading.accounts:
        if account.name == name:
            account = with_marks(account, reading)
            ladder = DEFAULT_LADDERS[account.kind]
            return Seen(reading, account, judged(account, prices(), now_ns, ladder, None).health_factor)
    raise Refusal(f"{name} is gone from its source: liquidated or closed")


async def proven(
    plan: Plan,
    option: Option,
    seen: Seen,
    writer: CollateralWriter,
    wallet: WalletSource | None,
    limits: Limits,
    prices: Prices = dict,
) -> Ready:
    """Return the steps of `option`, verified and simulated on the state of now; raises `Refusal` with the reason."""
    stale = overtaken(limits, plan, seen.reading.block_number, seen.health)
    if stale:
        raise Refusal(stale)
    if wallet is not None:
        standing = await answered("the wallet", wallet.standing(seen.account))
        poor = _cannot_pay(standing, option, limits)
        if poor:
            raise Refusal(poor)
        barred = _barred(option, standing)
        if barred:
            raise Refusal(barred)
        option = replace(option, value_usd=worth(option, seen.account, prices(), standing, limits.health_tolerance))
    steps, simulation = await rehearsed(plan, option, seen.account, writer)
    return Ready(seen, option, steps, simulation)


def worth(
    option: Option, account: Account, prices: Mapping[str, AssetPrice], standing: Standing, tolerance: Decimal
) -> Decimal | None:
    """Return what an option moves in USD, told by what would be sent, at the decimals and prices of now.

    A plan may come from a file, so what it says of its value vouches for nothing: it stands only where the value of
    now is not higher by more than `tolerance`. `None` when no price tells. Raises `Refusal` for an asset that venue
    or market does not take.
    """
    known = [one for one in standing.facilities if option.means in one.means]
    facility = next((one for one in known if one.asset == option.asset), None)
    if known and facility is None:
        raise Refusal(f"{option.asset} is nothing that {account.name} takes to {option.means.value}")
    facility = facility or option.facility or Facility(option.asset, frozenset({option.means}))
    tokens = option.amount
    if option.amount_units is not None:
        # A chain is sent the units, a venue the amount: where an edited plan has two of them, the larger one counts.
        tokens = max(tokens, WIDE.scaleb(Decimal(option.amount_units), -facility.decimals))
    price = price_of(account, facility, prices, trigger_prices(account, prices)[0])
    rate = usd_rate(account, prices)
    if price is None or rate is None or option.value_usd is None:
        return None
    now = WIDE.multiply(WIDE.multiply(tokens, price), rate)
    return option.value_usd if now <= option.value_usd * (1 + tolerance) else now


async def rehearsed(
    plan: Plan, option: Option, account: Account, writer: CollateralWriter
) -> tuple[tuple[Step, ...], Simulation]:
    """Return the exact steps and what they would do now; raises `Refusal` when they would not do it. Signs nothing."""
    steps = tuple(await answered("preparing", writer.prepare(account, option)))
    if not steps:
        raise Refusal("the venue has no steps for this")
    forbidden = await answered("verifying", writer.verify(account, steps))
    if forbidden:
        raise Refusal(forbidden)
    simulation = await answered("simulating", writer.simulate(account, steps))
    fails = _falls_short(plan, option, simulation)
    if fails:
        raise Refusal(fails)
    return steps, simulation


async def answered(what: str, answer: Awaitable[T]) -> T:
    """Return the answer; a provider that fails or is too slow is a `Refusal`, for nothing was signed yet."""
    try:
        async with asyncio.timeout(_ANSWER_WITHIN_S):
            return await answer
    except TimeoutError:
        raise Refusal(f"{what}: no answer within {_ANSWER_WITHIN_S:.0f} s") from None
    except Refusal:
        raise
    except AppError as error:
        raise Refusal(f"{what}: {error}") from error


def _barred(option: Option, standing: Standing) -> str:
    """Return why what the option acts on takes it no more, or "": a right was lost, or the plan came from a file."""
    planned = option.facility
    for one in standing.facilities:
        is_same = planned is None or (one.contract, one.side) == (planned.contract, planned.side)
        if one.asset == option.asset and option.means in one.means and is_same and one.refused:
            return f"{one.asset}: {one.refused}"
    return ""


def _cannot_pay(standing: Standing, option: Option, limits: Limits) -> str:
    if standing.problems:
        return "; ".join(standing.problems)
    tariff = standing.tariffs.get(option.means)
    if tariff is None:
        return ""
    needs, has = tariff.gas_asset_needed, standing.gas_balance
    if needs is not None and has is not None and has < needs:
        return f"not enough gas: has {has}, needs {needs}"
    return fees_rose(limits, option.cost_usd, tariff.cost_usd)


def _falls_short(plan: Plan, option: Option, simulation: Simulation) -> str:
    """Return why the dry run forbids to send, or "".

    Without a health it vouches for nothing, except a full close, after which nothing is owed. Where the
    target is a distance, health must come out as the plan said, within the tolerance of its rounding.
    """
    if simulation.refused:
        return f"simulation: {simulation.refused}"
    health, wanted = simulation.health_factor, plan.target.health
    if health is None:
        ends_debt = option.is_full_close and option.health.after is None
        return "" if ends_debt else "the dry run gave no health: not sent blindly"
    if wanted is None and option.health.after is not None:
        wanted = option.health.after * Decimal("0.995")
    if wanted is not None and health < wanted:
        return f"simulation: health would be {health:.4f}, under the {wanted:.4f} that was asked for; make it again"
    return ""
