"""Actions as their journal entries tell them: the truth after any crash. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from desk.actions import ActionState, Stage, StepFate, StepState
from desk.entries import Entry, EntryKind


def replayed(entries: Iterable[Entry]) -> tuple[ActionState, ...]:
    """Return the action of every intent among `entries` (given in order), in the order of the intents.

    An action without a result is open: `UNKNOWN` once an outcome was not seen, else `RUNNING`.
    """
    actions: dict[str, ActionState] = {}
    for entry in entries:
        if entry.kind == EntryKind.INTENT:
            actions[entry.action] = _begun(entry)
        elif entry.action in actions:
            actions[entry.action] = _advanced(actions[entry.action], entry)
    return tuple(actions.values())


def _begun(entry: Entry) -> ActionState:
    facts = entry.facts
    steps = facts.get("steps")
    titles = [str(step["title"]) for step in steps if isinstance(step, dict)] if isinstance(steps, list) else []
    return ActionState(
        id=entry.action,
        account=entry.account,
        means=_text(facts, "means"),
        asset=_text(facts, "asset"),
        amount=Decimal(_text(facts, "amount")),
        source=_text(facts, "source"),
        started_at_ns=entry.at_ns,
        stage=Stage.RUNNING,
        steps=tuple(StepState(title) for title in titles),
        actor=entry.actor,
        value_usd=_number(facts, "value_usd"),
        health_before=_number(facts, "health_before"),
        target=_text(facts, "target"),
    )


def _advanced(action: ActionState, entry: Entry) -> ActionState:
    facts = entry.facts
    evidence = _text(facts, "evidence")
    match entry.kind:
        case EntryKind.SIGNED:
            return _with_step(
                action,
                facts,
                fate=StepFate.SIGNED,
                reference=_text(facts, "reference"),
                nonce=_whole(facts, "nonce"),
                owner=_text(facts, "owner"),
            )
        case EntryKind.SENT:
            return _with_step(action, facts, fate=StepFate.SENT, evidence=evidence)
        case EntryKind.OUTCOME:
            fate = StepFate(_text(facts, "fate"))
            stage = Stage.UNKNOWN if fate is StepFate.UNKNOWN else Stage.RUNNING
            return replace(_with_step(action, facts, fate=fate, evidence=evidence), stage=stage, evidence=evidence)
        case EntryKind.RESULT:
            return replace(
                action,
                stage=Stage(_text(facts, "stage")),
                evidence=evidence,
                health_before=_number(facts, "health_before") or action.health_before,
                health_after=_number(facts, "health_after"),
            )
        case _:
            return action


def _with_step(action: ActionState, facts: Mapping[str, object], **changes: object) -> ActionState:
    index = _whole(facts, "step")
    if index is None or not 0 <= index < len(action.steps):
        return action
    steps = list(action.steps)
    steps[index] = replace(steps[index], **changes)  # type: ignore[arg-type]  # names and types as in `_advanced`
    return replace(action, steps=tuple(steps))


def _text(facts: Mapping[str, object], name: str) -> str:
    value = facts.get(name)
    return value if isinstance(value, str) else ""


def _number(facts: Mapping[str, object], name: str) -> Decimal | None:
    value = facts.get(name)
    return Decimal(value) if isinstance(value, str) else None


def _whole(facts: Mapping[str, object], name: str) -> int | None:
    value = facts.get(name)
    return value if isinstance(value, int) else None
