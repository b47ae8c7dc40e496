"""What an intent says, and the name under which a plan is carried out once at most. Pure."""

import hashlib

from desk.actions import ActionState
from desk.entries import canonical
from desk.preflight import Ready
from engine.rescue import Option, Plan


def plan_id(plan: Plan) -> str:
    """Return what names a plan in the journal, where each is carried out once at most."""
    target = plan.target
    said = (plan.account, plan.made_at_ns, plan.block_number, plan.health_before, target.health, target.distance)
    return hashlib.sha256(canonical([str(part) for part in said]).encode()).hexdigest()[:16]


def target_said(plan: Plan) -> str:
    """Return what a plan is to reach, for people."""
    if plan.target.health is not None:
        return f"health {plan.target.health}"
    return f"distance {plan.target.distance}"


def intent_facts(action: ActionState, ready: Ready) -> dict[str, object]:
    """Return what an intent says: all that is needed to tell afterwards what was meant. No key, no signature."""
    option, after = ready.option, ready.simulation.health_factor
    return {
        "means": action.means,
        "asset": action.asset,
        "amount": str(action.amount),
        "amount_units": None if option.amount_units is None else str(option.amount_units),
        "source": action.source,
        "value_usd": None if action.value_usd is None else str(action.value_usd),
        "cost_usd": None if option.cost_usd is None else str(option.cost_usd),
        "target": action.target,
        "health_before": None if action.health_before is None else str(action.health_before),
        "health_simulated": None if after is None else str(after),
        "block_number": ready.seen.reading.block_number,
        "steps": [
            {"title": step.title, "contract": step.contract, "chain_id": step.chain_id, "payload": dict(step.payload)}
            for step in ready.steps
        ],
    }


def proposed_action(plan: Plan, option: Option, actor: str, now_ns: int) -> ActionState:
    """Return what an option of a plan would be as an action, before anything of it was checked."""
    return ActionState(
        id=plan_id(plan),
        account=plan.account,
        means=option.means.value,
        asset=option.asset,
        amount=option.amount,
        source=option.source,
        started_at_ns=now_ns,
        actor=actor,
        value_usd=option.value_usd,
        health_before=plan.health_before,
        target=target_said(plan),
    )
