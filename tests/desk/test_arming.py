"""Being armed, by a clock that the test moves; caps and ages as figures."""

import asyncio
from dataclasses import replace
from decimal import Decimal

import pytest

from desk.actions import ActionState, Refusal, Stage, StepFate, StepState
from desk.arming import MINUTE_NS, Armoury, armed_for, why_not_armed
from desk.limits import Limits, fees_rose, left_today, over_cap, overtaken, spent, too_old
from providers.errors import ConfigError, Unauthorised
from tests.doubles import SECOND_NS, START_NS
from tests.doubles_rescue import CountingBox, plan_for

CAPS = Limits(Decimal(100), Decimal(150), {"main": Decimal(50)})


def test_armed_lasts_exactly_its_time_and_a_clock_set_back_ends_it() -> None:
    armed = armed_for(15, ["b", "a", "a"], "me", START_NS)
    assert armed.signers == ("a", "b")
    assert armed.holds(START_NS)
    assert armed.holds(START_NS + 15 * MINUTE_NS - 1)
    assert not armed.holds(START_NS + 15 * MINUTE_NS)
    assert not armed.holds(START_NS - 6 * SECOND_NS)


def test_nobody_is_armed_without_a_signer_or_without_time() -> None:
    with pytest.raises(Refusal, match="no signer"):
        armed_for(15, [], "me", START_NS)
    with pytest.raises(Refusal, match="not armed"):
        armed_for(0, ["a"], "me", START_NS)


def test_the_reason_for_not_signing_is_named() -> None:
    armed = armed_for(1, ["a"], "me", START_NS)
    assert why_not_armed(None, "a", START_NS) == "not armed"
    assert why_not_armed(armed, "b", START_NS) == "signer b is not unlocked"
    assert why_not_armed(armed, "a", START_NS + MINUTE_NS) == "arming has expired"
    assert why_not_armed(armed, "a", START_NS) == ""


def test_the_armoury_is_open_exactly_while_armed() -> None:
    plain, locked = CountingBox("plain"), CountingBox("locked", password="word")
    armoury = Armoury([plain, locked])
    assert armoury.locked_by_password == ("locked",)
    assert asyncio.run(armoury.arm({}, 1, "me", START_NS)).signers == ("plain",)
    assert (plain.is_open, locked.is_open) == (True, False)
    assert asyncio.run(armoury.arm({"locked": "word"}, 1, "me", START_NS)).signers == ("locked", "plain")
    assert not armoury.expire(START_NS + MINUTE_NS - 1)
    assert armoury.expire(START_NS + MINUTE_NS)
    assert (plain.is_open, locked.is_open, armoury.armed) == (False, False, None)
    with pytest.raises(Unauthorised, match="wrong password"):
        asyncio.run(armoury.arm({"locked": "guess"}, 1, "me", START_NS))
    assert (plain.is_open, armoury.armed) == (False, None)


def test_a_broken_reference_locks_its_own_signer_alone() -> None:
    works, broken = CountingBox("works"), CountingBox("broken", error=ConfigError("env:KEY is not set"))
    armoury = Armoury([works, broken])
    armed = asyncio.run(armoury.arm({}, 1, "me", START_NS))
    assert armed.signers == ("works",)
    assert armoury.locked == {"broken": "env:KEY is not set"}
    assert why_not_armed(armed, "broken", START_NS) == "signer broken is not unlocked"
    with pytest.raises(ConfigError, match="not set"):
        asyncio.run(Armoury([broken]).arm({}, 1, "me", START_NS))


def action(value: str | None, *fates: StepFate, stage: Stage = Stage.CONFIRMED, at_ns: int = START_NS) -> ActionState:
    """Return an action of `value` with steps that came so far."""
    steps = tuple(StepState("step", fate) for fate in fates)
    usd = None if value is None else Decimal(value)
    return ActionState("a", "main", "supply", "ETH", Decimal(1), "rescue", at_ns, stage, steps, value_usd=usd)


def test_what_was_signed_counts_and_what_was_not_does_not() -> None:
    actions = [
        action("1", StepFate.CONFIRMED),
        action("2", StepFate.REJECTED, stage=Stage.REJECTED),
        action("4", StepFate.SIGNED, StepFate.WAITING, stage=Stage.ABANDONED),
        action("8", StepFate.WAITING, stage=Stage.UNSENT),
        action("16", StepFate.WAITING, stage=Stage.RUNNING),
        action("32", StepFate.CONFIRMED, at_ns=START_NS - 10),
        action("64", StepFate.CONFIRMED, at_ns=START_NS + 10),
    ]
    assert spent(actions, START_NS - 10) == 1 + 2 + 4 + 16 + 64
    assert left_today(CAPS, Decimal(40)) == 110
    assert left_today(CAPS, Decimal(160)) == 0
    assert left_today(Limits(max_per_day_usd=None), Decimal(1)) is None


@pytest.mark.parametrize(
    ("account", "value", "today", "said"),
    [
        ("main", "50", "0", ""),
        ("main", "50.01", "0", "over this account's cap"),
        ("main:part", "51", "0", "over this account's cap"),
        ("other", "100", "50", ""),
        ("other", "100.01", "0", "over the cap of 100.00 USD per action"),
        ("other", "100", "50.01", "over the cap of 150.00 USD per day"),
        ("other", "-1", "0", "is no amount"),
        ("other", "Infinity", "0", "is no amount"),
    ],
)
def test_each_cap_holds_at_its_figure(account: str, value: str, today: str, said: str) -> None:
    found = over_cap(CAPS, account, plan_for(value=value).options[0], Decimal(today))
    assert (said in found) if said else found == ""


def test_the_least_cap_on_one_action_is_told() -> None:
    assert CAPS.per_action("main:part") == 50
    assert CAPS.per_action("other") == 100
    assert Limits(None, None).per_action("other") is None


def test_a_plan_ages_and_is_overtaken() -> None:
    plan = plan_for()
    assert too_old(Limits(), plan.made_at_ns, START_NS + 60 * SECOND_NS) == ""
    assert "61 s old" in too_old(Limits(), plan.made_at_ns, START_NS + 61 * SECOND_NS)
    before = plan.health_before
    assert before is not None
    assert overtaken(Limits(), plan, 100, before * Decimal("1.0099")) == ""
    assert "overtook" in overtaken(Limits(), plan, 101, before * Decimal("1.0101"))
    assert "overtook" in overtaken(Limits(), plan, 101, before * Decimal("0.9899"))
    assert "at block 99" in overtaken(Limits(), plan, 99, before)
    assert "not both" in overtaken(Limits(), plan, 100, None)
    assert overtaken(Limits(), replace(plan, health_before=None), None, None) == ""


def test_fees_may_rise_threefold_or_to_a_small_sum() -> None:
    assert fees_rose(Limits(), Decimal(1), Decimal(3)) == ""
    assert "from 1.00 USD to 3.01 USD" in fees_rose(Limits(), Decimal(1), Decimal("3.01"))
    assert fees_rose(Limits(), Decimal("0.01"), Decimal("0.50")) == ""
    assert fees_rose(Limits(), None, Decimal(100)) == ""
