"""The plan as JSON, `marginline.plan/1`, and back again: what `plan --json` prints and `topup --plan FILE` executes.

Beyond DESIGN 6 the answer says `account`, `made_at`, `target`, `loss_if_nothing`, `possible`, `block_number` and
`health_before`, and each option its `source`, `value_usd`, `amount_units`, `is_full_close`, `distance_after`, `funds`
and `facility`. Health factors and distances are rounded to 18 decimals, amounts are exact; an allowance or room beyond
1e40 tokens is as good as endless and written as that. `ready` is checked against `blockers` when read, so that nobody
unblocks an option by editing one of the two.
"""

from collections.abc import Sequence
from decimal import Decimal

from engine.reading import DocumentError, Node, read_json
from engine.rendering import plain, rounded, timestamp
from engine.rescue import Facility, Funds, HealthPath, Means, Option, Plan, Target

PLAN_SCHEMA = "marginline.plan/1"
MAX_OPTIONS = 1_000
MAX_LINES = 100
MAX_TEXT = 2_000
MAX_DECIMALS = 36
_ZERO, _ONE = Decimal(0), Decimal(1)
_AS_GOOD_AS_ENDLESS = Decimal(10) ** 40
_KEYS = (
    *("schema", "as_of", "degraded", "account", "made_at", "target", "options"),
    *("loss_if_nothing", "possible", "block_number", "health_before"),
)
_OPTION_KEYS = (
    *("means", "asset", "amount", "amount_units", "value_usd", "source", "cost_usd", "health_factor"),
    *("distance_after", "time_to_land_s", "is_full_close", "ready", "blockers", "steps", "funds", "facility"),
)
_HEALTH_KEYS = ("before", "after", "after_at_market", "after_minus_10pct")
_FUNDS_KEYS = ("asset", "amount", "source", "owner", "allowance", "is_native", "is_owner")
_FACILITY_KEYS = (
    *("asset", "means", "token", "decimals", "room", "counts", "needs_enabling", "has_permit", "refused"),
    *("liquidation_threshold", "price", "contract", "side"),
)


def plan_answer(plan: Plan, as_of_ns: int, degraded: Sequence[str] = ()) -> dict[str, object]:
    """Return `plan` in the envelope of every answer, ready for JSON; `as_of_ns` is the time of the reading."""
    return {
        "schema": PLAN_SCHEMA,
        "as_of": timestamp(as_of_ns),
        "degraded": list(degraded),
        "account": plan.account,
        "made_at": timestamp(plan.made_at_ns),
        "target": {"health_factor": _exact(plan.target.health), "distance": _exact(plan.target.distance)},
        "health_before": rounded(plan.health_before),
        "block_number": plan.block_number,
        "loss_if_nothing": rounded(plan.loss_if_nothing),
        "possible": plan.possible,
        "options": [_option_answer(each) for each in plan.options],
    }


def parse_plan(text: str | bytes) -> Plan:
    """Return the plan that `text` describes; raises `DocumentError` naming the first place that is wrong."""
    root = read_json(text)
    root.keys(_KEYS)
    schema = root.required("schema")
    if schema.text() != PLAN_SCHEMA:
        raise schema.fail(f"must be {PLAN_SCHEMA}")
    root.required("as_of").moment_ns()
    _lines(root, "degraded")
    block = root.child("block_number")
    return Plan(
        account=root.required("account").text(),
        target=_target(root.required("target")),
        made_at_ns=root.required("made_at").moment_ns(),
        options=tuple(_option(each) for each in root.required("options").items(MAX_OPTIONS)),
        loss_if_nothing=_number(root, "loss_if_nothing"),
        possible=_text(root, "possible"),
        block_number=None if block is None else block.whole(),
        health_before=_number(root, "health_before"),
    )


def _exact(value: Decimal | None) -> str | None:
    return None if value is None else plain(value)


def _bounded(value: Decimal | None) -> str | None:
    return None if value is None else plain(min(value, _AS_GOOD_AS_ENDLESS))


def _option_answer(option: Option) -> dict[str, object]:
    health = option.health
    return {
        "means": option.means.value,
        "asset": option.asset,
        "amount": plain(option.amount),
        "amount_units": None if option.amount_units is None else str(option.amount_units),
        "value_usd": rounded(option.value_usd),
        "source": option.source,
        "cost_usd": rounded(option.cost_usd),
        "health_factor": {
            "before": rounded(health.before),
            "after": rounded(health.after),
            "after_at_market": rounded(health.after_at_market),
            "after_minus_10pct": rounded(health.after_minus_10pct),
        },
        "distance_after": rounded(option.distance_after),
        "time_to_land_s": _exact(option.time_to_land_s),
        "is_full_close": option.is_full_close,
        "ready": option.ready,
        "blockers": list(option.blockers),
        "steps": list(option.steps),
        "funds": None if option.funds is None else _funds_answer(option.funds),
        "facility": None if option.facility is None else _facility_answer(option.facility),
    }


def _funds_answer(funds: Funds) -> dict[str, object]:
    return {
        "asset": funds.asset,
        "amount": plain(funds.amount),
        "source": funds.source,
        "owner": funds.owner,
        "allowance": _bounded(funds.allowance),
        "is_native": funds.is_native,
        "is_owner": funds.is_owner,
    }


def _facility_answer(facility: Facility) -> dict[str, object]:
    return {
        "asset": facility.asset,
        "means": sorted(means.value for means in facility.means),
        "token": facility.token,
        "decimals": facility.decimals,
        "room": _bounded(facility.room),
        "counts": facility.counts,
        "needs_enabling": facility.needs_enabling,
        "has_permit": facility.has_permit,
        "refused": facility.refused,
        "liquidation_threshold": _exact(facility.liquidation_threshold),
        "price": _exact(facility.price),
        **{key: text for key, text in (("contract", facility.contract), ("side", facility.side)) if text},
    }


def _target(node: Node) -> Target:
    node.keys(("health_factor", "distance"))
    health, distance = node.child("health_factor"), node.child("distance")
    if (health is None) == (distance is None):
        raise node.fail("names either a health_factor or a distance; keep one")
    return Target(
        None if health is None else health.positive(), None if distance is None else distance.within(_ZERO, _ONE)
    )


def _option(node: Node) -> Option:
    node.keys(_OPTION_KEYS)
    asset = node.required("asset").name()
    health = node.required("health_factor")
    health.keys(_HEALTH_KEYS)
    units, funds, facility = node.child("amount_units"), node.child("funds"), node.child("facility")
    time_s = node.child("time_to_land_s")
    option = Option(
        means=_means(node.required("means")),
        asset=asset,
        amount=node.required("amount").positive(),
        source=_text(node, "source"),
        cost_usd=_number(node, "cost_usd"),
        health=HealthPath(*(_number(health, key) for key in _HEALTH_KEYS)),
        time_to_land_s=None if time_s is None else time_s.at_least(_ZERO),
        steps=_lines(node, "steps"),
        blockers=_lines(node, "blockers"),
        value_usd=_at_least_zero(node, "value_usd"),
        amount_units=None if units is None else units.whole(),
        is_full_close=node.required("is_full_close").boolean(),
        funds=None if funds is None else _funds(funds),
        facility=None if facility is None else _facility(facility),
        distance_after=_number(node, "distance_after"),
    )
    ready = node.required("ready")
    if ready.boolean() != option.ready:
        raise ready.fail("does not go with blockers: an option is ready exactly when it has none")
    _require_agreement(node, option)
    return option


def _require_agreement(node: Node, option: Option) -> None:
    """Refuse an option whose parts name different assets or amounts: one of them was edited."""
    for key, part in (("funds", option.funds), ("facility", option.facility)):
        if part is not None and part.asset != option.asset:
            raise DocumentError(f"{node.path}.{key}.asset", f"is not {option.asset}, the asset of its option")
    if option.amount_units is not None and option.facility is not None:
        scaled = Decimal((0, tuple(int(digit) for digit in str(option.amount_units)), -option.facility.decimals))
        if scaled != option.amount:
            raise node.required("amount_units").fail(
                f"is {plain(scaled)} {option.asset}, but amount says {plain(option.amount)}; make a new plan"
            )


def _means(node: Node) -> Means:
    return Means(node.choice([each.value for each in Means]))


def _funds(node: Node) -> Funds:
    node.keys(_FUNDS_KEYS)
    return Funds(
        asset=node.required("asset").name(),
        amount=node.required("amount").at_least(_ZERO),
        source=_text(node, "source"),
        owner=_text(node, "owner"),
        allowance=_at_least_zero(node, "allowance"),
        is_native=node.required("is_native").boolean(),
        is_owner=node.required("is_owner").boolean(),
    )


def _facility(node: Node) -> Facility:
    node.keys(_FACILITY_KEYS)
    decimals, price = node.required("decimals"), node.child("price")
    if decimals.whole() > MAX_DECIMALS:
        raise decimals.fail(f"is above {MAX_DECIMALS}")
    return Facility(
        asset=node.required("asset").name(),
        means=frozenset(_means(each) for each in node.required("means").items(len(Means))),
        token=_text(node, "token"),
        decimals=decimals.whole(),
        room=_at_least_zero(node, "room"),
        counts=node.required("counts").boolean(),
        needs_enabling=node.required("needs_enabling").boolean(),
        has_permit=node.required("has_permit").boolean(),
        refused=_text(node, "refused"),
        liquidation_threshold=_at_least_zero(node, "liquidation_threshold"),
        price=None if price is None else price.positive(),
        contract=_text(node, "contract"),
        side=_text(node, "side"),
    )


def _number(node: Node, key: str) -> Decimal | None:
    found = node.child(key)
    return None if found is None else found.number()


def _at_least_zero(node: Node, key: str) -> Decimal | None:
    found = node.child(key)
    return None if found is None else found.at_least(_ZERO)


def _text(node: Node, key: str) -> str:
    found = node.child(key)
    return "" if found is None or found.value == "" else found.text(MAX_TEXT)


def _lines(node: Node, key: str) -> tuple[str, ...]:
    return tuple(each.text(MAX_TEXT) for each in node.required(key).items(MAX_LINES))
