"""Caps on money actions, and how fresh everything must be that one rests on. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import field
from decimal import Decimal

from desk.actions import ActionState, StepFate
from engine.record import record
from engine.rescue import Option, Plan

SECOND_NS = 1_000_000_000
DAY_NS = 86_400 * SECOND_NS


@record
class Limits:
    """What may be spent and how old a plan may be. Caps are in USD, `None` is no cap; `accounts` cap one action each.

    `health_tolerance` is the fraction by which health may have moved since the plan. Fees may have risen by
    `fee_rise` times, or to `fee_floor_usd` in any case.
    """

    max_topup_usd: Decimal | None = Decimal(5_000)
    max_per_day_usd: Decimal | None = Decimal(10_000)
    accounts: Mapping[str, Decimal] = field(default_factory=dict)
    arm_minutes: int = 15
    plan_max_age_s: int = 60
    health_tolerance: Decimal = Decimal("0.01")
    fee_rise: Decimal = Decimal(3)
    fee_floor_usd: Decimal = Decimal("0.50")

    def per_action(self, account: str) -> Decimal | None:
        """Return the least cap on one action for `account`, `None` without any."""
        caps = [cap for cap in (self.max_topup_usd, self.own_cap(account)) if cap is not None]
        return min(caps, default=None)

    def own_cap(self, account: str) -> Decimal | None:
        """Return the cap of `account`, or of the configured account that it belongs to ("name:part")."""
        return self.accounts.get(account, self.accounts.get(account.split(":")[0]))


def spent(actions: Iterable[ActionState], since_ns: int) -> Decimal:
    """Return USD of every action begun later than `since_ns` of which anything was signed, or still may be.

    Confirmed or not does not matter: what was sent counts. Times ahead of the clock count too. A step that was
    replaced counts once, with the highest fee that was offered for it.
    """
    counted = (
        (action.value_usd or Decimal(0)) + sum((step.fee_usd or Decimal(0) for step in action.steps), Decimal(0))
        for action in actions
        if action.started_at_ns > since_ns and _may_have_cost(action)
    )
    return sum(counted, Decimal(0))


def over_cap(limits: Limits, account: str, option: Option, spent_today: Decimal) -> str:
    """Return the cap that `option` would break, with both figures, or ""."""
    value = option.value_usd
    if value is None:
        return "its value in USD is unknown, so no cap can vouch for it"
    if not value.is_finite() or value < 0:
        return f"its value of {value} USD is no amount"
    own = limits.own_cap(account)
    if own is not None and value > own:
        return f"{_usd(value)} is over this account's cap of {_usd(own)} per action"
    if limits.max_topup_usd is not None and value > limits.max_topup_usd:
        return f"{_usd(value)} is over the cap of {_usd(limits.max_topup_usd)} per action"
    if limits.max_per_day_usd is not None and spent_today + value > limits.max_per_day_usd:
        return (
            f"{_usd(value)} after {_usd(spent_today)} in the last 24 hours is over the cap of"
            f" {_usd(limits.max_per_day_usd)} per day"
        )
    return ""


def fee_over_cap(limits: Limits, account: str, fee_usd: Decimal | None, spent_today: Decimal) -> str:
    """Return the cap that the fee of a replacement would break, or "". `spent_today` is without any fee for its step.

    A fee is held against the caps as if it were an action of its own: what it speeds up was counted before.
    """
    if fee_usd is None:
        return "what its fee is in USD is unknown, so no cap can vouch for it"
    if not fee_usd.is_finite() or fee_usd < 0:
        return f"its fee of {fee_usd} USD is no amount"
    cap = limits.per_action(account)
    if cap is not None and fee_usd > cap:
        return f"its fee of up to {_usd(fee_usd)} is over the cap of {_usd(cap)} per action"
    if limits.max_per_day_usd is not None and spent_today + fee_usd > limits.max_per_day_usd:
        return (
            f"its fee of up to {_usd(fee_usd)} after {_usd(spent_today)} in the last 24 hours is over the cap of"
            f" {_usd(limits.max_per_day_usd)} per day"
        )
    return ""


def left_today(limits: Limits, spent_today: Decimal) -> Decimal | None:
    """Return USD that may still be sent within the day's cap, at least 0; `None` without a cap."""
    if limits.max_per_day_usd is None:
        return None
    return max(Decimal(0), limits.max_per_day_usd - spent_today)


def too_old(limits: Limits, made_at_ns: int, now_ns: int) -> str:
    """Return why the age of a plan made then forbids to carry it out, or ""."""
    age_s = (now_ns - made_at_ns) / SECOND_NS
    if age_s > limits.plan_max_age_s:
        return f"the plan is {age_s:.0f} s old, over {limits.plan_max_age_s} s; make it again"
    return "the plan is from the future: the clock was set back; make it again" if age_s < -5 else ""


def overtaken(limits: Limits, plan: Plan, block_number: int | None, health: Decimal | None) -> str:
    """Return how the state read now differs from what the plan was computed from, or ""."""
    if plan.block_number is not None and block_number is not None and block_number < plan.block_number:
        return f"the node is at block {block_number}, the plan was made at {plan.block_number}"
    before = plan.health_before
    if before is None or health is None:
        return "" if before is health else "health was known for the plan or is known now, not both; make it again"
    if abs(health - before) > before * limits.health_tolerance:
        return f"the market overtook the plan: health is {health:.4f}, it was {before:.4f}; make it again"
    return ""


def fees_rose(limits: Limits, planned_usd: Decimal | None, now_usd: Decimal | None) -> str:
    """Return that the cost rose beyond what the plan showed, or ""; a cost that isn't known is not compared."""
    if planned_usd is None or now_usd is None or now_usd <= limits.fee_floor_usd:
        return ""
    if now_usd <= planned_usd * limits.fee_rise:
        return ""
    return f"fees rose from {_usd(planned_usd)} to {_usd(now_usd)} since the plan; make it again to accept them"


def _may_have_cost(action: ActionState) -> bool:
    return action.is_open or any(step.fate is not StepFate.WAITING for step in action.steps)


def _usd(value: Decimal) -> str:
    return f"{value:,.2f} USD"
