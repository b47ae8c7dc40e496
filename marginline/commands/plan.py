"""`marginline plan`: the ways to reach a target, side by side; nothing is signed or sent."""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from decimal import Decimal, InvalidOperation
from pathlib import Path

from desk.actions import JournalError, Refusal
from desk.limits import Limits
from desk.snapshot import AccountState, Snapshot
from engine.accounts import Account
from engine.answers import envelope, plan_answer
from engine.assess import consensus_by_asset
from engine.plan_checks import READ_ONLY
from engine.plans import Caps
from engine.plans import plan as plan_of
from engine.prices import AssetPrice, Consensus
from engine.record import record
from engine.rendering import plain
from engine.rescue import Means, Option, Plan, Standing, Target
from marginline.commands.risk import read_portfolio
from marginline.commands.setup import read_config
from marginline.compose import build_desk
from marginline.config import AccountConfig, Config
from marginline.exits import Exit
from marginline.output import put, put_json, put_table, say
from marginline.rescue import Rescuer, account_of, build_tools, caps_now, limits_of, open_journal
from providers.errors import AppError, ConfigError, ProviderError, Unauthorised, Unreachable
from tui import numbers

EXPORT_SCHEMA = "marginline.export/1"
_HEADINGS = ("#", "MEANS", "AMOUNT", "ASSET", "FROM", "COST $", "HEALTH", "MARKET", "-10 %", "LANDS", "READY")


@record
class Wish:
    """What a user asks for: a target (a plan in a file has its own), and which of the ways to it; `None` is any."""

    target: Target | None
    means: Means | None = None
    asset: str | None = None
    full_close: bool = False

    def picks(self, option: Option) -> bool:
        """Return whether an option is one of those asked for."""
        return (
            (self.means is None or option.means is self.means)
            and (self.asset is None or option.asset == self.asset)
            and (option.is_full_close or not self.full_close)
        )


@record
class Made:
    """A plan and what it rests on; `account` is what was read, `rescuer` who would carry it out."""

    plan: Plan
    as_of_ns: int
    account: Account
    degraded: tuple[str, ...] = ()
    rescuer: Rescuer | None = None


def target_of(health: str | None, distance: str | None, given: Path | None = None) -> Target | None:
    """Return the target that `--to` or `--to-distance` names, `None` beside a plan in a file, which has its own.

    Raises `ConfigError`.
    """
    if given is not None:
        if health is not None or distance is not None:
            raise ConfigError("--plan: a plan has its own target; leave out --to and --to-distance")
        return None
    if (health is None) == (distance is None):
        raise ConfigError("say where to: either --to HEALTH (1.5) or --to-distance D (0.2 for 20 %)")
    if health is not None:
        return Target(health=_number(health, "--to", Decimal(1), Decimal(1000)))
    return Target(distance=_number(distance or "", "--to-distance", Decimal(0), Decimal(1)))


def _number(text: str, flag: str, above: Decimal, below: Decimal) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation:
        raise ConfigError(f"{flag}: {text[:40]!r} is not a number") from None
    if not value.is_finite() or not above < value < below:
        raise ConfigError(f"{flag}: must be above {above} and below {below}")
    return value


def plan(
    path: Path | None,
    name: str,
    wish: Wish,
    *,
    as_json: bool,
    export: Path | None,
    portfolio: str | None,
    timeout_s: float,
) -> Exit:
    """Print the plan for one account; 0 when it could be made, whatever it says."""
    if portfolio is not None:
        if export is not None:
            raise ConfigError("--export: a portfolio document has no chain to prepare steps for")
        made = from_portfolio(portfolio, name, wish)
        put_plan(made, as_json=as_json)
        return Exit.OK
    config = read_config(path)
    return asyncio.run(_plan(config, name, wish, as_json=as_json, export=export, timeout_s=timeout_s))


async def _plan(config: Config, name: str, wish: Wish, *, as_json: bool, export: Path | None, timeout_s: float) -> Exit:
    account = account_of(config, name)
    tools = await build_tools(config, [account.name])
    try:
        made = await make(config, account, name, wish, tools.rescuers.get(account.name), timeout_s)
        put_plan(made, as_json=as_json)
        if export is not None:
            await _export(made, export)
        return Exit.OK
    finally:
        await tools.aclose()


def from_portfolio(source: str, name: str, wish: Wish) -> Made:
    """Return the plan for an account of a portfolio document: amounts only, for no wallet was read."""
    document = read_portfolio(source)
    for account in document.accounts:
        if account.name == name:
            agreed = consensus_by_asset(document.prices, document.as_of_ns)
            return _made(account, document.prices, agreed, wish, None, document.as_of_ns)
    known = ", ".join(account.name for account in document.accounts) or "none"
    raise ConfigError(f'there is no account "{name[:40]}"; there are: {known}')


async def make(
    config: Config,
    account: AccountConfig,
    name: str,
    wish: Wish,
    rescuer: Rescuer | None,
    timeout_s: float,
) -> Made:
    """Return the plan for the account `name` as it is now; raises `ConfigError`, or `ProviderError` when unread."""
    desk = build_desk(replace(config, accounts=(account,)))
    try:
        snapshot = await desk.read_once(timeout_s)
    finally:
        await desk.aclose()
    state = _state_of(snapshot, account, name)
    degraded = [*snapshot.degraded]
    standing = await _standing(rescuer, state.account, degraded, timeout_s)
    caps = await asyncio.to_thread(_caps, config, name, degraded)
    prices = {asset: priced.price for asset, priced in snapshot.prices.items()}
    agreed = {asset: priced.consensus for asset, priced in snapshot.prices.items()}
    made = _made(
        state.account, prices, agreed, wish, standing, time.time_ns(), caps=caps, is_stale=state.is_stale, why=degraded
    )
    # Whoever carries it out compares blocks: the reading's own, when no wallet was read at one.
    block = made.plan.block_number if made.plan.block_number is not None else state.block_number
    return replace(made, plan=replace(made.plan, block_number=block), rescuer=rescuer)


def _made(
    account: Account,
    prices: Mapping[str, AssetPrice],
    agreed: Mapping[str, Consensus],
    wish: Wish,
    standing: Standing | None,
    now_ns: int,
    *,
    caps: Caps | None = None,
    is_stale: bool = False,
    why: Sequence[str] = (),
) -> Made:
    if wish.target is None:
        raise ConfigError("say where to: either --to HEALTH (1.5) or --to-distance D (0.2 for 20 %)")
    found = plan_of(
        account, prices, agreed, wish.target, standing, now_ns, means=wish.means, caps=caps, is_stale=is_stale
    )
    picked = tuple(option for option in found.options if wish.picks(option))
    return Made(replace(found, options=picked), now_ns, account, tuple(why))


def _state_of(snapshot: Snapshot, account: AccountConfig, name: str) -> AccountState:
    """Return the account read; raises what kept it from being read, or `ConfigError` for a name that is not there."""
    state = snapshot.accounts.get(name)
    if state is not None:
        return state
    if snapshot.accounts:
        raise ConfigError(f'there is no account "{name[:60]}"; {account.name} has: {", ".join(snapshot.accounts)}')
    for source in snapshot.sources:
        if source.kind == "account" and source.updated_at_ns is None:
            error: type[ProviderError] = Unauthorised if source.is_unauthorised else Unreachable
            raise error(account.name, f"could not be read: {source.detail or 'no answer in time'}")
    raise Unreachable(account.name, "holds no account now: nothing to rescue")


async def _standing(
    rescuer: Rescuer | None, account: Account, degraded: list[str], timeout_s: float
) -> Standing | None:
    """Return what the wallet holds, `None` with the reason in `degraded` when it can't be read: amounts stay known."""
    if rescuer is None:
        return None
    try:
        async with asyncio.timeout(timeout_s):
            return await rescuer.standing(account)
    except TimeoutError:
        degraded.append(f"{account.name}: the wallet did not answer within {timeout_s:g} s")
    except AppError as error:
        degraded.append(f"{account.name}: the wallet could not be read: {error}")
    return None


def _caps(config: Config, name: str, degraded: list[str]) -> Caps:
    limits: Limits = limits_of(config)
    journal = open_journal(config)
    try:
        return caps_now(limits, journal, name, time.time_ns())
    except JournalError as error:
        degraded.append(str(error))
        return Caps(limits.max_topup_usd, Decimal(0), limits.own_cap(name))
    finally:
        journal.close()


async def _export(made: Made, file: Path) -> None:
    """Write the unsigned steps of the first option that nothing but a missing signer stops; raises `Refusal`."""
    account = made.plan.account
    if made.rescuer is None:
        raise Refusal(f"{account}: nothing can be prepared for {made.account.provider} here")
    for option in made.plan.options:
        if all(blocker == READ_ONLY for blocker in option.blockers):
            steps = await made.rescuer.prepare(made.account, option)
            break
    else:
        why = made.plan.options[0].blockers[0] if made.plan.options else made.plan.possible
        raise Refusal(f"{account}: nothing to export: {why}")
    document = envelope(
        EXPORT_SCHEMA,
        made.as_of_ns,
        made.degraded,
        account=account,
        means=option.means.value,
        asset=option.asset,
        amount=plain(option.amount),
        steps=[
            {"title": step.title, "contract": step.contract, "chain_id": step.chain_id, "payload": dict(step.payload)}
            for step in steps
        ],
    )
    try:
        await asyncio.to_thread(file.write_text, json.dumps(document, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"{file}: cannot be written: {error.strerror}") from error
    say(f"{file}: {len(steps)} unsigned steps")


def put_plan(made: Made, *, as_json: bool) -> None:
    """Print a plan as data, and what is wrong with it for people."""
    if as_json:
        put_json(plan_answer(made.plan, made.as_of_ns, made.degraded))
    else:
        put_options(made.plan)
    for reason in made.degraded:
        say(reason)


def put_options(plan: Plan) -> None:
    """Print the alternatives of a plan in columns, what stops each, and what else would be possible."""
    target = f"health {plan.target.health}" if plan.target.health is not None else f"distance {plan.target.distance}"
    loss = "" if plan.loss_if_nothing is None else f"; doing nothing loses {numbers.cents(plan.loss_if_nothing)}"
    put(f"{plan.account}: from health {numbers.health(plan.health_before)} to {target}{loss}")
    if plan.options:
        put_table(_HEADINGS, [_row(number, option) for number, option in enumerate(plan.options, 1)], left=2)
    for number, option in enumerate(plan.options, 1):
        for blocker in option.blockers:
            put(f"{number}: {blocker}")
        if option.ready or option.means is Means.DEPOSIT:
            put(f"{number}: {_told(option)}")
    if plan.possible:
        put(plan.possible if not plan.options else f"possible: {plan.possible}")


def _told(option: Option) -> str:
    """Return what would be done; with money to be paid in also who asks for it, until when, and the market's hours."""
    if option.means not in (Means.DEPOSIT, Means.ADD_MARGIN):
        return ", then ".join(option.steps)
    by_hand = "by hand: " if option.means is Means.DEPOSIT and not option.ready else ""
    return by_hand + "; ".join(option.steps)


def _row(number: int, option: Option) -> tuple[str, ...]:
    health = option.health
    owes = health.after is not None
    return (
        str(number),
        "repay all" if option.is_full_close else option.means.value,
        plain(option.amount),
        option.asset,
        option.source,
        numbers.cents(option.cost_usd),
        numbers.health(health.after) if owes else "no debt",
        numbers.health(health.after_at_market) if owes else "",
        numbers.health(health.after_minus_10pct) if owes else "",
        numbers.span(option.time_to_land_s),
        "yes" if option.ready else "no",
    )
