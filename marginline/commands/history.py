"""`marginline history`: what was done and refused, whether the journal is whole, and settling what is open."""

import asyncio
import getpass
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from desk.actions import ActionState
from desk.entries import Entry, EntryKind
from desk.executor import Executor
from desk.journal import Journal
from engine.answers import envelope
from engine.rendering import plain, rounded, timestamp
from marginline.commands.setup import read_config
from marginline.compose import build_source
from marginline.config import Config, default_path
from marginline.exits import Exit
from marginline.output import put_json, put_table, say
from marginline.rescue import account_of, build_tools, limits_of, open_accounts, open_journal
from providers.errors import ConfigError

SCHEMA = "marginline.history/1"


def history(
    path: Path | None, *, verify: bool, as_json: bool, limit: int, reconcile: bool, abandon: str | None, reason: str
) -> Exit:
    """Print the latest entries, newest first; with `verify` 5 when the journal was altered, cut or damaged.

    `reconcile` first looks up what became of open actions; `abandon` closes one of them by hand, for `reason`.
    """
    config = _config(path)
    if abandon is not None and not reason.strip():
        raise ConfigError("--abandon: say why with --reason")
    journal = open_journal(config)
    try:
        if reconcile or abandon is not None:
            for action in asyncio.run(_settle(config, journal, abandon, reason)):
                say(f"{action.account}: {action.id}: {action.stage.value}: {action.evidence}")
        problems = journal.verify() if verify else ()
        for problem in problems:
            say(problem)
        if problems and not as_json:
            return Exit.NOT_VALID
        actions, entries = ((), ()) if problems else (journal.actions(limit), journal.history(limit))
    finally:
        journal.close()
    if as_json:
        answer = envelope(
            SCHEMA,
            time.time_ns(),
            problems,
            journal=str(journal.path),
            valid=not problems if verify else None,
            problems=list(problems),
            actions=[_action_answer(action) for action in actions],
            entries=[_entry_answer(entry) for entry in entries],
        )
        put_json(answer)
    else:
        _put(entries)
        if verify:
            say(f"{journal.path}: every entry is as it was written")
    return Exit.NOT_VALID if problems else Exit.OK


def _config(path: Path | None) -> Config:
    """Return the config, or one that names the default journal when none was named and none is there."""
    if path is None and not default_path().exists():
        return Config(path=default_path())
    return read_config(path)


async def _settle(config: Config, journal: Journal, abandon: str | None, reason: str) -> Sequence[ActionState]:
    """Look up what became of every open action; raises `Refusal` while another process sends."""
    names = await asyncio.to_thread(open_accounts, journal)
    known = [account.name for account in config.accounts if account.name in names]
    tools = await build_tools(config, (), known)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(tools.aclose)
        sources = {name: build_source(account_of(config, name), time.time_ns) for name in known}
        for source in sources.values():
            if (close := getattr(source, "aclose", None)) is not None:
                stack.push_async_callback(close)
        executor = Executor(journal, tools.rescuers, tools.rescuers, {}, sources, limits_of(config))
        actor = f"cli {getpass.getuser()}"
        if abandon is not None:
            return (await executor.abandon(abandon, actor=actor, reason=reason.strip()),)
        return await executor.reconcile_open(actor=actor)


def _put(entries: Sequence[Entry]) -> None:
    if not entries:
        say("nothing was done yet")
        return
    rows = [
        (timestamp(entry.at_ns)[:19] + "Z", entry.kind, entry.account, entry.action, entry.actor, _said(entry))
        for entry in entries
    ]
    put_table(("TIME", "WHAT", "ACCOUNT", "ACTION", "BY", "DETAIL"), rows, left=6)


def _said(entry: Entry) -> str:
    """Return one entry's facts in a line."""
    facts = entry.facts
    match entry.kind:
        case EntryKind.INTENT:
            return f"{facts.get('means')} {facts.get('amount')} {facts.get('asset')}, target {facts.get('target')}"
        case EntryKind.REPLACE:
            return (
                f"step {_step(facts.get('step'))} in place of {facts.get('replaces')}, fee {facts.get('fee_usd')} USD"
            )
        case EntryKind.SIGNED | EntryKind.SENT:
            return f"step {_step(facts.get('step'))} {facts.get('reference') or facts.get('evidence') or ''}".rstrip()
        case EntryKind.OUTCOME:
            return f"step {_step(facts.get('step'))} {facts.get('fate')} {facts.get('evidence') or ''}".rstrip()
        case EntryKind.RESULT:
            return f"{facts.get('stage')}: {facts.get('evidence')}"
        case EntryKind.REFUSED:
            return str(facts.get("reason"))
        case _:
            return ", ".join(f"{key} {value}" for key, value in facts.items())


def _step(index: object) -> str:
    return str(index + 1) if isinstance(index, int) else "?"


def _action_answer(action: ActionState) -> dict[str, object]:
    return {
        "id": action.id,
        "account": action.account,
        "means": action.means,
        "asset": action.asset,
        "amount": plain(action.amount),
        "source": action.source,
        "started_at": timestamp(action.started_at_ns),
        "stage": action.stage.value,
        "is_open": action.is_open,
        "evidence": action.evidence or None,
        "actor": action.actor,
        "value_usd": rounded(action.value_usd),
        "target": action.target,
        "health_factor": {"before": rounded(action.health_before), "after": rounded(action.health_after)},
        "steps": [
            {
                "title": step.title,
                "fate": step.fate.value,
                "reference": step.reference or None,
                "nonce": step.nonce,
                "evidence": step.evidence or None,
                "replaced": list(step.earlier),
                "fee_usd": rounded(step.fee_usd),
            }
            for step in action.steps
        ],
    }


def _entry_answer(entry: Entry) -> dict[str, object]:
    return {
        "seq": entry.seq,
        "at": timestamp(entry.at_ns),
        "kind": entry.kind,
        "action": entry.action or None,
        "account": entry.account or None,
        "actor": entry.actor or None,
        "facts": dict(entry.facts),
        "hash": entry.hash,
    }
