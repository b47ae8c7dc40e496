"""`marginline topup`: carry out one plan, once. `--confirm` is the arming; without it nothing is signed."""

import asyncio
import getpass
import platform
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from desk.actions import ActionState, Refusal, StepFate
from desk.carry import Patience
from desk.executor import Executor
from engine.answers import envelope, parse_plan
from engine.reading import DocumentError
from engine.rendering import plain, rounded
from engine.rescue import Option, Plan
from marginline.commands.plan import Wish, make, put_options
from marginline.commands.setup import read_config
from marginline.compose import build_source
from marginline.config import AccountConfig, Config
from marginline.exits import Exit
from marginline.output import put, put_json, say
from marginline.rescue import Tools, account_of, build_tools, limits_of, open_accounts, open_journal
from marginline.secrets import resolve
from marginline.signers import SignerBox
from marginline.venue_key import VenueKey
from providers.errors import ConfigError
from providers.ports import PositionSource

SCHEMA = "marginline.topup/1"
_MAX_PLAN_BYTES = 4 * 1024 * 1024


def topup(
    path: Path | None,
    name: str | None,
    wish: Wish,
    *,
    plan_file: Path | None,
    confirm: bool,
    password_from: str | None,
    as_json: bool,
    timeout_s: float,
    wait_s: float,
) -> Exit:
    """Carry out the plan for an account, or the one in a file; 0 confirmed, 30 refused, 31 failed, 32 unknown."""
    config = read_config(path)
    given = None if plan_file is None else read_plan(plan_file)
    if given is not None:
        if name is not None and name != given.account:
            raise ConfigError(f"{plan_file}: is a plan for {given.account}, not for {name}")
        name = given.account
    if name is None:
        raise ConfigError("name the account, or give its plan: --plan FILE")
    account_of(config, name)
    answer = _Answer(name, as_json)
    run = _Run(config, name, wish, given, password_from, timeout_s, Patience(land_s=wait_s), answer)
    try:
        action = asyncio.run(run.carry_out(confirm=confirm))
    except Refusal as refusal:
        say(f"marginline: refused: {refusal}")
        answer.put_refused(str(refusal))
        return Exit.REFUSED
    answer.put_done(action)
    return Exit(action.exit_code)


def read_plan(file: Path) -> Plan:
    """Return the plan in a file that `plan --json` wrote; raises `ConfigError`."""
    try:
        with file.open("rb") as opened:
            text = opened.read(_MAX_PLAN_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    if len(text) > _MAX_PLAN_BYTES:
        raise ConfigError(f"{file}: is larger than {_MAX_PLAN_BYTES // 1024 // 1024} MiB; no plan is")
    try:
        return parse_plan(text)
    except DocumentError as error:
        raise ConfigError(f"{file}: {error}") from error


class Sayer:
    """Says each step of an action that went further, once."""

    def __init__(self) -> None:
        self._said: dict[int, tuple[StepFate, str]] = {}

    def show(self, action: ActionState) -> None:
        """Take the action as it stands now."""
        for index, step in enumerate(action.steps):
            if step.fate is not StepFate.WAITING and self._said.get(index) != (step.fate, step.reference):
                self._said[index] = step.fate, step.reference
                detail = " ".join(filter(None, (step.reference, step.evidence)))
                say(f"{index + 1}/{len(action.steps)} {step.title}: {step.fate.value} {detail}".rstrip())


def steps_answer(action: ActionState) -> list[dict[str, object]]:
    """Return the steps of an action as data; `replaced` are references that a faster one took the place of."""
    return [
        {
            "title": step.title,
            "fate": step.fate.value,
            "reference": step.reference or None,
            "nonce": step.nonce,
            "owner": step.owner or None,
            "evidence": step.evidence or None,
            "replaced": list(step.earlier),
        }
        for step in action.steps
    ]


@asynccontextmanager
async def sending(config: Config, account: AccountConfig, patience: Patience) -> AsyncIterator[tuple[Executor, Tools]]:
    """Give an executor for one account, which can also settle what is open of others; all is closed afterwards."""
    journal = open_journal(config)
    others = await asyncio.to_thread(open_accounts, journal)
    tools = await build_tools(config, [account.name], others)
    sources = _sources(config, tools)
    limits = limits_of(config)
    executor = Executor(journal, tools.rescuers, tools.rescuers, tools.signers, sources, limits, patience=patience)
    try:
        yield executor, tools
    finally:
        await executor.aclose()
        await tools.aclose()
        for source in sources.values():
            close: Callable[[], Awaitable[None]] | None = getattr(source, "aclose", None)
            if close is not None:
                await close()


async def password_of(box: SignerBox | VenueKey | None, name: str, reference: str | None) -> dict[str, str]:
    """Return the password of an account's signer by its name, where it wants one; raises `Refusal` without a signer."""
    if box is None:
        raise Refusal(f"{name} is read-only: no signer is configured")
    if not box.needs_password:
        return {}
    return {box.name: await asyncio.to_thread(_read_password, box.name, reference)}


class _Answer:
    """What is said on the way (people, stderr) and at the end (data, stdout)."""

    def __init__(self, account: str, as_json: bool) -> None:
        self._account = account
        self.as_json = as_json
        self.option: Option | None = None
        self.plan: Plan | None = None
        self.degraded: tuple[str, ...] = ()

    def chosen(self, plan: Plan, option: Option) -> None:
        """Say what is about to be done."""
        self.plan, self.option = plan, option
        say(f"{plan.account}: {option.means.value} {plain(option.amount)} {option.asset} from {option.source}")

    def put_refused(self, reason: str) -> None:
        """Print the answer of something that was not begun."""
        if self.as_json:
            put_json(self._envelope("refused", Exit.REFUSED, reason))

    def put_done(self, action: ActionState) -> None:
        """Print the answer of something that was begun."""
        say(f"{action.account}: {action.stage.value}: {action.evidence}")
        if not self.as_json:
            put(f"{action.stage.value} {action.id}")
            return
        health = {"before": rounded(action.health_before), "after": rounded(action.health_after)}
        put_json(
            self._envelope(
                action.stage.value,
                action.exit_code,
                action.evidence,
                action=action.id,
                steps=steps_answer(action),
                health=health,
            )
        )

    def _envelope(
        self,
        outcome: str,
        code: int,
        reason: str,
        *,
        action: str | None = None,
        steps: Sequence[Mapping[str, object]] = (),
        health: Mapping[str, object] | None = None,
    ) -> dict[str, object]:
        plan, option = self.plan, self.option
        before = None if plan is None else rounded(plan.health_before)
        target = None if plan is None else {"health_factor": plan.target.health, "distance": plan.target.distance}
        return envelope(
            SCHEMA,
            time.time_ns(),
            self.degraded,
            account=self._account,
            outcome=outcome,
            exit_code=int(code),
            reason=reason or None,
            action=action,
            target=None if target is None else {key: rounded(value) for key, value in target.items()},
            means=None if option is None else option.means.value,
            asset=None if option is None else option.asset,
            amount=None if option is None else plain(option.amount),
            source=None if option is None else option.source,
            health_factor=health or {"before": before, "after": None},
            steps=list(steps),
        )


class _Run:
    """One command's work, from reading to the result."""

    def __init__(
        self,
        config: Config,
        name: str,
        wish: Wish,
        given: Plan | None,
        password_from: str | None,
        timeout_s: float,
        patience: Patience,
        answer: _Answer,
    ) -> None:
        self._config, self._name, self._wish, self._given = config, name, wish, given
        self._password_from, self._timeout_s, self._patience, self._answer = (
            password_from,
            timeout_s,
            patience,
            answer,
        )
        self._account = account_of(config, name)

    async def carry_out(self, *, confirm: bool) -> ActionState:
        """Return the action as it ended; raises `Refusal` when it was not begun."""
        async with sending(self._config, self._account, self._patience) as (executor, tools):
            actor = f"cli {who()}"
            if confirm:
                box = tools.signers.get(self._account.name)
                await executor.arm(await password_of(box, self._name, self._password_from), actor=actor)
            plan, option = await self._chosen(tools)
            if not confirm:
                raise Refusal("not confirmed; this is what would be done, add --confirm to do it")
            return await executor.execute(plan, option, actor=actor, show=Sayer().show)

    async def _chosen(self, tools: Tools) -> tuple[Plan, Option]:
        """Return the plan and the option of it that was asked for; raises `Refusal` when none could be carried out."""
        plan = self._given
        if plan is None:
            rescuer = tools.rescuers.get(self._account.name)
            made = await make(self._config, self._account, self._name, self._wish, rescuer, self._timeout_s)
            plan, self._answer.degraded = made.plan, made.degraded
            for reason in made.degraded:
                say(reason)
        self._answer.plan = plan
        options = [option for option in plan.options if self._wish.picks(option)]
        if not options:
            raise Refusal(plan.possible or "the plan has no such option")
        option = next((option for option in options if option.ready), options[0])
        if not self._answer.as_json:
            put_options(replace(plan, options=(option,)))
        if not option.ready:
            self._answer.option = option
            raise Refusal("; ".join(option.blockers))
        self._answer.chosen(plan, option)
        return plan, option


def _read_password(signer: str, reference: str | None) -> str:
    """Return a password from the terminal without echo, or from a reference; raises `ConfigError`."""
    if reference is not None:
        return resolve(reference, "--password-from")
    if not sys.stdin.isatty():
        raise ConfigError(
            f"signer {signer} needs its password and there is no terminal to ask on; give --password-from"
            " env:NAME, cmd:COMMAND or file:PATH"
        )
    return getpass.getpass(f"password of signer {signer}: ")


def _sources(config: Config, tools: Tools) -> dict[str, PositionSource]:
    """Return a source of its own for every account that may be sent for or must be reconciled."""

    def of(account: AccountConfig) -> PositionSource:
        return build_source(account, time.time_ns)

    return {account.name: of(account) for account in config.accounts if account.name in tools.rescuers}


def who() -> str:
    """Return who runs this, for the journal."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "unknown"
    return f"{user}@{platform.node() or 'localhost'}"
