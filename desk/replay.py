"""Actions as their journal entries tell them: the truth after any crash. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal

from desk.actions import ActionState, Stage, StepFate, StepState
from desk.entries import Entry, EntryKind
from providers.rescue_ports import Step


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
        case EntryKind.REPLACE:
            return _with_step(action, facts, fee_usd=_number(facts, "fee_usd"))
        case EntryKind.SIGNED:
            return _with_step(
                _naming(action, facts),
                facts,
                fate=StepFate.SIGNED,
                nonce=_whole(facts, "nonce"),
                owner=_text(facts, "owner"),
            )
        case EntryKind.SENT:
            return _with_step(action, facts, fate=StepFate.SENT, evidence=evidence)
        case EntryKind.OUTCOME:
            fate = StepFate(_text(facts, "fate"))
            stage = Stage.UNKNOWN if fate is StepFate.UNKNOWN else Stage.RUNNING
            action = _naming(action, facts)
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


def _naming(action: ActionState, facts: Mapping[str, object]) -> ActionState:
    """Return the action with the step's reference that an entry names, if it names one; others of it stay known."""
    index, reference = _whole(facts, "step"), _text(facts, "reference")
    if not reference or index is None or not 0 <= index < len(action.steps):
        return action
    steps = list(action.steps)
    steps[index] = named(steps[index], reference)
    return replace(action, steps=tuple(steps))


def named(step: StepState, reference: str) -> StepState:
    """Return `step` as known by `reference` first; every reference that it was ever signed under stays known."""
    others = tuple(each for each in (*step.earlier, step.reference) if each not in ("", reference))
    return replace(step, reference=reference, earlier=others)


def signed_steps(entries: Iterable[Entry]) -> dict[int, Step]:
    """Return what was signed last for each step of one action, by index, from its entries in order.

    A replacement that was intended and never signed is not among them: it can't have been sent.
    """
    planned: list[Step] = []
    intended: dict[int, Step] = {}
    signed: dict[int, Step] = {}
    for entry in entries:
        facts = entry.facts
        index = _whole(facts, "step")
        if entry.kind == EntryKind.INTENT:
            steps = facts.get("steps")
            planned = [_step(one) for one in steps if isinstance(one, dict)] if isinstance(steps, list) else []
        elif entry.kind == EntryKind.REPLACE and index is not None:
            intended[index] = _step(facts)
        elif entry.kind == EntryKind.SIGNED and index is not None and 0 <= index < len(planned):
            signed[index] = intended.pop(index, planned[index])
    return signed


def _step(facts: Mapping[str, object]) -> Step:
    payload, contract = facts.get("payload"), facts.get("contract")
    return Step(
        _text(facts, "title"),
        dict(payload) if isinstance(payload, dict) else {},
        contract if isinstance(contract, str) else None,
        _whole(facts, "chain_id"),
    )


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
