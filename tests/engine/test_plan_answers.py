"""The plan document: DESIGN 6's fields, a round trip without loss, and every edit that is refused."""

import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from engine.answers import parse_plan, plan_answer
from engine.reading import DocumentError
from engine.rescue import Facility, Funds, HealthPath, Means, Option, Plan, Target

NOW = 1_795_341_600_123_000_000
OPTION = Option(
    Means.REPAY,
    "USDC",
    Decimal("3472.225191"),
    "rescue 0x12..ab",
    Decimal("1.2"),
    HealthPath(Decimal("1.38"), Decimal("1.8"), None, Decimal("1.62")),
    Decimal(24),
    ("approve exactly 3472.225191 USDC", "repay 3472.225191 USDC of main"),
    (),
    Decimal("3472.225191"),
    3_472_225_191,
    funds=Funds("USDC", Decimal(4000), "rescue 0x12..ab", "0x12", Decimal(0), is_owner=False),
    facility=Facility("USDC", frozenset({Means.REPAY, Means.SUPPLY}), "0xu", 6, Decimal(7), has_permit=True),
    distance_after=Decimal("0.44"),
)
BLOCKED = Option(
    Means.ADD_MARGIN,
    "USDC",
    Decimal(5),
    "",
    None,
    HealthPath(None, None, None, None),
    None,
    blockers=("no wallet read",),
)
PLAN = Plan(
    "main",
    Target(health=Decimal("1.8")),
    NOW,
    (OPTION, BLOCKED),
    Decimal(375),
    "with 1.2 ETH: health 1.5",
    123,
    Decimal("1.38"),
)


def text(change: Callable[[dict[str, Any]], object] | None = None) -> str:
    answer: dict[str, Any] = json.loads(json.dumps(plan_answer(PLAN, NOW)))
    if change is not None:
        change(answer)
    return json.dumps(answer)


def test_the_answer_has_the_fields_of_the_design() -> None:
    answer = json.loads(text())
    assert answer["schema"] == "marginline.plan/1"
    assert answer["as_of"] == "2026-11-22T10:00:00.123Z"
    first = answer["options"][0]
    assert first["health_factor"] == {
        "before": "1.38",
        "after": "1.8",
        "after_at_market": None,
        "after_minus_10pct": "1.62",
    }
    named = {"means", "asset", "amount", "cost_usd", "health_factor", "time_to_land_s", "ready", "blockers", "steps"}
    assert named <= first.keys()
    assert (first["amount"], first["amount_units"], first["ready"]) == ("3472.225191", "3472225191", True)
    assert answer["options"][1]["ready"] is False


def test_a_plan_survives_the_round_trip() -> None:
    assert parse_plan(text()) == PLAN
    assert parse_plan(text().encode()) == PLAN
    other = replace(PLAN, target=Target(distance=Decimal("0.2")), options=(), possible="", block_number=None)
    assert parse_plan(json.dumps(plan_answer(other, NOW))) == other


def test_an_endless_allowance_is_written_as_one_that_can_be_read() -> None:
    endless = replace(OPTION, funds=Funds("USDC", Decimal(1), "w", allowance=Decimal(2**256 - 1).scaleb(-6)))
    back = parse_plan(json.dumps(plan_answer(replace(PLAN, options=(endless,)), NOW)))
    assert back.options[0].funds is not None
    assert back.options[0].funds.allowance == Decimal(10) ** 40


def set_in(option: int, *path: str, to: object) -> Callable[[dict[str, Any]], object]:
    def change(answer: dict[str, Any]) -> None:
        node = answer["options"][option]
        for key in path[:-1]:
            node = node[key]
        node[path[-1]] = to

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda answer: answer.update(schema="marginline.risk/1"), "schema: must be marginline.plan/1"),
        (lambda answer: answer.update(sender="me"), "sender: unknown key"),
        (lambda answer: answer.pop("account"), "account: is required"),
        (lambda answer: answer.pop("options"), "options: is required"),
        (lambda answer: answer.update(made_at="yesterday"), "made_at"),
        (lambda answer: answer["target"].update(distance="0.2"), "target: names either"),
        (lambda answer: answer["target"].update(health_factor="-1"), "target.health_factor"),
        (set_in(0, "means", to="steal"), "options[0].means"),
        (set_in(0, "amount", to="NaN"), "options[0].amount"),
        (set_in(0, "amount", to="0"), "options[0].amount"),
        (set_in(0, "amount", to="3472.3"), "options[0].amount_units: is 3472.225191 USDC, but amount says 3472.3"),
        (set_in(0, "amount_units", to="1.5"), "options[0].amount_units"),
        (set_in(0, "ready", to="yes"), "options[0].ready"),
        (set_in(0, "ready", to=False), "options[0].ready: does not go with blockers"),
        (set_in(1, "ready", to=True), "options[1].ready: does not go with blockers"),
        (set_in(0, "facility", "asset", to="ETH"), "options[0].facility.asset: is not USDC"),
        (set_in(0, "funds", "asset", to="ETH"), "options[0].funds.asset: is not USDC"),
        (set_in(0, "funds", "amount", to="-1"), "options[0].funds.amount"),
        (set_in(0, "facility", "decimals", to=99), "options[0].facility.decimals: is above 36"),
        (set_in(0, "facility", "key", to="x"), "options[0].facility.key: unknown key"),
        (set_in(0, "steps", to=["a\u001b[2J"]), "options[0].steps[0]"),
        (set_in(0, "value_usd", to="-5"), "options[0].value_usd"),
        (set_in(0, "health_factor", "after", to="Infinity"), "options[0].health_factor.after"),
    ],
)
def test_what_was_edited_is_refused_and_named(change: Callable[[dict[str, Any]], object], said: str) -> None:
    with pytest.raises(DocumentError) as caught:
        parse_plan(text(change))
    assert said in str(caught.value)


def test_what_is_no_json_is_refused() -> None:
    with pytest.raises(DocumentError, match="is not JSON"):
        parse_plan("{")
